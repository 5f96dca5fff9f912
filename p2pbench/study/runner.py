"""Carry out a study: skip what is finished, run the rest, record what fails, and say what happened."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from p2pbench.config.metrics import FCN_SCORES, METRICS
from p2pbench.config.schema import RunConfig
from p2pbench.data.dataset import open_dataset
from p2pbench.errors import P2PBenchError, WeightsError
from p2pbench.runs.store import Store
from p2pbench.scoring import weights
from p2pbench.study.local import ENDS, Event, LocalExecutor
from p2pbench.study.plan import Cell, Study
from p2pbench.study.study_file import write_study
from p2pbench.study.worker import IMPATIENCE_SECONDS
from p2pbench.system.console import escape
from p2pbench.system.hardware import available_cores
from p2pbench.system.progress import counted

log = logging.getLogger(__name__)


class Executor(Protocol):
    """What carries out cells: on this machine, or on a cluster."""

    stopping: bool
    """Whether no more cells are started."""

    def run(self, cells: list[Cell], modes: Mapping[str, list[str]]) -> Iterator[Event]: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


@dataclass(frozen=True)
class Shard:
    """A share of a study, for a job of its own: the ``number``-th of ``of``, from 1."""

    number: int
    of: int

    def has(self, study: Study, cell: Cell) -> bool:
        """Every of-th training of the study is this shard's, whatever is finished: shards never overlap."""
        if self.of == 1:
            return True
        names = list(dict.fromkeys(cell.run_id for cell in study.cells))
        return names.index(cell.run_id) % self.of == self.number - 1


ALL = Shard(1, 1)


@dataclass(frozen=True)
class Outcome:
    """How one cell stands: ``trained``, ``scored``, ``skipped``, ``failed``, ``interrupted`` or ``not run``."""

    cell: Cell
    state: str
    reason: str | None = None


def outcomes_json(study: Study, outcomes: list[Outcome]) -> dict[str, Any]:
    """The documented JSON of ``ablate``; ``scored`` are those of the skipped that got scores they lacked."""
    count = {state: sum(o.state == state for o in outcomes) for state in ("trained", "scored", "skipped", "failed")}
    return {
        "study": study.name,
        "trained": count["trained"],
        "skipped": count["skipped"] + count["scored"],
        "scored": count["scored"],
        "failed": count["failed"],
        "cells": [
            {
                "run_id": o.cell.run_id,
                "variant": o.cell.variant,
                "seed": o.cell.seed,
                "state": o.state,
                "reason": o.reason,
            }
            for o in outcomes
        ],
    }


def run_study(
    study: Study,
    store: Store,
    *,
    jobs: int,
    weights_dir: Path | None,
    fail_fast: bool,
    watch: Callable[[Event], None],
    silence_seconds: float | None = None,
    executor: Executor | None = None,
    shard: Shard = ALL,
) -> tuple[list[Outcome], bool]:
    """Carry out the cells of ``study`` that ``store`` does not hold finished.

    Args:
        silence_seconds: a cell that makes no progress for so long is ended and has failed; None waits for ever.
        executor: what carries out the cells, instead of ``jobs`` processes here.
        shard: the cells to carry out.
    Returns:
        The outcome of every cell, in their order, and whether the user interrupted.
    """
    write_study(study, store)
    by_id: dict[str, Outcome] = {}
    todo: dict[str, list[Cell]] = {}
    for cell in pending(study, store, weights_dir):
        # Two variants may stand for the same training, scored in two ways: it is done once.
        if shard.has(study, cell):
            todo.setdefault(str(cell.run_id), []).append(cell)
    trained: set[str] = set()

    carry_out = executor or LocalExecutor(store, jobs=jobs, weights_dir=weights_dir, silence_seconds=silence_seconds)
    modes: dict[str, list[str]] = {
        name: list(dict.fromkeys(c.config.scoring.inference for c in cells)) for name, cells in todo.items()
    }
    interrupted_at: float | None = None

    def on_signal(*_: object) -> None:
        nonlocal interrupted_at
        now = time.monotonic()
        if interrupted_at is None:
            interrupted_at = now
            carry_out.stop()
        elif now - interrupted_at > IMPATIENCE_SECONDS:
            carry_out.kill()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for event in carry_out.run([_with_all_scores(cells) for cells in todo.values()], modes):
            name = str(event.cell.run_id)
            if event.kind != "progress":
                about = event.about.get("stage", "") or event.about.get("reason") or ""
                log.info("%s, log %s: %s %s", event.cell.variant, store.run(name).log_file, event.kind, about)
            if event.about.get("stage") == "train":
                trained.add(name)
            if event.kind in ENDS:
                state = {"finished": "trained" if name in trained else "scored"}.get(event.kind, event.kind)
                by_id[name] = Outcome(event.cell, state, event.about.get("reason"))
                if event.about.get("died"):
                    _record_death(store, event)
            watch(event)
            if event.kind == "failed" and fail_fast and not carry_out.stopping:
                carry_out.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    outcomes = []
    for cell in study.cells:
        name = str(cell.run_id)
        found = by_id.get(name)
        if found is None and not shard.has(study, cell) and not _complete(cell, store, weights_dir):
            outcomes.append(Outcome(cell, "not run", f"not of shard {shard.number}/{shard.of}"))
            continue
        state = found.state if found else "not run" if name in todo else "skipped"
        outcomes.append(Outcome(cell, state, found.reason if found else None))
    return outcomes, interrupted_at is not None


def _with_all_scores(cells: list[Cell]) -> Cell:
    """The first of ``cells``, which share a training, asked for the scores of all of them."""
    wanted = tuple(dict.fromkeys(name for cell in cells for name in cell.config.scoring.wanted))
    config = cells[0].config
    scoring = config.scoring.model_copy(update={"metrics": wanted, "extra_metrics": ()})
    return replace(cells[0], config=config.model_copy(update={"scoring": scoring}))


def prepare_weights(study: Study, store: Store, *, weights_dir: Path | None, console: Console) -> None:
    """Do once, before any cell starts, what all of them need: decode the pairs, fetch pretrained networks.

    Raises:
        DataError: an image cannot be read, or the two of a pair differ in size. No cell has been touched then.
    """
    from p2pbench.data.cache import decoded

    todo = pending(study, store, weights_dir)
    for data in dict.fromkeys(cell.config.data for cell in todo):
        dataset = open_dataset(data)
        for split in dataset.names:
            with counted(console, f"decode {split}", "pairs") as progress:
                decoded(dataset, split, progress)
    names = dict.fromkeys(name for cell in todo for name in cell.config.scoring.wanted if name in METRICS)
    for net in dict.fromkeys(net for name in names if (net := METRICS[name].net)):
        if weights.locate(net, weights_dir) is None:
            console.print(f"fetching {weights.NETS[net].about}, {weights.NETS[net].megabytes} MB", highlight=False)
        try:
            weights.obtain(net, weights_dir)
        except WeightsError as error:
            scores = ", ".join(weights.scores_of(net))
            console.print(
                f"[yellow]not measured:[/yellow] {scores}: {escape(str(error))}", soft_wrap=True, highlight=False
            )
    _train_segmenters([cell.config for cell in todo if set(FCN_SCORES) & set(cell.config.scoring.wanted)], console)


def _train_segmenters(configs: list[RunConfig], console: Console) -> None:
    """Train the segmentation networks that FCN-scores look through, and say what they make of the real photographs."""
    if not configs:
        return
    from p2pbench.scoring.segmentation import NoReader, find_reader
    from p2pbench.training.engine import prepare_engine

    said: dict[str, None] = {}
    for config in {(c.data, c.scoring.palette, c.training.device): c for c in configs}.values():
        engine = prepare_engine(config.training, config.training.threads or available_cores())
        with counted(console, "segmentation network", "steps") as progress:
            reader = find_reader(open_dataset(config.data), config.scoring.palette, engine.device, progress)
        if isinstance(reader, NoReader):
            said[f"[yellow]not measured:[/yellow] {', '.join(FCN_SCORES)}: {escape(reader.reason)}"] = None
        elif ceilings := reader.ceilings:
            values = ", ".join(f"{METRICS[name].label} {value:.3f}" for name, value in ceilings.items())
            said[f"the real photos, by the segmentation network: {values}"] = None
    for line in said:
        console.print(line, soft_wrap=True, highlight=False)


def pending(study: Study, store: Store, weights_dir: Path | None) -> list[Cell]:
    """The cells that ``store`` does not hold trained, and scored as far as that can be done here."""
    return [cell for cell in study.cells if not _complete(cell, store, weights_dir)]


def _complete(cell: Cell, store: Store, weights_dir: Path | None) -> bool:
    """Whether ``store`` holds the cell trained, and scored as far as it can be here."""
    run = store.run(str(cell.run_id), cell.config.scoring.inference)
    own = run.recorded_id() == cell.run_id
    return own and run.finished() and run.profiled() and not run.missing_scores(cell.config, weights_dir)


def _record_death(store: Store, event: Event) -> None:
    """A worker that was killed could not record it; its checkpoint is still there."""
    assert event.cell.run_id is not None
    with contextlib.suppress(P2PBenchError):  # where the folder cannot be written, the outcome is still told
        store.run(event.cell.run_id).set_status(event.kind, event.about["reason"])
