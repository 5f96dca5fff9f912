"""Carry out a study: skip what is finished, run the rest, record what fails, and say what happened."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2pbench.errors import P2PBenchError
from p2pbench.study.grid import Cell, Study
from p2pbench.study.local import ENDS, Event, LocalExecutor
from p2pbench.study.store import Store


@dataclass(frozen=True)
class Outcome:
    """How one cell of a study stands: ``trained``, ``scored``, ``skipped``, ``failed``, ``interrupted`` or ``not run``."""

    cell: Cell
    state: str
    reason: str | None = None


def outcomes_json(study: Study, outcomes: list[Outcome]) -> dict[str, Any]:
    """The documented JSON of ``ablate``."""
    count = {state: sum(o.state == state for o in outcomes) for state in ("trained", "scored", "skipped", "failed")}
    return {
        "study": study.name,
        "trained": count["trained"],
        "skipped": count["skipped"] + count["scored"],
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
) -> tuple[list[Outcome], bool]:
    """Carry out the cells of ``study`` that ``store`` does not hold finished.

    Returns:
        The outcome of every cell, in their order, and whether the user interrupted.
    """
    store.write_study(study)
    by_id: dict[str, Outcome] = {}
    todo: dict[str, Cell] = {}
    for cell in study.cells:
        assert cell.run_id is not None
        run = store.run(cell.run_id)
        if run.finished() and not run.missing_scores(cell.config, weights_dir):
            by_id[cell.run_id] = Outcome(cell, "skipped")
        else:
            todo.setdefault(cell.run_id, cell)  # two variants may stand for the same training: it is done once
    trained_before = {name for name in todo if store.run(name).finished()}

    executor = LocalExecutor(store, jobs=jobs, weights_dir=weights_dir)
    interrupts = 0

    def on_signal(*_: object) -> None:
        nonlocal interrupts
        interrupts += 1
        executor.stop() if interrupts == 1 else executor.kill()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for event in executor.run(list(todo.values())):
            name = str(event.cell.run_id)
            if event.kind in ENDS:
                state = {"finished": "scored" if name in trained_before else "trained"}.get(event.kind, event.kind)
                by_id[name] = Outcome(event.cell, state, event.about.get("reason"))
                if event.about.get("died"):
                    _record_death(store, event)
            watch(event)
            if event.kind == "failed" and fail_fast and not executor.stopping:
                executor.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    outcomes = [
        Outcome(cell, found.state, found.reason)
        if (found := by_id.get(str(cell.run_id)))
        else Outcome(cell, "not run")
        for cell in study.cells
    ]
    return outcomes, interrupts > 0


def _record_death(store: Store, event: Event) -> None:
    """A worker that was killed could not record it; its checkpoint is still there."""
    assert event.cell.run_id is not None
    try:
        store.run(event.cell.run_id).set_status(event.kind, event.about["reason"])
    except P2PBenchError:
        pass  # the folder cannot be written: the outcome is still told
