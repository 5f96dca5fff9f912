"""How long work shows its progress: bars on a terminal, plain lines in a pipe or in CI."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from p2pbench.system.console import duration

LINE_SECONDS = 3.0
"""The least time between two plain lines of one stage."""
LONG_SECONDS = 7 * 86400
"""Rates are over the last thousand counts within this time: cells of a study end minutes apart."""


class Rate(ProgressColumn):
    """Steps, pairs or whatever is counted, per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(rate_text(speed) if speed else "", style="progress.data.speed")


def rate_text(a_second: float) -> str:
    """``7.5/s``; of what takes longer, as the cells of a study, ``3.2/min`` or ``2.4/h``."""
    for seconds, unit in ((1, "s"), (60, "min")):
        if a_second * seconds >= 0.5:
            return f"{a_second * seconds:.1f}/{unit}"
    return f"{a_second * 3600:.1f}/h"


def progress_bar(console: Console) -> Progress:
    """A bar with count, rate and time left, within 80 columns."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=18),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(compact=True),
        console=console,
        speed_estimate_period=LONG_SECONDS,
    )


@contextmanager
def counted(console: Console, description: str, unit: str) -> Iterator[Count]:
    """Show one stage: a bar, or a plain line at each tenth. The block calls what it gets with (done, in all)."""
    with stages(console) as stage:
        yield stage(description, unit)


@contextmanager
def stages(console: Console) -> Iterator[Callable[[str, str], Count]]:
    """Show each stage that begins to count: a bar until it is done, or a plain line at each of its tenths.

    Yields what makes a stage's counter from its description and unit.
    """
    if console.is_terminal:
        with progress_bar(console) as progress:

            def bar(description: str, unit: str) -> Count:  # noqa: ARG001
                task = progress.add_task(description, total=None, visible=False)
                return lambda done, total: progress.update(task, completed=done, total=total, visible=done < total)

            yield bar
        return

    def lines(description: str, unit: str) -> Count:
        pace = Pace()

        def line(done: int, total: int) -> None:
            if said := pace.due(done, total):
                console.print(f"{description}: {done}/{total} {unit}, {said}", markup=False, highlight=False)

        return line

    yield lines


class Pace:
    """When a plain line is due: at each tenth of the way, and not sooner than some seconds after the last."""

    def __init__(self) -> None:
        self.start = self.last = time.monotonic()
        self.first = self.done = self.tenth = self.total = 0

    def due(self, done: int, total: int) -> str | None:
        """The rate and the time left where a line is due now, else None."""
        now = time.monotonic()
        if total != self.total or done < self.done:  # it begins to count anew
            self.start = self.last = now
            self.first, self.tenth, self.total = done - 1, 0, total
        self.done = done
        if 10 * done // total == self.tenth or now - self.last < LINE_SECONDS:
            return None
        self.tenth, self.last = 10 * done // total, now
        rate = (done - self.first) / (now - self.start)
        return f"{rate:.1f}/s, {duration((total - done) / rate)} left"


Count = Callable[[int, int], None]
"""A counter, called with (done, in all): of pairs, steps, files, megabytes or whatever the work consists of."""


def no_progress(_done: int, _total: int) -> None:
    """The counter of work that nobody watches."""


class Megabytes:
    """A progress bar as pooch wants one, which calls ``progress`` with (megabytes done, megabytes in all)."""

    def __init__(self, progress: Count) -> None:
        self.progress = progress
        self.done = self.total = 0

    def update(self, n: int) -> None:
        self.done = min(self.done + n, self.total)
        if self.total >= 10**6:  # 0 where the server does not say
            self.progress(self.done // 10**6, self.total // 10**6)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass
