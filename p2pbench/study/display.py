"""How a study's progress is shown: a bar for each job on a terminal, plain lines in a pipe."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, TaskID

from p2pbench.study.job import ENDS, Event, Job
from p2pbench.system.console import escape
from p2pbench.system.progress import Pace, progress_bar

STAGES = {"data": "pairs", "train": "steps", "score": "scoring"}


@contextmanager
def show(console: Console, n_jobs: int) -> Iterator[Callable[[Event], None]]:
    """Show the events of ``n_jobs`` jobs while the block runs; yields what is to be told of them."""
    if console.is_terminal:
        with progress_bar(console) as progress:
            yield _Bars(progress, n_jobs)
    else:
        yield _Lines(console, n_jobs)


class _Bars:
    def __init__(self, progress: Progress, n_jobs: int) -> None:
        self.progress = progress
        self.all = progress.add_task("[bold]all[/bold]", total=n_jobs)
        self.tasks: dict[Job, TaskID] = {}

    def __call__(self, event: Event) -> None:
        label = escape(event.job.label)
        if event.kind == "started":
            self.tasks[event.job] = self.progress.add_task(f"{label} · starting", total=None)
        elif event.kind == "stage":
            description = f"{label} · {STAGES[event.about['stage']]}"
            self.progress.reset(self.tasks[event.job], description=description, total=None)
        elif event.kind == "progress":
            self.progress.update(self.tasks[event.job], completed=event.about["done"], total=event.about["total"])
        else:
            if event.job in self.tasks:  # one that is lost starts again
                self.progress.remove_task(self.tasks.pop(event.job))
            if event.kind == "finished":
                self.progress.advance(self.all)
            self.progress.console.print(summary(event), markup=True, highlight=False)


class _Lines:
    """A line when a job begins, at each tenth of its stages, and when it ends."""

    def __init__(self, console: Console, n_jobs: int) -> None:
        self.console = console
        self.n_jobs = n_jobs
        self.n_ended = 0
        self.pace: dict[Job, Pace] = {}

    def __call__(self, event: Event) -> None:
        label = escape(event.job.label)
        if event.kind == "started":
            self.pace[event.job] = Pace()
            self._print(f"{label}: started")
        elif event.kind == "stage":
            self.pace[event.job] = Pace()
        elif event.kind == "progress":
            done, total = event.about["done"], event.about["total"]
            if said := self.pace[event.job].due(done, total):
                self._print(f"{label}: {done}/{total}, {said}")
        else:
            self.n_ended += event.kind in ENDS
            count = f"({self.n_ended}/{self.n_jobs}) " if event.kind in ENDS else ""
            self._print(f"{count}{summary(event)}")

    def _print(self, markup: str) -> None:
        self.console.print(markup, highlight=False, soft_wrap=True)


def summary(event: Event) -> str:
    """One line on how a job ended, or was lost, with markup."""
    label = escape(event.job.label)
    if event.kind == "finished":
        return f"[green]done[/green]   {label}"
    reason = escape(str(event.about.get("reason") or ""))
    words = {"failed": "[red]failed[/red]", "lost": "[yellow]lost[/yellow]"}
    word = words.get(event.kind, "[yellow]stopped[/yellow]")
    return f"{word} {label}: {reason}"
