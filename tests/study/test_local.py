"""The jobs of a study on this machine: what they are asked for, and in which order they begin."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from study_workplace import PROTOCOL

from p2pbench.runs.events import ENDS, Event
from p2pbench.runs.store import Store
from p2pbench.study.execution import Execution
from p2pbench.study.local import LocalExecutor
from p2pbench.study.plan import Study, build_study
from p2pbench.study.runner import carry_out, cell_job


@pytest.fixture
def study(tmp_path: Path, pairs_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A short training and a longer one."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(PROTOCOL.format(source=pairs_folder))
    Path("two.yaml").write_text(
        "protocol: tiny.yaml\nfactors: {training.epochs: [1, 30]}\nscoring: {extra_metrics: [sharpness, ssim]}\n"
    )
    return build_study("./two.yaml", "./tiny.yaml", {}, None)


def test_reference_rows_wait_until_no_cell_runs(study: Study, tmp_path: Path) -> None:
    events: list[Event] = []
    carry_out(study, Store(tmp_path / "runs"), Execution(jobs=2), console=Console(quiet=True), watch=events.append)
    told = [(event.job.kind, event.kind) for event in events]
    cells_ended = [position for position, (kind, what) in enumerate(told) if kind == "cell" and what in ENDS]
    assert len(cells_ended) == 2
    assert told.index(("reference_rows", "started")) > max(cells_ended)
    assert told[-1] == ("reference_rows", "finished")


def test_a_job_asks_for_the_scores_of_all_its_cells_in_one_list(study: Study, tmp_path: Path) -> None:
    job = cell_job(study.cells[:1], Store(tmp_path / "runs"))
    assert job.config.scoring.metrics == ("l1", "psnr", "ssim", "sharpness")
    assert job.config.scoring.extra_metrics == ()


def test_a_job_that_hangs_is_ended_while_another_goes_on(study: Study, tmp_path: Path) -> None:
    executor = LocalExecutor(Store(tmp_path), jobs=2, weights_dir=None, silence_seconds=1.0)
    hanging, busy = (cell_job([cell], executor.store) for cell in study.cells)
    ended: list[str] = []
    for job in (hanging, busy):
        executor._running[job] = SimpleNamespace(kill=partial(ended.append, job.label))  # type: ignore[assignment]
        executor._heard_at[job] = time.monotonic()
    executor._heard_at[hanging] -= 2
    executor._events.put(Event(busy, "progress", {}))
    assert executor._next_event().job is busy
    assert ended == [hanging.label]


def test_what_a_job_said_counts_from_when_it_said_it(study: Study, tmp_path: Path) -> None:
    """A parent that was held up, as by a terminal that was stopped, finds events of all jobs and ends none."""
    executor = LocalExecutor(Store(tmp_path), jobs=2, weights_dir=None, silence_seconds=1.0)
    jobs = [cell_job([cell], executor.store) for cell in study.cells]
    ended: list[str] = []
    for job in jobs:
        worker: Any = SimpleNamespace(kill=partial(ended.append, job.label), stdout=['{"event": "stage"}'])
        worker.wait = lambda: 0
        executor._running[job], executor._heard_at[job] = worker, time.monotonic() - 5
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("p2pbench.study.local.events_of", lambda _: [("stage", {})])
            executor._listen(job, worker)
    assert [executor._next_event().job for _ in jobs] == jobs
    assert ended == []
