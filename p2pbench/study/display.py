"""How a study's progress is shown: a bar for each job on a terminal, plain lines in a pipe."""

import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from p2pbench.runs.events import ENDS, Event, Job
from p2pbench.system.console import duration, escape
from p2pbench.system.progress import Count, no_progress, stages

UNITS = {"data": "pairs", "train": "steps", "score": "done"}
"""What is counted in each stage of a job."""
WORDS = {"finished": "[green]done[/green]  ", "failed": "[red]failed[/red]", "lost": "[yellow]lost[/yellow]"}


@contextmanager
def show(console: Console, n_jobs: int) -> Iterator[Callable[[Event], None]]:
    """Show the events of ``n_jobs`` jobs while the block runs; yields what is to be told of them."""
    counts: dict[Job, Count] = {}
    n_ended, start = 0, time.monotonic()
    with stages(console) as stage:
        all_jobs = stage("all", "jobs") if console.is_terminal else no_progress
        all_jobs(0, n_jobs)

        def shown(event: Event) -> None:
            nonlocal n_ended
            job, about = event.job, event.about
            if event.kind == "progress":
                counts[job](about["done"], about["total"])
                return
            if job in counts and console.is_terminal:
                counts[job](1, 1)  # its bar goes
            if event.kind in ("started", "stage"):
                doing = about.get("stage", "")
                counts[job] = stage(f"{job.label} · {doing}" if doing else job.label, UNITS.get(doing, "done"))
                counts[job](0, 1)
                if event.kind == "started" and not console.is_terminal:
                    console.print(f"{escape(job.label)}: started", soft_wrap=True)
                return
            whole = event.kind in ENDS and event.kind != "interrupted"  # one that stopped says nothing of the rest
            n_ended += whole
            count = f"({n_ended}/{n_jobs}) " if whole else ""
            left = time_left(n_ended, n_jobs, time.monotonic() - start) if whole else ""
            console.print(summary(event, count, left, console.width), soft_wrap=True)
            all_jobs(n_ended, n_jobs)

        yield shown


def time_left(n_ended: int, n_jobs: int, seconds: float) -> str:
    """The time left for a study of which ``n_ended`` jobs took ``seconds``, as jobs like these; empty at either end."""
    if not 0 < n_ended < n_jobs:
        return ""
    return f", about {duration(seconds / n_ended * (n_jobs - n_ended))} left for the study"


def summary(event: Event, count: str, left: str, width: int) -> str:
    """How a job ended, or was lost, with markup, in lines of ``width``; a path is left whole, to be copied."""
    head = f"{count}{WORDS.get(event.kind, '[yellow]stopped[/yellow]')} "
    reason = str(event.about.get("reason") or "")
    text, begun = event.job.label + (f": {reason}" if reason else "") + left, Text.from_markup(head).cell_len
    lines = textwrap.fill(
        text, width, initial_indent=" " * begun, subsequent_indent="    ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    return head + escape(lines[begun:])
