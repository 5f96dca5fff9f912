"""What a pipe or a log gets to read of a study's progress."""

from __future__ import annotations

import io
import itertools
import re
from pathlib import Path

import pytest
from rich.console import Console

from p2pbench.config.schema import RunConfig
from p2pbench.runs.events import Event, Job
from p2pbench.study.display import show


def test_a_plain_log_says_how_much_of_the_study_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("p2pbench.study.display.time.monotonic", lambda: clock[0])
    jobs = [Job("cell", str(k), f"l1 seed {k}", RunConfig(), Path("log"), {}) for k in range(3)]
    text = io.StringIO()
    with show(Console(file=text, width=200), len(jobs)) as shown:
        for job in jobs:
            shown(Event(job, "started"))
            clock[0] += 600
            shown(Event(job, "finished"))
    ended = [" ".join(line.split()) for line in text.getvalue().splitlines() if line.startswith("(")]
    assert ended == [
        "(1/3) done l1 seed 0, about 20.0 min left for the study",
        "(2/3) done l1 seed 1, about 10.0 min left for the study",
        "(3/3) done l1 seed 2",
    ]


def test_a_stopped_job_is_not_counted_and_promises_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2pbench.study.display.time.monotonic", iter([0.0, 240.0, 250.0]).__next__)
    jobs = [Job("cell", str(k), f"l1 seed {k}", RunConfig(), Path("log"), {}) for k in range(3)]
    text = io.StringIO()
    with show(Console(file=text, width=200), len(jobs)) as shown:
        shown(Event(jobs[0], "interrupted", {"reason": "stopped at step 1523 of 8000"}))
    assert text.getvalue().split() == ["stopped", "l1", "seed", "0:", "stopped", "at", "step", "1523", "of", "8000"]


@pytest.mark.parametrize("terminal", [False, True])
def test_why_a_cell_failed_fits_the_width_and_no_path_is_broken(terminal: bool) -> None:
    job = Job("cell", "0", "l1, batch_size=4 seed 0", RunConfig(), Path("log"), {})
    log = f"/runs/{'a' * 90}/log.txt"
    reason = f"RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB of which 1.2 are free; lower it (see {log})"
    text = io.StringIO()
    with show(Console(file=text, width=80, force_terminal=terminal, no_color=True), 2) as shown:
        shown(Event(job, "failed", {"reason": reason}))
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue()).splitlines()]
    first = next(k for k, line in enumerate(lines) if line.startswith("(1/2) failed l1"))
    said = [lines[first], *itertools.takewhile(lambda line: line.startswith("    "), lines[first + 1 :])]
    whole = " ".join(" ".join(said).split())
    assert whole.startswith(f"(1/2) failed l1, batch_size=4 seed 0: {reason}")
    assert whole.endswith("left for the study") or terminal
    assert all(len(line) <= 80 or line.split()[0].startswith(log) for line in said)
    assert len(said) > 2
