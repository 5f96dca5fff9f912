"""Figures of training: the losses, and the scores of validation pairs on the way."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from p2pbench.report.curves import curve_metrics, curve_of
from p2pbench.report.figures.panels import legend_below, legend_of, palette
from p2pbench.report.figures.style import COLUMN
from p2pbench.report.records import CellRecord, StudyRecord

PANELS = {"g_l1": "L1 distance of G", "g_adversarial": "adversarial loss of G", "d_loss": "loss of D"}
MOST_STEPS = 400
"""The most points of a line; where there are more, neighbours are averaged."""


def draw_losses(study: StudyRecord) -> Figure | None:
    """Training losses by step, a panel a loss: a line a variant, a band over its seeds."""
    curves = {
        (name, variant): found
        for variant in palette(study)
        for name in PANELS
        if (found := _by_seed([c for c in study.cells if c.variant == variant], name)) is not None
    }
    panels = [name for name in PANELS if any(loss == name for loss, _ in curves)]
    if not panels:
        return None
    figure, axes = plt.subplots(len(panels), 1, figsize=(COLUMN, 1.35 * len(panels)), sharex=True, squeeze=False)
    for axis, name in zip(axes[:, 0], panels, strict=True):
        least = 0.0
        for (loss, variant), frame in curves.items():
            if loss != name:
                continue
            colour = palette(study)[variant]
            axis.plot(frame.index, frame.mean(axis=1), color=colour, lw=0.9)
            if frame.shape[1] > 1:
                axis.fill_between(frame.index, frame.min(axis=1), frame.max(axis=1), color=colour, alpha=0.2, lw=0)
            least = min(least, float(frame.min().min()))
        axis.set_title(PANELS[name])
        if least >= 0:  # hinge and Wasserstein losses go below
            axis.set_ylim(bottom=0)
    axes[-1, 0].set_xlabel("step")
    figure.tight_layout()
    legend_below(figure, legend_of(study, {variant for _, variant in curves}))
    return figure


def draw_curves(study: StudyRecord) -> Figure | None:
    """Scores of validation pairs by step, left, and by time, right: a line a variant, a band over its seeds."""
    metrics = curve_metrics(study)
    if not metrics:
        return None
    figure, axes = plt.subplots(len(metrics), 2, figsize=(COLUMN, 1.35 * len(metrics)), sharey="row", squeeze=False)
    shown = set()
    for row, name in zip(axes, metrics, strict=True):
        for variant, colour in palette(study).items():
            curve = curve_of(study, variant, name)
            if curve is None:
                continue
            shown.add(variant)
            low, high = curve.values.min(axis=1), curve.values.max(axis=1)
            for axis, x in zip(row, (curve.values.index, curve.minutes), strict=True):
                axis.plot(x, curve.values.mean(axis=1), color=colour, lw=0.9, marker=".", ms=2)
                if curve.values.shape[1] > 1:
                    axis.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)
        row[0].set_title(study.metric(name).heading)
    for axis, label in zip(axes[-1], ("step", "minutes of training"), strict=True):
        axis.set_xlabel(label)
    for axis in axes.flat:
        axis.locator_params(axis="x", nbins=4)
    figure.tight_layout()
    legend_below(figure, legend_of(study, shown))
    return figure


def _by_seed(cells: list[CellRecord], name: str) -> pd.DataFrame | None:
    """The loss by step, a column a seed, NaN where one has no reading; None where no seed has any."""
    columns = {}
    for cell in cells:
        if {"step", name} <= set(cell.losses.columns):
            column = cell.losses.dropna(subset=["step", name]).drop_duplicates("step").set_index("step")[name]
            if len(column := column[np.isfinite(column)]):
                columns[cell.seed] = column
    if not columns:
        return None
    frame = pd.DataFrame(columns).sort_index()
    every = -(-len(frame) // MOST_STEPS)
    if every == 1:
        return frame
    groups = np.arange(len(frame)) // every
    thinned = frame.groupby(groups).mean()
    thinned.index = pd.Index(pd.Series(frame.index).groupby(groups).mean())
    return thinned
