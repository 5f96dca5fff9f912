"""What the seeds and test images of a planned study can show, before anything is trained."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from p2pbench.config.metrics import DEFAULT_PRIMARY, METRICS, Metric
from p2pbench.errors import ConfigError
from p2pbench.runs.store import Store
from p2pbench.statistics.comparison import ALPHA
from p2pbench.statistics.trainings import (
    LEAST_SEEDS,
    MOST_SEEDS,
    Spread,
    limited_by_images,
    seeds_needed,
    smallest_difference,
)
from p2pbench.system.console import significant

if TYPE_CHECKING:
    from p2pbench.report.comparisons import Comparison


@dataclass(frozen=True)
class Detectable:
    """What ``--plan --json`` says under ``detectable``."""

    score: str
    """The primary score, as far as a plan can tell: it may prove saturated."""
    margin: float
    seeds: int
    images: int
    contrasts: int
    difference: float | None
    """The smallest difference that is shown with a chance of 80 % after Holm's correction, in the score's unit; None
    below three seeds."""
    seeds_for_margin: int | None
    """The seeds with which a difference of the margin is shown as well; None above 100."""
    limited_by_images: bool
    """Whether no number of seeds shows a difference of the margin on so many test images."""
    spread_of: str
    """Where the spread of trainings and images comes from."""

    @property
    def sentence(self) -> str:
        label = _about(self.score).label
        more = f"about {self.seeds_for_margin}" if self.seeds_for_margin else f"more than {MOST_SEEDS}"
        takes = f"takes {more} seeds"
        if self.limited_by_images:
            takes = f"no number of seeds shows on {self.images} test images"
        needs = f"a difference of the margin, {self.margin:g}, {takes}" if self.margin else ""
        if self.difference is None:
            held = "1 seed says" if self.seeds == 1 else f"{self.seeds} seeds say"
            few = f"{held} nothing of other trainings, which takes {LEAST_SEEDS} or more"
            return f"{few}; in {label} {needs}" if needs else few
        return (
            f"in {label} differences from {significant(self.difference, 2)} on ({self.seeds} seeds, {self.images} test "
            f"images, {self.contrasts} contrast{'s' if self.contrasts > 1 else ''}; chance 80 %; spread of "
            f"{self.spread_of})"
        ) + (f"; {needs}" if needs else "")


def detectable(
    store: Store, primary: Sequence[str], asked: Sequence[str], data: Mapping[str, Any], margins: Mapping[str, float],
    *, seeds: int, images: int | None, contrasts: int,
) -> Detectable | None:  # fmt: skip
    """What a study can show by its primary score; None where no spread of it is known, or the data are not here.

    Args:
        primary: the scores of which the first that can decide answers the question; of these one that is ``asked`` for.
        data: the settings of the data, by whose source, direction and size past studies are looked for in ``store``.
        margins: those that the grid sets.
        seeds, images, contrasts: how many are planned; None where the test images cannot be counted.
    """
    if images is None or images < 2 or not contrasts:
        return None
    for score in (name for name in (*primary, *DEFAULT_PRIMARY) if name in asked):
        found = _spread(store, score, data)
        if found is None:
            continue
        spread, source = found
        alpha, margin = ALPHA / contrasts, margins.get(score, _about(score).margin or 0.0)
        difference = smallest_difference(spread, seeds, images, alpha) if seeds >= LEAST_SEEDS else None
        needed = seeds_needed(margin, spread, images, alpha)
        limited = limited_by_images(margin, spread, images, alpha)
        return Detectable(score, margin, seeds, images, contrasts, difference, needed, limited, source)
    return None


def _spread(store: Store, score: str, data: Mapping[str, Any]) -> tuple[Spread, str] | None:
    """The spread of differences in studies of ``store`` on such data, else in the table beside this file."""
    for name in store.studies():
        from p2pbench.report.comparisons import comparisons  # pandas, which a plan of a first study does without
        from p2pbench.report.records import read_study

        try:
            record = read_study(store, name)
        except ConfigError:
            continue
        config = record.about.cells[0].config.get("data", {})
        if any(config.get(key) != data.get(key) for key in ("source", "direction", "crop_size")):
            continue
        if score not in record.metrics:
            continue
        known = [spread for c in comparisons(record, score) if (spread := spread_over_images(c)) is not None]
        if known:
            return Spread(*np.mean(known, axis=0).tolist()), f"study {name}"
    row = _table()["spreads"].get(score)
    return None if row is None else (Spread(**row), str(_table()["of"]))


def spread_over_images(c: Comparison) -> Spread | None:
    """The spread of a difference over single images, where ``c`` has it, perhaps over groups of them."""
    if (spread := c.spread) is None or c.found is None:
        return None
    size = c.n_images / c.found.n_images
    return Spread(spread.seeds, spread.images * size, spread.rest * size)


def _about(score: str) -> Metric:
    """What a score is; one of the user's own has the name of its function and no margin."""
    return METRICS.get(score) or Metric(score.partition(":")[2], "", "lower")


@functools.cache
def _table() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("spreads.toml").read_text(encoding="utf-8"))
