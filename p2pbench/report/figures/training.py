"""Figures of training: the losses, and the scores of validation pairs on the way."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2pbench.report.curves import by_step, curve_metrics, curve_of, validation_pairs
from p2pbench.report.figures.panels import Look, drawn, finish, handles, looked, looks, note, panels, shown
from p2pbench.report.records import StudyRecord
from p2pbench.report.training_cost import training_images
from p2pbench.system.figure_style import COLUMN

PANELS = {"g_l1": "L1 distance of G", "g_adversarial": "adversarial loss of G", "d_loss": "loss of D"}
MOST_STEPS = 400
"""The most points of a line; where there are more, neighbours are averaged."""


def draw_losses(study: StudyRecord, width: float = COLUMN) -> Figure | None:
    """Training losses by step, a panel a loss: a line a variant, a band over its seeds."""
    found: dict[str, dict[str, pd.DataFrame]] = {}
    for name, variant in itertools.product(PANELS, drawn(study)):
        (frame,) = by_step({c.seed: c.losses for c in study.cells if c.variant == variant}, name)
        if len(frame):
            found.setdefault(name, {})[variant] = _thinned(frame)
    if not found:
        return None
    look = looks(study)
    figure, axes = panels(len(found), width, 1.45 if width == COLUMN else 1.9)
    for axis, (name, frames) in zip(axes, found.items(), strict=True):
        for k, (variant, frame) in enumerate(frames.items()):
            _line(axis, frame.index, frame, look[variant], k)
        axis.set_title(PANELS[name])
        axis.set_xlabel("step")
        axis.locator_params(axis="x", nbins=4)
        if min(frame.min().min() for frame in frames.values()) >= 0:  # hinge and Wasserstein losses go below
            axis.set_ylim(bottom=0)
    variants = [v for v in look if any(v in frames for frames in found.values())]
    images = training_images([cell for v in variants for cell in study.cells if cell.variant == v])
    text = _note(study, variants, *([f"{images} training images an epoch"] if images else []))
    return finish(figure, text, handles(looked(study, variants), width))


def draw_curves(study: StudyRecord, width: float = COLUMN) -> Figure | None:
    """Scores of validation pairs by step and, on one machine, by time: a line a variant, a band over its seeds."""
    found = {
        name: {v: curve for v in drawn(study) if (curve := curve_of(study, v, name)) is not None}
        for name in curve_metrics(study)
        if study.chosen.metrics is None or name in study.chosen.metrics
    }
    found = {name: curves for name, curves in found.items() if curves}
    if not found:
        return None
    look = looks(study)
    by = ["step", *(["minutes of training"] if len(study.machines) < 2 else [])]
    figure, axes = panels(len(by) * len(found), width, 1.45, most=4 if len(found) > 1 else 2, least=2)
    for k, (name, curves) in enumerate(found.items()):
        row = axes[k * len(by) : (k + 1) * len(by)]
        row[0].set_title(shown(study.metric(name).heading, 20))
        for axis, label in zip(row, by, strict=True):
            for position, (variant, curve) in enumerate(curves.items()):
                x = curve.values.index if label == "step" else curve.minutes
                _line(axis, x, curve.values, look[variant], position)
            axis.set_xlabel(label)
            axis.locator_params(axis="x", nbins=3 if width == COLUMN else 4)
        for axis in row[1:]:
            axis.sharey(row[0])
            axis.tick_params(labelleft=False)
    variants = [v for v in look if any(v in curves for curves in found.values())]
    pairs = validation_pairs([c for v in variants for c in study.cells if c.variant == v])
    text = _note(study, variants, pairs, *([] if len(by) > 1 else ["by step alone: times are of several machines"]))
    return finish(figure, text, handles(looked(study, variants), width))


def _note(study: StudyRecord, variants: list[str], *more: str) -> str:
    several = any(len(study.of(variant)) > 1 for variant in variants)
    return note(study, variants, None, *more, *(["bands: from the least to the most of the seeds"] if several else []))


def _line(axis: Axes, x: Any, values: pd.DataFrame, look: Look, position: int) -> None:
    """The mean over the columns of ``values``, which are seeds, and a band from the least to the most."""
    every = (0.02 * position, 0.25) if len(values) > 1 else None  # a single reading is a marker alone
    axis.plot(x, values.mean(axis=1), **look.line(markevery=every))
    if values.shape[1] > 1:
        axis.fill_between(x, values.min(axis=1), values.max(axis=1), color=look.colour, alpha=0.15, lw=0)


def _thinned(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with no more rows than a line needs."""
    every = -(-len(frame) // MOST_STEPS)
    if every == 1:
        return frame
    groups = np.arange(len(frame)) // every
    thinned = frame.groupby(groups).mean()
    thinned.index = pd.Index(pd.Series(frame.index).groupby(groups).mean())
    return thinned
