"""What the figures of a report share: which variants they show, in which colours, and their panels and legends."""

from collections.abc import Callable, Container

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from p2pbench.report.figures.style import COLUMN
from p2pbench.report.primary import leading
from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import score_matrices

Colour = tuple[float, float, float]
Row = Callable[[Axes, str, int, str, Colour], bool]

MOST_DRAWN = 12
"""The most variants that a figure shows; the tables have all."""


def drawn(study: StudyRecord) -> list[str]:
    """The variants that figures show, in the grid's order: all, or the baseline and those best by the primary score."""
    return leading(study, MOST_DRAWN)


def palette(study: StudyRecord) -> dict[str, Colour]:
    """A colour for each variant that is shown, the same in every figure (Okabe and Ito's, as seaborn has it)."""
    shown = drawn(study)
    return dict(zip(shown, sns.color_palette("colorblind", max(1, len(shown))), strict=False))


def draw_rows(study: StudyRecord, metrics: list[str], draw: Row) -> Figure | None:
    """A panel a score, two side by side, with a row a variant and its name at the left; None where there is no score.

    ``draw`` gets the panel, the score, the row's position, the variant and its colour; it returns whether there is any
    result, which is written there otherwise.
    """
    if not metrics:
        return None
    shown = drawn(study)
    columns = min(2, len(metrics))
    rows = -(-len(metrics) // columns)
    height = 0.55 + 0.17 * len(shown)
    figure, axes = plt.subplots(rows, columns, figsize=(COLUMN, height * rows), sharey=True, squeeze=False)
    for axis, metric in zip(axes.flat, metrics, strict=False):
        axis.set_title(study.metric(metric).heading)
        axis.set_xlabel(study.metric(metric).unit, fontsize=6)
        axis.grid(axis="y", visible=False)
        axis.locator_params(axis="x", nbins=4)
    for axis in axes.flat[len(metrics) :]:
        axis.set_visible(False)
    axes[0, 0].set_yticks(range(len(shown)), [v if len(v) <= 26 else f"{v[:25]}…" for v in shown])
    axes[0, 0].set_ylim(len(shown) - 0.5, -0.5)
    for axis, metric in zip(axes.flat, metrics, strict=False):
        for position, (variant, colour) in enumerate(palette(study).items()):
            if not draw(axis, metric, position, variant, colour):
                where = {"transform": axis.get_yaxis_transform(), "ha": "center", "va": "center"}
                axis.text(0.5, position, "no result", color=".45", fontsize=6, **where)
    figure.tight_layout()
    return figure


def legend_of(study: StudyRecord, variants: Container[str]) -> list[Line2D]:
    """Entries of a legend for those of ``variants`` that are shown, lines in their colours."""
    return [Line2D([], [], color=colour, label=v) for v, colour in palette(study).items() if v in variants]


def legend_below(figure: Figure, handles: list[Line2D], columns: int = 3) -> None:
    """A legend under the panels."""
    figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=min(columns, len(handles)))


def per_image(study: StudyRecord, variant: str, metric: str) -> np.ndarray | None:
    """The score of each test image, the mean over the seeds, (n,); None where there is none."""
    matrix = score_matrices(study, metric, [variant]).get(variant)
    return None if matrix is None else matrix.mean(axis=0).to_numpy()
