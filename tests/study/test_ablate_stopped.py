"""Studies that are killed, interrupted or started twice, through the command line; nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from processes import alive, children_of
from study_workplace import Workplace, records

from p2pbench.errors import RunBusy
from p2pbench.runs.folder import RunFolder

GRID = ("--grid", "two.yaml", "--jobs", "2")
ONE_BY_ONE = ("--grid", "two.yaml")
LONG = ("--set", "training.epochs=60", "--set", "training.sample_every=200")
CHECKPOINTS = ("--set", "training.checkpoint_seconds=0")
"""One after every step, which is slower and gives the same bits."""


def start(workplace: Workplace, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        workplace.command("ablate", *ONE_BY_ONE, *LONG, *CHECKPOINTS, *arguments),
        cwd=workplace.folder, env=workplace.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for_checkpoint(workplace: Workplace, runs: str, after: int) -> None:
    """Until the first cell is finished and the second has a checkpoint past step ``after``."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        runs_seen = list((workplace.folder / runs).glob("cells/*"))
        finished = [run for run in runs_seen if '"finished"' in _text(run / "status.json")]
        if len(finished) == 1 and newest_checkpoint([run for run in runs_seen if run not in finished]) >= after:
            return
        time.sleep(0.005)
    pytest.fail("no checkpoint in two minutes")


def newest_checkpoint(runs: list[Path]) -> int:
    return max((int(path.stem[5:]) for run in runs for path in run.glob("checkpoint/step-*")), default=0)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def test_a_study_that_was_killed_and_interrupted_ends_with_the_same_bits(workplace: Workplace) -> None:
    """Its parent alone is killed with SIGKILL half-way, then it gets Ctrl-C, then SIGTERM; then it may finish."""
    workplace.run("ablate", *GRID, *LONG, "--runs", "whole")

    parent = start(workplace, "--runs", "parts")
    wait_for_checkpoint(workplace, "parts", after=20)
    if Path("/proc").is_dir():
        workers = children_of(parent.pid)
        assert workers
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    if Path("/proc").is_dir():
        deadline = time.monotonic() + 10
        while any(map(alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(alive, workers))
    assert len(list((workplace.folder / "parts").glob("cells/*/scores.json"))) == 1  # half-way indeed

    for number, after in ((signal.SIGINT, 40), (signal.SIGTERM, 80)):
        left = newest_checkpoint(list((workplace.folder / "parts").glob("cells/*")))  # perhaps past ``after`` already
        parent = start(workplace, "--runs", "parts")
        wait_for_checkpoint(workplace, "parts", after=max(after, left + 1))  # Python handles signals by then
        parent.send_signal(number)
        _, err = parent.communicate(timeout=60)
        assert parent.returncode == 130, err
        assert "same command goes on" in err
        assert "Traceback" not in err
        (unfinished,) = (workplace.folder / "parts").glob("cells/*/checkpoint")
        assert '"state": "interrupted"' in (unfinished.parent / "status.json").read_text()

    found = workplace.json("ablate", *GRID, *LONG, "--runs", "parts")
    assert (found["trained"], found["skipped"], found["failed"]) == (1, 1, 0)
    assert records(workplace.folder / "whole") == records(workplace.folder / "parts")
    for run in (workplace.folder / "parts" / "cells").iterdir():
        assert list((run / "samples" / "test").glob("*-untrained.png"))


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the workers in /proc")
def test_a_worker_that_is_killed_is_a_failed_cell_with_its_reason(workplace: Workplace) -> None:
    parent = start(workplace)
    wait_for_checkpoint(workplace, "runs", after=20)
    for worker in children_of(parent.pid):
        os.kill(worker, signal.SIGKILL)
    _, err = parent.communicate(timeout=60)
    assert parent.returncode == 4
    assert "SIGKILL" in err
    assert workplace.json("ablate", *GRID, *LONG)["trained"] == 1


def test_two_ablates_at_once_run_each_cell_once(workplace: Workplace) -> None:
    both = [
        subprocess.Popen(
            workplace.command("ablate", *GRID, "--set", "training.epochs=40", "--json"), cwd=workplace.folder,
            env=workplace.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in both:
        _, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
    for run in (workplace.folder / "runs" / "cells").iterdir():
        assert (run / "log.txt").read_text().count("trained 240 steps") == 1


def test_two_processes_are_kept_out_of_one_run(workplace: Workplace) -> None:
    run = RunFolder(workplace.folder / "run")
    with run.lock(), pytest.raises(RunBusy, match="in use by another"), run.lock(seconds=0.1):
        pass
