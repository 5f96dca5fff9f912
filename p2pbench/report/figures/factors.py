"""Figure of a grid of several factors: what each does by itself, and what two do together."""

import itertools
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2pbench.report.effects import combinations, factors_of
from p2pbench.report.figures.panels import MOST_DRAWN
from p2pbench.report.figures.style import COLUMN, MARKERS
from p2pbench.report.primary import primary_metric
from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import score_matrices
from p2pbench.statistics.intervals import Estimate, mean_interval
from p2pbench.statistics.trainings import over_trainings

MOST_PAIRS = 6
"""The most pairs of factors that have a panel."""


def draw_effects(study: StudyRecord) -> Figure | None:
    """The means of the primary score: a panel for each factor, then a panel for each two of them."""
    factors, metric = factors_of(study), primary_metric(study)
    if len(factors) < 2 or metric is None:
        return None
    matrices = score_matrices(study, metric, study.variants)
    scores = {
        levels: matrices[variant].dropna(axis="columns").to_numpy()
        for levels, variant in combinations(study, factors).items()
        if variant in matrices
    }
    if len(scores) < np.prod([len(levels) for levels in factors.values()]) or len(scores) > MOST_DRAWN**2:
        return None  # not every combination: means over the others would not be comparable
    pairs = list(itertools.combinations(range(len(factors)), 2))[:MOST_PAIRS]
    names = list(factors)
    n_panels = len(names) + len(pairs)
    rows = -(-n_panels // 2)
    figure, grid = plt.subplots(rows, 2, figsize=(COLUMN, 1.75 * rows), squeeze=False, sharey=True)
    axes = list(grid.flat)
    for axis, (i, name) in zip(axes, enumerate(names), strict=False):
        estimates = [_estimate([s for key, s in scores.items() if key[i] == level]) for level in factors[name]]
        _line(axis, factors[name], estimates, "black", "o", 0)
        axis.set_title(name.split(".")[-1])
    for axis, (i, j) in zip(axes[len(names) :], pairs, strict=False):
        colours = sns.color_palette("colorblind", len(factors[names[j]]))
        for k, level in enumerate(factors[names[j]]):
            estimates = [
                _estimate([s for key, s in scores.items() if key[i] == first and key[j] == level])
                for first in factors[names[i]]
            ]
            _line(axis, factors[names[i]], estimates, colours[k], MARKERS[k % len(MARKERS)], 0.06 * k, label=level)
        axis.set_title(f"{names[i].split('.')[-1]} × {names[j].split('.')[-1]}")
        axis.legend(title=names[j].split(".")[-1], title_fontsize=6, fontsize=6, loc="best")
    for axis in axes[n_panels:]:
        axis.set_visible(False)
    for axis in grid[:, 0]:
        axis.set_ylabel(study.metric(metric).heading)
    figure.tight_layout()
    return figure


def _estimate(scores: list[np.ndarray]) -> Estimate:
    """The mean over combinations with its interval: over trainings and images where the seeds allow it."""
    if len({found.shape for found in scores}) == 1:
        over = over_trainings(np.mean(scores, axis=0))
        if over.low is not None:
            return Estimate(over.value, over.low, over.high, over.n_images)
    return mean_interval(np.mean([found.mean(axis=0) for found in scores], axis=0))


def _line(
    axis: Axes, levels: list[str], estimates: list[Estimate], colour: Any, marker: str, aside: float,
    label: str | None = None,
) -> None:  # fmt: skip
    at = np.arange(len(levels)) + aside
    axis.plot(at, [e.value for e in estimates], marker, ls="-", color=colour, ms=3.5, lw=1, label=label)
    for x, e in zip(at, estimates, strict=True):
        if e.low is not None and e.high is not None:
            axis.plot([x, x], [e.low, e.high], color=colour, lw=1)
    slanted = sum(map(len, levels)) > 20
    axis.set_xticks(range(len(levels)), [level.split("=")[-1] for level in levels], rotation=25 if slanted else 0,
                    ha="right" if slanted else "center")  # fmt: skip
    axis.set_xlim(-0.4, len(levels) - 0.4)
