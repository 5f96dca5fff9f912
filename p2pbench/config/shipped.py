"""What comes with p2pbench beside its code: grids, protocols, and the papers' result tables. Imports no torch."""

import functools
import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from p2pbench.config import yaml12

PUBLISHED, CLAIMS = "published.yaml", "claims.yaml"
"""The files of the papers' tables and claims; they lie beside the grids."""


def shipped(kind: str) -> Path:
    """The folder of the grids (``kind`` "") or protocols (``kind`` "protocols") that come with p2pbench."""
    package = Path(__file__).parents[1]
    inside = package / "ablations"  # in an installed wheel
    return (inside if inside.is_dir() else package.parent / "ablations") / kind


def shipped_files(kind: str) -> dict[str, Path]:
    """The shipped grids or protocols by name, as ``kind`` of :func:`shipped` says."""
    return {path.stem: path for path in sorted(shipped(kind).glob("*.yaml")) if path.name not in (PUBLISHED, CLAIMS)}


class PublishedTable(BaseModel):
    """One published table, with its source: a report shows it beside ours, never mixed with them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    source: str
    columns: tuple[str, ...]
    """Where a column is also a score of ours, another network or another data set made it."""
    rows: dict[str, tuple[float, ...]]
    """By the label of the variant that a row corresponds to; the other rows are the paper's reference rows."""
    plus_minus: dict[str, tuple[float, ...]] | None = None
    """± of each value, where the paper gives one."""
    digits: int = 2
    """Decimals that the paper prints."""


@functools.cache
def published_tables() -> dict[str, PublishedTable]:
    """Every table of ``ablations/published.yaml`` by its name."""
    return TypeAdapter(dict[str, PublishedTable]).validate_python(yaml12.read(shipped("") / PUBLISHED))


class Claim(BaseModel):
    """What a paper says that its idea buys, on a contrast of a shipped grid; its fields as ``claims.yaml`` says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grid: str
    variant: str
    against: str
    scores: tuple[str, ...]
    direction: Literal["better", "worse"]
    size: str
    data: str
    source: str


@functools.cache
def claims() -> tuple[Claim, ...]:
    """Every claim of ``ablations/claims.yaml``, in its order."""
    return TypeAdapter(tuple[Claim, ...]).validate_python(yaml12.read(shipped("") / CLAIMS))


@functools.cache
def published_names() -> tuple[str, ...]:
    """The names of the tables, without the time that it takes to read the tables: a plan needs no more."""
    text = (shipped("") / PUBLISHED).read_text(encoding="utf-8")
    return tuple(re.findall(r"^([\w-]+):", text, re.MULTILINE))


def published_name(name: str) -> str:
    """The name of a published table; version 0.1 called ``pix2pix-table1`` ``table1``."""
    return f"pix2pix-{name}" if f"pix2pix-{name}" in published_names() else name
