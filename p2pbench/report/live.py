"""A page on a study that runs: its cells, the time left, losses and scores so far, the newest samples.

The page is a file that reloads itself from disk; nothing serves it.
"""

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from p2pbench.config.metrics import METRICS
from p2pbench.report.curves import by_step, curve_metrics
from p2pbench.report.markup import TEMPLATES
from p2pbench.report.records import StudyRecord, read_progress
from p2pbench.runs.events import ENDS, Event, Job
from p2pbench.runs.store import Store
from p2pbench.system import html
from p2pbench.system.console import duration
from p2pbench.system.files import write_text

log = logging.getLogger(__name__)

EVERY_SECONDS = 10.0
"""How often the page is written, and how often it reloads itself."""
MOST_SHARE = 0.05
"""The most of the time that writing the page takes: a page of a large study is written less often."""
MOST_LINES, MOST_POINTS, MOST_SHEETS = 12, 200, 4
"""The most variants with a line, points of a line, and sheets of samples."""
LOSSES = {"g_l1": "L1 distance of G", "g_adversarial": "adversarial loss of G", "d_loss": "loss of D"}


@dataclass
class _Progress:
    """How far a job is that runs."""

    stage: str = ""
    share: float = 0.0
    """Of the stage, 0 to 1."""


class LivePage:
    """Keeps the page of a study while it is told of every event (:func:`p2pbench.study.runner.carry_out`)."""

    def __init__(self, store: Store, study: str, path: Path) -> None:
        self.store, self.study, self.path = store, study, path
        self._running: dict[Job, _Progress] = {}
        self._trained = 0.0
        self._begun, self._next = time.monotonic(), 0.0
        self._fails = False

    def __call__(self, event: Event) -> None:
        """Take note of ``event``, and write the page anew where that is due."""
        if event.kind in ENDS:
            self._running.pop(event.job, None)
            self._trained += event.kind == "finished"
        else:
            progress = self._running.setdefault(event.job, _Progress())
            if event.kind == "stage":
                progress.stage, progress.share = str(event.about["stage"]), 0.0
            elif event.kind == "progress" and event.about["total"]:
                progress.share = event.about["done"] / event.about["total"]
        if event.kind in ENDS or time.monotonic() >= self._next:
            self._write(ended=False)

    @property
    def begun(self) -> bool:
        """Whether the page has been written."""
        return self._next > 0

    def end(self) -> None:
        """Write the page a last time, as one that reloads itself no more."""
        if self.begun:
            self._write(ended=True)

    def _write(self, *, ended: bool) -> None:
        if self._fails:
            return
        start = time.monotonic()
        try:
            write_text(self.path, self.render(ended=ended))
        except Exception as error:  # the study is worth more than its page
            self._fails = True
            log.warning("%s is not kept any more: %s", self.path, error)
        now = time.monotonic()
        self._next = now + max(EVERY_SECONDS, (now - start) / MOST_SHARE)

    def render(self, *, ended: bool) -> str:
        """The page as one HTML text; its samples are those of the runs, which it names by their place."""
        study = read_progress(self.store, self.study)
        return html.render(
            TEMPLATES / "live.html",
            about=study.about,
            ended=ended,
            every=round(1000 * EVERY_SECONDS),
            written=time.strftime("%H:%M:%S"),
            left=self._left(study),
            seeds=sorted({cell.seed for cell in study.cells}),
            cells=self._cells(study),
            n_finished=sum(cell.state == "finished" for cell in study.cells),
            failed=[cell for cell in study.cells if cell.state == "failed"],
            panels=_panels(study),
            variants=_lined(study),
            sheets=self._sheets(study),
            report=(self.path.parent / "index.html").is_file(),
        )

    def _cells(self, study: StudyRecord) -> dict[str, dict[int, tuple[str, str, int]]]:
        """By variant and seed: the state, what to say of it, and how far it is in per cent."""
        running = {job.key: progress for job, progress in self._running.items()}
        found: dict[str, dict[int, tuple[str, str, int]]] = {variant: {} for variant in study.variants}
        for cell in study.cells:
            progress = running.get(cell.run.path.name)
            if progress is not None:
                percent = round(100 * progress.share)
                said = ("running", f"{progress.stage or 'starts'} {percent} %", percent)
            else:
                state = "waiting" if cell.state in ("not run", "running") else cell.state
                said = (state, state, 100 if state == "finished" else 0)
            found[cell.variant][cell.seed] = said
        return found

    def _left(self, study: StudyRecord) -> str:
        """The time that the cells without an end take if they go as those of this sitting did; empty at first."""
        parts = sum(progress.share for progress in self._running.values() if progress.stage == "train")
        done = self._trained + parts
        rest = {c.run.path.name for c in study.cells if c.state not in ("finished", "failed")}
        left = len(rest) - parts
        return duration((time.monotonic() - self._begun) / done * left) if done > 0.05 and left > 0 else ""

    def _sheets(self, study: StudyRecord) -> list[tuple[str, str]]:
        """The newest sheets of samples of the runs, the newest first: what each is, and where."""
        newest = []
        for cell in study.cells:
            sheets = sorted(cell.run.samples.glob("epoch-*.png"))
            if sheets:
                newest.append((sheets[-1].stat().st_mtime, f"{cell.variant}, seed {cell.seed}", sheets[-1]))
        newest.sort(key=lambda one: -one[0])
        return [
            (f"{label}, {file.stem.replace('-', ' ')}", quote(Path(os.path.relpath(file, self.path.parent)).as_posix()))
            for _, label, file in newest[:MOST_SHEETS]
        ]


def _lined(study: StudyRecord) -> list[str]:
    """The variants whose lines are drawn."""
    return study.variants[:MOST_LINES]


def _panels(study: StudyRecord) -> list[dict[str, Any]]:
    """The panels of lines: first the scores of validation pairs, then the losses; a line a variant, its mean."""
    wanted = [(name, METRICS[name].heading, "curve") for name in curve_metrics(study)[:4]]
    wanted += [(name, label, "losses") for name, label in LOSSES.items()]
    panels = []
    for name, label, table in wanted:
        lines = {v: line for v in _lined(study) if (line := _line(study, v, name, table)) is not None}
        if lines:
            low = min(float(line.min()) for line in lines.values())
            high = max(float(line.max()) for line in lines.values())
            steps = max(float(line.index[-1]) for line in lines.values())
            points = {variant: _points(line, steps, low, high) for variant, line in lines.items()}
            panels.append({"label": label, "low": low, "high": high, "steps": int(steps), "points": points})
    return panels


def _points(line: "pd.Series[float]", steps: float, low: float, high: float) -> str:
    """A line as the points of an SVG's polyline in a square of 100 by 100, in which down is positive."""
    x = 100 * line.index.to_numpy(dtype=float) / (steps or 1)
    y = 100 - 100 * (line.to_numpy(dtype=float) - low) / ((high - low) or 1)
    return " ".join(f"{across:.1f},{down:.1f}" for across, down in zip(x, y, strict=True))


def _line(study: StudyRecord, variant: str, name: str, table: str) -> "pd.Series[float] | None":
    """The mean over seeds of a loss or score by step, thinned to what can be seen; None where there is none."""
    cells = [cell for cell in study.cells if cell.variant == variant]
    (found,) = by_step({cell.seed: cell.curve if table == "curve" else cell.losses for cell in cells}, name)
    mean: pd.Series[float] = found.mean(axis=1)
    return None if mean.empty else mean.iloc[:: -(-len(mean) // MOST_POINTS)]
