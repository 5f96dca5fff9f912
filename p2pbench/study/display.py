"""How a study's progress is shown: a bar a cell on a terminal, plain lines in a pipe. Always on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import Progress, TaskID

from p2pbench.study.local import ENDS, Event
from p2pbench.system.console import escape
from p2pbench.system.progress import Pace, progress_bar

STAGES = {"data": "pairs", "train": "steps", "score": "scoring"}


class Watch(Protocol):
    def __call__(self, event: Event) -> None: ...


@contextmanager
def show(console: Console, n_todo: int) -> Iterator[Watch]:
    """Show the events of ``n_todo`` cells while the block runs."""
    if console.is_terminal:
        with progress_bar(console) as progress:
            yield _Bars(progress, n_todo)
    else:
        yield _Lines(console, n_todo)


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
        self.pace: dict[str, Pace] = {}

    def __call__(self, event: Event) -> None:
        name, label = str(event.cell.run_id), name_of(event)
        if event.kind == "started":
            self._line(f"{label}: started")
        elif event.kind == "stage":
            self.pace[name] = Pace()
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
