"""What long work prints in a pipe: a line at each tenth, for each stage by itself."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from p2pbench.system import progress
from p2pbench.system.progress import stages


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets time pass."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def passed(more: float) -> None:
        now[0] += more

    return passed


def test_a_counter_that_begins_anew_has_the_rate_of_what_it_counts_now(seconds: Callable[[float], None]) -> None:
    """Two stages of as many steps, the first gone on with in its middle: the second is not behind that."""
    written = io.StringIO()
    with stages(Console(file=written, width=80)) as stage:
        count = stage("score", "done")
        for first, pace in ((6, 4.0), (1, 8.0)):
            for done in range(first, 11):
                seconds(pace)
                count(done, 10)
    lines = written.getvalue().splitlines()
    assert "score: 10/10 done, 0.3/s, 0 s left" in lines
    assert "score: 2/10 done, 0.2/s, 32 s left" in lines
    assert lines[-1] == "score: 10/10 done, 0.1/s, 0 s left"
    assert not any("-" in line for line in lines)


def test_a_bar_of_jobs_that_end_minutes_apart_has_the_time_left() -> None:
    now = [0.0]
    bar = progress.progress_bar(Console(file=io.StringIO(), force_terminal=True))
    bar.get_time = lambda: now[0]
    task = bar.add_task("all", total=20)
    for done in range(1, 6):
        now[0] += 300
        bar.update(task, completed=done)
    assert bar.tasks[0].time_remaining == pytest.approx(15 * 300)


def test_a_rate_is_in_the_unit_that_has_digits() -> None:
    said = [progress.rate_text(a_second) for a_second in (7.52, 0.5, 1 / 20, 1 / 1500)]
    assert said == ["7.5/s", "0.5/s", "3.0/min", "2.4/h"]


def test_each_stage_counts_by_itself(seconds: Callable[[float], None]) -> None:
    written = io.StringIO()
    with stages(Console(file=written, width=80)) as stage:
        learned, scored = stage("segmentation network", "steps"), stage("scoring", "images")
        for count, total in ((learned, 2), (scored, 4)):
            for done in range(1, total + 1):
                seconds(4.0)
                count(done, total)
    lines = written.getvalue().splitlines()
    assert "segmentation network: 2/2 steps, 0.5/s, 0 s left" in lines
    assert lines[-1].startswith("scoring: 4/4 images, ")
