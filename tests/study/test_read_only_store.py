"""A colleague's store that this user may read alone: it is shown and copied, and what would write says so in a line.

As root, who may write everywhere, the program runs without that right.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from report_records import loss_study
from study_workplace import Workplace

from p2pbench.runs.store import Store

AS_OTHERS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Takes from root what other users do not have."""


def within() -> tuple[str, ...]:
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and there is no setpriv here")
    return AS_OTHERS


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    """A folder with a store of the loss grid that nobody may write."""
    loss_study(Store(tmp_path / "runs"), [0])
    closed = [tmp_path / "runs", *(path for path in (tmp_path / "runs").rglob("*") if path.is_dir())]
    for path in closed:
        path.chmod(0o555)
    yield Workplace(tmp_path, dict(os.environ))
    for path in closed:
        path.chmod(0o755)


def test_it_is_read_and_what_would_write_is_refused_before_any_work(place: Workplace) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        done = place.run(*arguments, code=code, within=within())
        return done.stdout if code == 0 else done.stderr

    assert "5 of 5" in run("study", "list")
    assert "5 cells: 5 finished" in run("study", "show", "loss")
    assert "the records of 5 runs copied" in run("study", "export", "loss", "--to", "mine")
    assert Store(place.folder / "mine").read_study("loss") == Store(place.folder / "runs").read_study("loss")
    before = {path: path.stat().st_mtime_ns for path in (place.folder / "runs").rglob("*")}
    for command in (
        ("ablate", "--grid", "loss", "--set", "scoring.metrics=[l1]", "--seeds", "1"),
        ("study", "export", "loss", "--runs", "mine", "--to", "runs"),
    ):
        said = run(*command, code=3)
        assert "cannot be written: Permission denied" in said.splitlines()[-1]
        assert "decode" not in said
    assert {path: path.stat().st_mtime_ns for path in (place.folder / "runs").rglob("*")} == before
