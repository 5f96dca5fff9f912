"""Carry out a study: prepare what its cells need, run those that are not finished, make its reference rows.

:func:`carry_out` is the one way in, for the command, for Python's ``run_study``, and for each job of an array.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console

from p2pbench.config.schema import RunConfig
from p2pbench.errors import P2PBenchError, StorageError
from p2pbench.runs.events import ENDS, Event, Job
from p2pbench.runs.longer import kept_checkpoints, shorter
from p2pbench.runs.store import Store
from p2pbench.study.budget import Probe
from p2pbench.study.display import show
from p2pbench.study.execution import Execution
from p2pbench.study.local import LocalExecutor
from p2pbench.study.plan import Cell, Study
from p2pbench.study.prepare import check_devices, decode_data, fetch_weights, train_segmentation
from p2pbench.study.ray import RayExecutor
from p2pbench.study.ray_cluster import connected
from p2pbench.study.reference_rows import record_failure, rows_to_make
from p2pbench.study.shared_gpu import kernels_at_once
from p2pbench.study.study_file import check_may_write, recorded_alike, write_study
from p2pbench.study.wall_time import in_seconds
from p2pbench.study.worker import IMPATIENCE_SECONDS, on_signals

log = logging.getLogger(__name__)


Executor: TypeAlias = LocalExecutor | RayExecutor
"""What carries out jobs: on this machine, or on a cluster."""


@dataclass(frozen=True)
class Outcome:
    """How one cell stands: ``trained``, ``scored``, ``skipped``, ``failed``, ``interrupted`` or ``not run``."""

    cell: Cell
    state: str
    reason: str | None = None


@dataclass(frozen=True)
class Result:
    study: Study
    outcomes: list[Outcome]
    """One for every cell of the study, in their order."""
    interrupted: bool
    """Whether the user stopped it."""
    rows_state: str
    """Whether the reference rows are ``made``, ``kept``, ``failed`` or ``not run``."""
    rows_reason: str | None
    """Why they failed."""

    def once(self) -> list[Outcome]:
        """The outcomes, of cells that share a training the first."""
        return list({outcome.cell.run_id: outcome for outcome in reversed(self.outcomes)}.values())[::-1]

    def count(self, state: str) -> int:
        """How many trainings stand so; variants that share one count once."""
        return sum(outcome.state == state for outcome in self.once())

    def to_json(self) -> dict[str, Any]:
        """The documented JSON of ``ablate``; the ``scored`` are those of the skipped that got scores they lacked."""
        return {
            "study": self.study.name,
            "trained": self.count("trained"),
            "skipped": self.count("skipped") + self.count("scored"),
            "scored": self.count("scored"),
            "failed": self.count("failed"),
            "shared": len(self.outcomes) - len(self.once()),
            "cells": [outcome.cell.to_json(outcome.state, outcome.reason) for outcome in self.outcomes],
            "references": {"state": self.rows_state, "reason": self.rows_reason},
        }


def carry_out(
    study: Study,
    store: Store,
    how: Execution,
    *,
    console: Console,
    replace: bool = False,
    measure_jobs: Callable[[list[RunConfig]], int] | None = None,
    probe: Probe | None = None,
    watch: Callable[[Event], None] = lambda _event: None,
    executor: Executor | None = None,
) -> Result:
    """Train and score the cells of ``study`` that ``store`` does not hold finished, and make its reference rows.

    Call it from the main thread: the first SIGINT or SIGTERM stops it after a checkpoint, a later one kills it.

    Args:
        console: where progress is shown.
        replace: let the study take the place of another one of its name, which is kept as a version.
        measure_jobs: where ``how.jobs`` is ``auto``, chooses the number of cells at once from what is to be trained.
        probe: times steps, where ``training.seconds`` asks for as many as fit.
        watch: told of every event.
        executor: carries out the jobs, instead of what ``how`` asks for.
    Raises:
        ConfigError: the store has another study of that name; this machine has no such device; the cluster cannot be
            reached, or has no room for a cell.
        DataError: an image cannot be read. No cell has been touched then.
    """
    study = in_seconds(study, store, probe, replace_other=replace)
    if not replace:
        recorded_alike(study, store)  # or another study has the name: nothing is prepared for this one then
    check_may_write(study.name, store)
    with contextlib.ExitStack() as stack:
        if executor is None and how.executor == "ray":
            configs = [cell.config for cell in study.cells]
            stack.enter_context(connected(how.ray_address, configs))
            executor = RayExecutor(store, how)
            executor.check(configs)
        unfinished = [cell for cell in study.cells if not _is_complete(cell, store, how.weights_dir)]
        todo = _prepared(study, unfinished, store, how, console)
        if executor is None and _share_a_gpu(todo, how):
            stack.enter_context(kernels_at_once(lambda said: console.print(said, markup=False, highlight=False)))
        executor = executor or _local_executor(todo, store, how, measure_jobs)
        write_study(study, store, replace=replace)
        for line in study.reads:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        _say_what_goes_on(todo, store, console)
        jobs = {name: cell_job(cells, store) for name, cells in todo.items()}
        rows, no_rows = _rows_job(study, store, how)
        ends: dict[Job, Event] = {}
        trained: set[Job] = set()
        all_jobs = [*jobs.values(), *([] if rows is None else [rows])]
        with show(console, len(all_jobs)) as shown, _stopping_on_signals(executor) as signals:
            for event in executor.run(all_jobs):
                _note(event, store)
                if event.about.get("stage") == "train":
                    trained.add(event.job)
                if event.kind in ENDS:
                    ends[event.job] = event
                shown(event)
                watch(event)
                if how.fail_fast and event.kind == "failed" and event.job.kind == "cell" and not executor.stopping:
                    executor.stop()
    rows_state, rows_reason = _end_of_rows(study, store, rows, ends, no_rows)

    def outcome(cell: Cell) -> Outcome:
        if (job := jobs.get(str(cell.run_id))) is None:
            if cell in unfinished:
                return Outcome(cell, "not run", f"not of shard {how.shard.number}/{how.shard.of}")
            return Outcome(cell, "skipped")
        if (end := ends.get(job)) is None:
            return Outcome(cell, "not run")
        if end.kind == "finished":
            return Outcome(cell, "trained" if job in trained else "scored")
        return Outcome(cell, end.kind, end.about.get("reason"))

    return Result(study, [outcome(cell) for cell in study.cells], bool(signals), rows_state, rows_reason)


def _say_what_goes_on(todo: Mapping[str, list[Cell]], store: Store, console: Console) -> None:
    """Say which cells go on from finished runs of fewer epochs."""
    kept = kept_checkpoints(store.root / "cells")
    for name, (cell, *_) in todo.items():
        begin = shorter(kept, cell.config, str(cell.data_key), store.run(name))
        if begin is not None:
            said = f"{cell.variant} seed {cell.seed} goes on from {begin.said}"
            console.print(said, markup=False, highlight=False, soft_wrap=True)


def _rows_job(study: Study, store: Store, how: Execution) -> tuple[Job | None, str | None]:
    """The job that makes the reference rows, where there is anything to do; or why it cannot be known."""
    try:
        return rows_to_make(store, study.name, how.weights_dir), None
    except P2PBenchError as error:
        return None, str(error)


def _end_of_rows(
    study: Study, store: Store, job: Job | None, ends: Mapping[Job, Event], problem: str | None
) -> tuple[str, str | None]:
    """Whether the reference rows are made, kept or not run; or that they failed, and why. No cell is lost with them."""
    end = ends.get(job) if job is not None else None
    if end is not None and end.kind == "failed":
        problem = end.about["reason"]
    if problem is not None:
        with contextlib.suppress(StorageError):  # told all the same
            record_failure(store, study.name, None if job is None else job.key, problem)
        return "failed", problem
    if job is None:
        return "kept", None
    return ("made" if end is not None and end.kind == "finished" else "not run"), None


def _is_complete(cell: Cell, store: Store, weights_dir: Path | None) -> bool:
    """Whether ``store`` holds the cell trained, and scored as far as it can be here."""
    run = store.run(str(cell.run_id), cell.config.scoring.inference)
    own = run.recorded_id() == cell.run_id
    return own and run.finished() and run.profiled() and not run.missing_scores(cell.config, weights_dir)


def _share_a_gpu(todo: dict[str, list[Cell]], how: Execution) -> bool:
    """Whether several cells are to be trained at once, on CUDA."""
    if how.jobs in (None, 1) or len(todo) < 2:
        return False
    from p2pbench.training.device import visible_gpus

    return bool(visible_gpus()) and any(c[0].config.training.device in ("auto", "cuda") for c in todo.values())


def _local_executor(
    todo: dict[str, list[Cell]], store: Store, how: Execution, measure_jobs: Callable[[list[RunConfig]], int] | None
) -> Executor:
    jobs = how.jobs
    if jobs == "auto":
        untrained = [cells[0].config for name, cells in todo.items() if not store.run(name).trained()]
        jobs = measure_jobs(untrained) if untrained and measure_jobs else 1
    return LocalExecutor(store, jobs=jobs or 1, weights_dir=how.weights_dir, silence_seconds=how.silence_seconds)


def _prepared(
    study: Study, unfinished: list[Cell], store: Store, how: Execution, console: Console
) -> dict[str, list[Cell]]:
    """Prepare what the unfinished cells of this shard need; returns them by run id, which variants may share."""
    mine = how.shard.run_ids(study)
    todo = [cell for cell in unfinished if str(cell.run_id) in mine]
    configs = [cell.config for cell in todo]
    if how.executor == "local":
        check_devices(configs)
    decode_data(configs, console)
    if fetch_weights(configs, how.weights_dir, console):  # finished cells may lack the scores that these make possible
        finished = [cell for cell in study.cells if str(cell.run_id) in mine and cell not in todo]
        todo += [cell for cell in finished if not _is_complete(cell, store, how.weights_dir)]
    train_segmentation([cell.config for cell in todo], console)
    by_id: dict[str, list[Cell]] = {}
    for cell in todo:
        by_id.setdefault(str(cell.run_id), []).append(cell)
    return by_id


def cell_job(cells: list[Cell], store: Store) -> Job:
    """The job of ``cells``, which share a training: it is scored under all their modes, with the scores of all."""
    first = cells[0]
    wanted = tuple(dict.fromkeys(name for cell in cells for name in cell.config.scoring.wanted))
    scoring = first.config.scoring.model_copy(update={"metrics": wanted, "extra_metrics": ()})
    modes = list(dict.fromkeys(cell.config.scoring.inference for cell in cells))
    return Job(
        "cell", str(first.run_id), f"{first.variant} seed {first.seed}",
        first.config.model_copy(update={"scoring": scoring}), store.run(str(first.run_id)).log_file, {"modes": modes},
    )  # fmt: skip


@contextlib.contextmanager
def _stopping_on_signals(executor: Executor) -> Iterator[list[float]]:
    """In the block the first SIGINT or SIGTERM stops ``executor``, a later one kills it; yields when they came."""
    came: list[float] = []

    def heed(*_: object) -> None:
        came.append(time.monotonic())
        if len(came) == 1:
            executor.stop()
        elif came[-1] - came[0] > IMPATIENCE_SECONDS:
            executor.kill()

    with on_signals(heed):
        yield came


def _note(event: Event, store: Store) -> None:
    """Log ``event``, and record of a cell that it failed or was interrupted."""
    if event.kind != "progress":
        said = event.about.get("stage", "") or event.about.get("reason") or ""
        log.info("%s, log %s: %s %s", event.job.label, event.job.log, event.kind, said)
    if event.kind in ("failed", "interrupted") and event.job.kind == "cell":
        run = store.run(event.job.key)
        # Where the folder cannot be written, or another process has the run, the outcome is still told.
        with contextlib.suppress(P2PBenchError), run.lock(seconds=0):
            run.set_status(event.kind, event.about["reason"])
