"""How a study's progress is shown: bars on a terminal, plain lines in a pipe or in CI. Always on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from p2pbench.study.local import ENDS, Event
from p2pbench.system.console import escape
from p2pbench.system.counting import Count
from p2pbench.system.quantities import duration

LINE_SECONDS = 3.0
"""Least time between two plain lines of one thing."""

STAGES = {"data": "pairs", "train": "steps", "score": "scoring"}


class Watch(Protocol):
    def __call__(self, event: Event) -> None: ...


class Rate(ProgressColumn):
    """Steps or pairs per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "", style="progress.data.speed")


def progress_bar(console: Console) -> Progress:
    """A bar with count, rate and time left, within 80 columns."""
    return Progress(
        TextColumn("{task.description}", markup=True),
        BarColumn(bar_width=18),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(compact=True),
        console=console,
    )


@contextmanager
def show(console: Console, n_todo: int) -> Iterator[Watch]:
    """Show the events of ``n_todo`` cells while the block runs."""
    if console.is_terminal:
        with progress_bar(console) as progress:
            yield _Bars(progress, n_todo)
    else:
        yield _Lines(console, n_todo)


@contextmanager
def counted(console: Console, description: str, unit: str) -> Iterator[Count]:
    """A single bar, or plain lines at each tenth."""
    with stages(console) as stage:
        yield stage(description, unit)


@contextmanager
def stages(console: Console) -> Iterator[Callable[[str, str], Count]]:
    """A bar for each stage that begins to count, or plain lines at each of its tenths; yields what makes a stage's
    counter from its description and unit."""
    if console.is_terminal:
        with progress_bar(console) as progress:

            def bar(description: str, unit: str) -> Count:  # noqa: ARG001
                task = progress.add_task(description, total=None, visible=False)
                return lambda done, total: progress.update(task, completed=done, total=total, visible=True)

            yield bar
        return

    def lines(description: str, unit: str) -> Count:
        pace = _Pace()

        def line(done: int, total: int) -> None:
            if said := pace.due(done, total):
                console.print(f"{description}: {done}/{total} {unit}, {said}", markup=False, highlight=False)

        return line

    yield lines


class _Pace:
    """When a plain line is due: at each tenth of the way, and not sooner than some seconds after the last."""

    def __init__(self) -> None:
        self.start = self.last = time.monotonic()
        self.first = self.done = self.tenth = self.total = 0

    def due(self, done: int, total: int) -> str | None:
        """Rate and time left where a line is due now."""
        now = time.monotonic()
        if total != self.total or done < self.done:  # counted anew
            self.start = self.last = now
            self.first, self.tenth, self.total = done - 1, 0, total
        self.done = done
        if 10 * done // total == self.tenth or now - self.last < LINE_SECONDS:
            return None
        self.tenth, self.last = 10 * done // total, now
        rate = (done - self.first) / (now - self.start)
        return f"{rate:.1f}/s, {duration((total - done) / rate)} left"


class _Bars:
    def __init__(self, progress: Progress, n_todo: int) -> None:
        self.progress = progress
        self.cells = progress.add_task("[bold]cells[/bold]", total=n_todo)
        self.tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        name, label = str(event.cell.run_id), name_of(event)
        if event.kind == "started":
            self.tasks[name] = self.progress.add_task(f"{escape(label)} · starting", total=None)
        elif event.kind == "stage":
            self.progress.reset(
                self.tasks[name], description=f"{escape(label)} · {STAGES[event.about['stage']]}", total=None
            )
        elif event.kind == "progress":
            self.progress.update(self.tasks[name], completed=event.about["done"], total=event.about["total"])
        else:
            self.progress.remove_task(self.tasks.pop(name))  # one that is lost starts again
            if event.kind == "finished":
                self.progress.advance(self.cells)
            self.progress.console.print(summary(event), markup=True, highlight=False)


class _Lines:
    """A line when a cell begins, at each tenth of its training, and when it ends."""

    def __init__(self, console: Console, n_todo: int) -> None:
        self.console = console
        self.n_todo = n_todo
        self.n_ended = 0
        self.pace: dict[str, _Pace] = {}

    def __call__(self, event: Event) -> None:
        name, label = str(event.cell.run_id), name_of(event)
        if event.kind == "started":
            self._line(f"{label}: started")
        elif event.kind == "stage":
            self.pace[name] = _Pace()
        elif event.kind == "progress":
            done, total = event.about["done"], event.about["total"]
            if said := self.pace[name].due(done, total):
                self._line(f"{label}: {done}/{total}, {said}")
        elif event.kind == "lost":
            self.console.print(summary(event), markup=True, highlight=False, soft_wrap=True)
        elif event.kind in ENDS:
            self.n_ended += 1
            line = f"({self.n_ended}/{self.n_todo}) {summary(event)}"
            self.console.print(line, markup=True, highlight=False, soft_wrap=True)

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def name_of(event: Event) -> str:
    return f"{event.cell.variant} seed {event.cell.seed}"


def summary(event: Event) -> str:
    """One line on how a cell ended, or was lost, with markup."""
    name = escape(name_of(event))
    if event.kind == "finished":
        return f"[green]done[/green]   {name}"
    reason = escape(str(event.about.get("reason") or ""))
    words = {"failed": "[red]failed[/red]", "lost": "[yellow]lost[/yellow]"}
    word = words.get(event.kind, "[yellow]stopped[/yellow]")
    return f"{word} {name}: {reason}"
