"""Figures of training: the losses, and the scores of validation pairs on the way."""

import itertools
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2pbench.report.curves import curve_metrics, curve_of
from p2pbench.report.figures.panels import Colour, legend_below, legend_of, palette
from p2pbench.report.figures.style import COLUMN
from p2pbench.report.records import CellRecord, StudyRecord

PANELS = {"g_l1": "L1 distance of G", "g_adversarial": "adversarial loss of G", "d_loss": "loss of D"}
MOST_STEPS = 400
"""The most points of a line; where there are more, neighbours are averaged."""


def draw_losses(study: StudyRecord) -> Figure | None:
    """Training losses by step, a panel a loss: a line a variant, a band over its seeds."""
    panels: dict[str, dict[str, pd.DataFrame]] = {}
    for name, variant in itertools.product(PANELS, palette(study)):
        frame = _by_seed([c for c in study.cells if c.variant == variant], name)
        if frame is not None:
            panels.setdefault(name, {})[variant] = frame
    if not panels:
        return None
    figure, axes = plt.subplots(len(panels), 1, figsize=(COLUMN, 1.35 * len(panels)), sharex=True, squeeze=False)
    for axis, (name, frames) in zip(axes[:, 0], panels.items(), strict=True):
        for variant, frame in frames.items():
            _line(axis, frame.index, frame, palette(study)[variant])
        axis.set_title(PANELS[name])
        if min(frame.min().min() for frame in frames.values()) >= 0:  # hinge and Wasserstein losses go below
            axis.set_ylim(bottom=0)
    axes[-1, 0].set_xlabel("step")
    figure.tight_layout()
    legend_below(figure, legend_of(study, set().union(*panels.values())))
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
            for axis, x in zip(row, (curve.values.index, curve.minutes), strict=True):
                _line(axis, x, curve.values, colour, marker=".", ms=2)
        row[0].set_title(study.metric(name).heading)
    for axis, label in zip(axes[-1], ("step", "minutes of training"), strict=True):
        axis.set_xlabel(label)
    for axis in axes.flat:
        axis.locator_params(axis="x", nbins=4)
    figure.tight_layout()
    legend_below(figure, legend_of(study, shown))
    return figure


def _line(axis: Axes, x: Any, values: pd.DataFrame, colour: Colour, **marks: Any) -> None:
    """The mean over the columns of ``values``, which are seeds, and a band from the least to the most."""
    axis.plot(x, values.mean(axis=1), color=colour, lw=0.9, **marks)
    if values.shape[1] > 1:
        axis.fill_between(x, values.min(axis=1), values.max(axis=1), color=colour, alpha=0.2, lw=0)


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
