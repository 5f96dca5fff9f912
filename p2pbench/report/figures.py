"""The figures of a report: scores with their intervals, loss curves, a sample sheet. PNG, colour-blind-safe."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D
from PIL import Image

from p2pbench.figures import write_all
from p2pbench.report.records import StudyRecord
from p2pbench.report.tables import summarise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE: dict[str, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 200,
    "savefig.dpi": "figure",
    "font.size": 9,
}
MARKERS = "osD^vPX*<>"


def palette(study: StudyRecord) -> dict[str, tuple[float, float, float]]:
    """A colour for each variant, the same in every figure (Okabe and Ito's, as seaborn has it)."""
    colours = sns.color_palette("colorblind", max(1, len(study.variants)))
    return dict(zip(study.variants, colours, strict=True))


def write_figures(study: StudyRecord, folder: Path) -> dict[str, Path]:
    """Draw what the records allow into ``folder``; returns the file of each figure by its name."""
    draw = {"scores": draw_scores, "losses": draw_losses, "samples": draw_samples}
    return write_all({name: partial(one, study) for name, one in draw.items()}, folder, grid=".9", style=STYLE)


def draw_scores(study: StudyRecord) -> Figure | None:
    """A panel a score: each variant's mean with its interval over test images, the baseline as a line."""
    metrics = [m for m in study.metrics if any(summarise(study, v, m).value is not None for v in study.variants)]
    if not metrics:
        return None
    colours = palette(study)
    columns = min(4, len(metrics))
    rows = -(-len(metrics) // columns)
    height = 0.9 + 0.32 * len(study.variants)
    figure, axes = plt.subplots(rows, columns, figsize=(2.4 * columns + 0.8, height * rows), sharey=True, squeeze=False)
    for axis, metric in zip(axes.flat, metrics, strict=False):
        for position, variant in enumerate(study.variants):
            s = summarise(study, variant, metric)
            if s.value is None:
                axis.text(0.5, position, "no result", transform=axis.get_yaxis_transform(), ha="center", va="center",
                          color=".45", fontsize=8)  # fmt: skip
                continue
            if variant == study.about["baseline"]:
                axis.axvline(s.value, color=".6", lw=1, ls="--", zorder=1)
            if s.low is not None and s.high is not None:
                axis.plot(
                    [s.low, s.high], [position] * 2, color=colours[variant], lw=2, solid_capstyle="butt", zorder=2
                )
            axis.plot(s.value, position, MARKERS[position % len(MARKERS)], color=colours[variant], ms=6, zorder=3)
        axis.set_title(study.metric(metric).heading, fontsize=9)
        axis.set_xlabel(study.metric(metric).unit, fontsize=8)
        axis.grid(axis="y", visible=False)
        axis.locator_params(axis="x", nbins=4)
        axis.tick_params(axis="x", labelsize=8)
    for axis in axes.flat[len(metrics) :]:
        axis.set_visible(False)
    axes[0, 0].set_yticks(range(len(study.variants)), study.variants)
    axes[0, 0].set_ylim(len(study.variants) - 0.5, -0.5)
    figure.tight_layout()
    return figure


def draw_losses(study: StudyRecord) -> Figure | None:
    """Training losses by step: G's L1 distance, G's adversarial loss, D's loss; a line a variant, a band over seeds."""
    frames = [
        cell.losses.assign(variant=cell.variant, seed=cell.seed)
        for cell in study.cells
        if {"step", "g_l1"} <= set(cell.losses.columns)
    ]
    if not frames:
        return None
    losses = pd.concat(frames, ignore_index=True)
    panels = {"g_l1": "L1 distance of G", "g_adversarial": "adversarial loss of G", "d_loss": "loss of D"}
    panels = {name: title for name, title in panels.items() if name in losses and losses[name].notna().any()}
    figure, axes = plt.subplots(1, len(panels), figsize=(3.0 * len(panels) + 0.6, 2.8), squeeze=False)
    for axis, (name, title) in zip(axes[0], panels.items(), strict=True):
        sns.lineplot(
            data=losses.dropna(subset=[name]), x="step", y=name, hue="variant", hue_order=study.variants,
            palette=palette(study), errorbar=("pi", 100), lw=1.2, ax=axis, legend=False,
        )  # fmt: skip
        axis.set(title=title, xlabel="step", ylabel="")
        axis.title.set_fontsize(9)
        if losses[name].min() >= 0:  # hinge and Wasserstein losses go below
            axis.set_ylim(bottom=0)
    handles = [Line2D([], [], color=colour, label=variant) for variant, colour in palette(study).items()]
    figure.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=min(5, len(handles)), frameon=False
    )
    figure.tight_layout()
    return figure


def draw_samples(study: StudyRecord, n_rows: int = 6) -> Figure | None:
    """Test pairs at fixed positions: condition, untrained generator, every variant, target."""
    finished = [cells[0] for variant in study.variants if (cells := study.of(variant))]
    if not finished:
        return None
    found = sorted({path.name[:5] for path in (finished[0].run.samples / "test").glob("*-target.png")})
    positions = [found[int(i)] for i in np.linspace(0, len(found) - 1, min(n_rows, len(found))).round()]
    if not positions:
        return None
    first = finished[0].run
    columns = [("condition", first, "condition"), ("untrained", first, "untrained")]
    columns += [(cell.variant, cell.run, "output") for cell in finished]
    columns += [("target", first, "target")]
    figure, axes = plt.subplots(
        len(positions), len(columns), figsize=(1.15 * len(columns), 1.15 * len(positions) + 0.3), squeeze=False, dpi=125
    )
    for row, position in enumerate(positions):
        for axis, (title, run, name) in zip(axes[row], columns, strict=True):
            axis.set_axis_off()
            try:
                axis.imshow(np.asarray(Image.open(run.sample_file(name, position))), interpolation="nearest")
            except OSError:
                axis.text(0.5, 0.5, "missing", ha="center", va="center", transform=axis.transAxes, fontsize=7)
            if row == 0:
                axis.set_title(title, fontsize=8)
    figure.subplots_adjust(wspace=0.03, hspace=0.03)
    return figure
