"""``ablate`` killed with SIGKILL at random moments, the parent, a worker or both, until it has had enough."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from processes import alive, children_of
from study_workplace import Workplace

from p2pbench.runs.folder import RunFolder
from p2pbench.runs.housekeeping import verify
from p2pbench.runs.store import Store

SLOW = (
    "--set", "training.epochs=30", "--set", "training.checkpoint_seconds=0", "--set", "training.log_every=1",
    "--set", "training.sample_every=200",
)  # fmt: skip
"""A checkpoint at every step: most of the time a file is being written."""
RECORDS = ("generator.safetensors", "losses.csv", "scores.json", "per_image.csv")


@dataclass
class Tally:
    """What happened to one store after another."""

    kills: dict[str, int] = field(default_factory=lambda: {"parent": 0, "worker": 0, "both": 0})
    moments: Counter[str] = field(default_factory=Counter)
    """What the first unfinished cell was at; where a file was being written, ``writing`` counts beside it."""
    studies: int = 0


def records(store: Path) -> dict[str, bytes]:
    """Weights, losses and scores of every run: what must be the same to the bit."""
    return {f"{run.name}/{name}": (run / name).read_bytes() for run in (store / "cells").iterdir() for name in RECORDS}


def kill_at_random(workplace: Workplace, grid: str, kills: int, seed: int) -> Tally:
    """Kill studies of ``grid`` ``kills`` times in all, a new store whenever one is finished; then let the last finish.

    Each moment between the program's start and the end of a study that is not killed is as likely.

    Raises:
        AssertionError: a record was corrupt after a kill, a worker outlived its parent, a cell was lost, or the end
            result is another than that of a study that was not killed.
    """
    command = ["ablate", "--grid", grid, "--jobs", "2", *SLOW, "--runs"]
    start = time.monotonic()
    workplace.run(*command, "whole")
    seconds, whole = time.monotonic() - start, records(workplace.folder / "whole")
    chance = random.Random(seed)
    tally = Tally()
    while sum(tally.kills.values()) < kills:
        store = workplace.folder / "killed"
        shutil.rmtree(store, ignore_errors=True)
        program = workplace.command(*command, str(store))
        while sum(tally.kills.values()) < kills:
            parts = set(store.rglob("*.part"))
            parent = subprocess.Popen(program, cwd=workplace.folder, env=workplace.environment,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
            with contextlib.suppress(subprocess.TimeoutExpired):
                parent.wait(chance.uniform(0, seconds))
            victim = chance.choice(list(tally.kills))
            if not _kill(parent, victim):
                break  # it was finished before
            tally.kills[victim] += 1
            tally.moments[_moment(store)] += 1
            tally.moments["writing"] += bool(set(store.rglob("*.part")) - parts)
            problems = [p for run in (store / "cells").glob("*") for p in verify(RunFolder(run))]
            assert not problems, problems
            assert all(len(Store(store).read_study(name).cells) == 2 for name in Store(store).studies())
        last = subprocess.run(program, cwd=workplace.folder, env=workplace.environment, capture_output=True, text=True,
                              check=False)  # fmt: skip
        assert last.returncode == 0, last.stderr
        assert records(store) == whole, "the study ended otherwise than one that was not killed"
        tally.studies += 1
        print(f"{sum(tally.kills.values())} kills, {tally.studies} studies finished", file=sys.stderr, flush=True)
    return tally


def survived(config: Path, folder: Path, start: int, stop: int, step: int) -> int:
    """How many of a run's write points it survived to end at, in a process that has computed nothing when it forks."""
    done = subprocess.run(
        [sys.executable, "-m", "faults.write_points", str(config), str(folder), *map(str, (start, stop, step))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


def _moment(store: Path) -> str:
    """What the first cell is at that is not finished."""
    for run in map(RunFolder, sorted((store / "cells").glob("*"))):
        if not run.finished():
            if run.trained():
                return "scoring"
            return "training" if list(run.checkpoint.glob("step-*.safetensors")) else "starting"
    return "starting"


def _kill(parent: subprocess.Popen[bytes], victim: str) -> bool:
    """Whether it was still at work. Returns when the parent and all workers have ended."""
    workers = children_of(parent.pid)
    if victim != "parent":
        for worker in workers[:1] if victim == "worker" else workers:
            _signal(worker)
    at_work = parent.poll() is None
    if victim == "worker":
        at_work = bool(workers) and at_work
    else:
        parent.kill()
    code = parent.wait(timeout=240)  # a parent whose worker was killed carries on with the other cell
    at_work = at_work and code != 0
    deadline = time.monotonic() + 60
    while any(map(alive, workers)):
        assert time.monotonic() < deadline, "a worker outlives its parent"
        time.sleep(0.02)
    return at_work


def _signal(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
