"""A cell trains, scores and records: what it has in hand it does not read again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partialmethod
from pathlib import Path

import pytest
from trained_run import train_run

from p2pbench.config.schema import RunConfig
from p2pbench.errors import Interrupted
from p2pbench.runs.cell import Watcher, run_cell
from p2pbench.runs.folder import RunFolder
from p2pbench.system.files import sha256_of


def test_a_finished_generator_is_scored_without_being_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(run: RunFolder) -> None:
        pytest.fail(f"{run.generator_file} was read")

    monkeypatch.setattr("p2pbench.runs.cell.load_generator", read)
    run = RunFolder(train_run(tmp_path, scoring__metrics="[l1]"))
    assert run.finished()
    training, status = run.training(), run.status()
    assert training is not None
    assert status is not None
    assert status.seconds_per_image.keys() == {"paper"}
    assert status.seconds_per_image["paper"] > 0
    assert training.generator_sha256 == sha256_of(run.generator_file)


def test_what_a_killed_process_left_half_written_goes_with_the_next_sitting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = RunFolder.lock

    def lock(run: RunFolder, **options: float) -> AbstractContextManager[None]:
        (run.path / "samples").mkdir(parents=True, exist_ok=True)
        for place in (run.path, run.path / "samples"):
            (place / ".losses.csv.8anybgxj.part").write_text("step,epo")
        return whole(run, **options)

    monkeypatch.setattr(RunFolder, "lock", lock)
    run = RunFolder(train_run(tmp_path, scoring__metrics="[l1]"))
    assert run.finished()
    assert not list(run.path.rglob("*.part"))


def test_who_waits_for_another_process_says_so(tiny: Callable[..., RunConfig], tmp_path: Path) -> None:
    """It is not taken for hanging, and its parent writes nothing into the run of the other."""
    said: list[object] = []

    def progress(done: int, total: int) -> None:
        said.append((done, total))
        if total == 2:
            raise Interrupted("stopped")

    run, watcher = RunFolder(tmp_path / "run"), Watcher(said.append, progress, lambda: False)
    patient = partialmethod(RunFolder.lock, seconds=0.01)
    with run.lock(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "lock", patient)
        with pytest.raises(Interrupted):
            run_cell(tiny(), run, watcher, modes=["paper"], wait=True, threads=1, weights_dir=None, fetch=False)
    assert said == ["data", "waiting for another process", (0, 1), (0, 2)]
