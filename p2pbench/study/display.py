"""How a study's progress is shown: bars on a terminal, plain lines in a pipe or in CI. Always on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.markup import escape
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
def counted(console: Console, description: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A single bar, or plain lines at each tenth; yields what to call with (done, in all)."""
    if console.is_terminal:
        with progress_bar(console) as progress:
            task = progress.add_task(description, total=None, visible=False)
            yield lambda done, total: progress.update(task, completed=done, total=total, visible=True)
        return
    tenth, total_before = -1, -1
    start = time.monotonic()

    def line(done: int, total: int) -> None:
        nonlocal tenth, total_before, start
        if total != total_before:  # another stage
            tenth, total_before, start = -1, total, time.monotonic()
        if 10 * done // total > tenth:
            tenth = 10 * done // total
            elapsed = time.monotonic() - start
            console.print(f"{description}: {done}/{total} {unit}, {elapsed:.0f} s", markup=False)

    yield line


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
            self.progress.remove_task(self.tasks.pop(name))
            self.progress.advance(self.cells)
            self.progress.console.print(summary(event), markup=True, highlight=False)


class _Lines:
    """A line when a cell begins, at each tenth of its training, and when it ends."""

    def __init__(self, console: Console, n_todo: int) -> None:
        self.console = console
        self.n_todo = n_todo
        self.n_ended = 0
        self.stage: dict[str, str] = {}
        self.begun: dict[str, tuple[float, int]] = {}
        self.tenth: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        name, label = str(event.cell.run_id), name_of(event)
        if event.kind == "stage":
            self.stage[name] = event.about["stage"]
        elif event.kind == "progress" and self.stage.get(name) == "train":
            done, total = event.about["done"], event.about["total"]
            start, first = self.begun.setdefault(name, (time.monotonic(), done))
            tenth = 10 * done // total
            if tenth > self.tenth.get(name, 0) and done > first:
                self.tenth[name] = tenth
                rate = (done - first) / max(1e-9, time.monotonic() - start)
                left = (total - done) / rate
                self._line(f"{label}: step {done}/{total}, {rate:.1f} steps/s, {left:.0f} s left")
        elif event.kind == "started":
            self._line(f"{label}: started")
        elif event.kind in ENDS:
            self.n_ended += 1
            self.console.print(
                f"({self.n_ended}/{self.n_todo}) {summary(event)}", markup=True, highlight=False, soft_wrap=True
            )

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def name_of(event: Event) -> str:
    return f"{event.cell.variant} seed {event.cell.seed}"


def summary(event: Event) -> str:
    """One line on how a cell ended, with markup."""
    name = escape(name_of(event))
    if event.kind == "finished":
        return f"[green]done[/green]   {name}"
    reason = escape(str(event.about.get("reason") or ""))
    word = "[red]failed[/red]" if event.kind == "failed" else "[yellow]stopped[/yellow]"
    return f"{word} {name}: {reason}"
