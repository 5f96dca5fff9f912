"""A cell trains, scores and records: what it has in hand it does not read again."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from trained_run import train_run

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
