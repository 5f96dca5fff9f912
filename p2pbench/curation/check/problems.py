"""What can be wrong with a data set: the kinds of problem, their severity, and what to do about them."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Kind(NamedTuple):
    severity: str
    """``error`` or ``warning``."""
    about: str
    remedy: str


KINDS = {
    name: Kind(**kind)
    for name, kind in tomllib.loads(Path(__file__).with_name("problems.toml").read_text(encoding="utf-8")).items()
}
"""The kinds in the order in which they are shown."""


@dataclass(frozen=True)
class Problem:
    kind: str
    file: str
    """Relative to the data set's folder; the folder of a split where it concerns that split."""
    detail: str

    @property
    def severity(self) -> str:
        return KINDS[self.kind].severity
