"""The figures of an exploration: PNG, colour-blind-safe, the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from p2pbench.curation.explore import measures
from p2pbench.curation.explore.drift import LARGE, MODERATE
from p2pbench.curation.explore.examples import draw_pairs, edge_examples, extremes, printable, thumbnail
from p2pbench.curation.explore.explore import MEASURES, Exploration, Labels, edges_of, hex_of
from p2pbench.curation.explore.source import SIDES, Key, keyed_sample
from p2pbench.data.images import Images
from p2pbench.report.figures.style import write_all

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE: dict[str, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "figure.dpi": 160,
    "savefig.dpi": "figure",
    "font.size": 9,
}
COLOURS = sns.color_palette("colorblind")
"""Okabe and Ito's colours, as seaborn has them."""
SPLIT_STYLE = {"train": (COLOURS[0], "-", "o"), "val": (COLOURS[2], ":", "s"), "test": (COLOURS[1], "--", "^")}
N_PAIRS = 12
MOST_LABELS = 24
"""Maximum labels in a figure; the page's table has them all."""


def write_figures(exploration: Exploration, folder: Path) -> dict[str, Path]:
    """Draw what there is to draw into ``folder``; returns the file of each figure by its name."""
    chosen = {
        "pairs": [(key, "/".join(key)) for key in keyed_sample(exploration.source.keys, N_PAIRS)],
        "extremes": extremes(exploration),
        "edges": edge_examples(exploration.edges),
    }
    wanted = {key for picks in chosen.values() for key, _ in picks}
    images = exploration.source.read(wanted)
    figures: dict[str, Any] = {
        "pairs": lambda: draw_pairs(chosen["pairs"], images, columns=3),
        "extremes": lambda: draw_pairs(chosen["extremes"], images, columns=4),
        "mean": lambda: draw_means(exploration),
        "channels": lambda: draw_channels(exploration),
        "measures": lambda: draw_measures(exploration),
        "edges": lambda: draw_edges(exploration, chosen["edges"], images),
        "drift": lambda: draw_drift(exploration.drift),
    }
    for side in SIDES:
        labels = exploration.sides[side].labels
        if labels is not None:
            figures[f"palette_{side}"] = lambda labels=labels: draw_palette(labels)
            figures[f"places_{side}"] = lambda labels=labels: draw_places(labels)
    return write_all(figures, folder, grid=".92", style=STYLE)


# ---- all images together


def draw_means(exploration: Exploration) -> Figure:
    """The mean of all images of each side, and their standard deviation, averaged over channels."""
    figure, axes = plt.subplots(1, 4, figsize=(9.6, 2.9), gridspec_kw={"wspace": 0.06})
    spreads = [exploration.sides[side].spread.mean(axis=2) for side in SIDES]
    top = max(1.0, *(float(spread.max()) for spread in spreads))
    for number, side in enumerate(SIDES):
        left, right = axes[2 * number], axes[2 * number + 1]
        left.imshow(exploration.sides[side].mean.round().astype(np.uint8))
        left.set_title(f"{side}: mean")
        shown = right.imshow(spreads[number], cmap="mako", vmin=0, vmax=top)
        right.set_title(f"{side}: spread")
    for axis in axes:
        axis.set_axis_off()
    bar = figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.015, aspect=24)
    bar.set_label("standard deviation, grey levels")
    bar.outline.set_visible(False)
    return figure


def draw_channels(exploration: Exploration) -> Figure:
    """The values of each channel, in bins of four levels: a line a split; logarithmic where a side is a label map."""
    figure, axes = plt.subplots(2, 3, figsize=(9.6, 4.4), sharex=True, sharey="row")
    for row, side in zip(axes, SIDES, strict=True):
        found = exploration.sides[side]
        for channel, (axis, name) in enumerate(zip(row, ("red", "green", "blue"), strict=True)):
            for split, shares in found.channels.items():
                colour, dash, _ = SPLIT_STYLE[split]
                binned = shares[channel].reshape(64, 4).sum(axis=1)
                axis.plot(np.arange(64) * 4 + 1.5, binned, color=colour, ls=dash, lw=1.4)
            axis.set_title(f"{side}: {name}")
            _percent(axis)
            if found.labels is not None:
                axis.set_yscale("log")
                axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        row[0].set_ylabel("share of pixels")
    for axis in axes[-1]:
        axis.set_xticks([0, 64, 128, 192, 255])
        axis.set_xlabel("level")
    figure.tight_layout()
    _legend(figure, list(exploration.source.names))
    return figure


def draw_measures(exploration: Exploration) -> Figure:
    """The distribution of each measure over the images of each side: the splits over one another."""
    n_bins = int(np.clip(np.sqrt(min(map(len, exploration.source.names.values()))) + 2, 6, 30))
    figure, axes = plt.subplots(2, len(MEASURES), figsize=(9.6, 4.4))
    for row, side in zip(axes, SIDES, strict=True):
        images = exploration.images_of(side)
        for axis, measure in zip(row, MEASURES, strict=True):
            axis.set_title(f"{side}: {measure}")
            axis.set_ylabel("share of images" if measure == next(iter(MEASURES)) else "")
            low, high = float(images[measure].min()), float(images[measure].max())
            if high - low < 1e-6:
                axis.text(0.5, 0.5, f"{low:.3g}\nin every image", transform=axis.transAxes, ha="center", va="center")
                axis.set(xticks=[], yticks=[])
                continue
            _percent(axis)
            _overlay(axis, images, measure, np.linspace(low, high, n_bins + 1))
    figure.tight_layout()
    _legend(figure, list(exploration.source.names))
    return figure


def _overlay(axis: Axes, rows: pd.DataFrame, column: str, bins: np.ndarray) -> None:
    for split in rows["split"].unique():
        colour, dash, _ = SPLIT_STYLE[split]
        values = rows.loc[rows["split"] == split, column].dropna()
        shares = np.histogram(values, bins)[0] / max(1, len(values))
        axis.stairs(shares, bins, color=colour, ls=dash, lw=1.3)
        if split == "train":
            axis.stairs(shares, bins, color=colour, fill=True, alpha=0.2)


def _percent(axis: Axes) -> None:
    """Ticks in whole percent where they are."""
    axis.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")


def _legend(figure: Figure, splits: list[str]) -> None:
    handles = [
        Line2D([], [], color=SPLIT_STYLE[split][0], ls=SPLIT_STYLE[split][1], lw=1.6, label=split) for split in splits
    ]
    figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=len(handles), frameon=False)


# ---- labels


def draw_palette(labels: Labels) -> Figure:
    """A bar a label, in its own colour: its share of all pixels; a mark for each split."""
    n = min(MOST_LABELS, len(labels.palette.colours))
    figure, axis = plt.subplots(figsize=(9.6, 0.7 + 0.3 * n))
    names = [hex_of(colour) for colour in labels.palette.colours[:n]]
    shares = labels.shares["all"][:n]
    axis.barh(range(n), shares, height=0.72, color=names, edgecolor=".35", lw=0.6)
    splits = [split for split in labels.shares if split != "all"]
    for split in splits:
        _, _, marker = SPLIT_STYLE[split]
        axis.plot(labels.shares[split][:n], range(n), marker, ms=5, mfc="white", mec=".1", mew=1.0, ls="none")
    reach = max(float(found[:n].max()) for found in labels.shares.values())
    for position, share in enumerate(shares):
        furthest = max(float(found[position]) for found in labels.shares.values())
        text = f"{100 * share:.1f} %   in {100 * labels.present[position]:.0f} % of images"
        axis.text(furthest + 0.015 * reach, position, text, va="center", fontsize=8, color=".25")
    axis.set_yticks(range(n), names, family="monospace")
    axis.set_ylim(n - 0.4, -0.6)
    axis.set_xlim(0, 1.3 * reach)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("share of pixels, all splits")
    axis.grid(axis="y", visible=False)
    handles = [Line2D([], [], marker=SPLIT_STYLE[s][2], mfc="white", mec=".1", ls="none", label=s) for s in splits]
    axis.legend(handles=handles, loc="lower right", frameon=False)
    return figure


def draw_places(labels: Labels) -> Figure:
    """A map a label: how many of the images have it in each place, from none to the most anywhere."""
    n = min(MOST_LABELS, len(labels.palette.colours))
    columns = min(6, n)
    rows = -(-n // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.6 * columns, 1.85 * rows), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, colour, place in zip(axes.flat, labels.palette.colours[:n], labels.places[:n], strict=False):
        most = float(place.max())
        axis.imshow(place, cmap="mako", vmin=0, vmax=max(most, 1e-9))
        swatch = {"boxstyle": "round,pad=0.25", "facecolor": hex_of(colour), "edgecolor": ".35", "linewidth": 0.6}
        axis.text(0.05, 1.1, "  ", transform=axis.transAxes, fontsize=7, va="center", bbox=swatch)
        axis.text(0.2, 1.1, f"0 to {100 * most:.0f} %", transform=axis.transAxes, fontsize=8, va="center", color=".25")
    figure.subplots_adjust(0, 0, 1, 1, wspace=0.06, hspace=0.24)
    return figure


# ---- edges


def draw_edges(
    exploration: Exploration, examples: list[tuple[Key, str]], images: Mapping[Key, Images]
) -> Figure | None:
    """Edge agreement of pairs, beside what chance gives; and the edges of three pairs laid over one another."""
    if not examples:
        return None
    figure = plt.figure(figsize=(9.6, 1.5 * len(examples)))
    parts = figure.add_gridspec(1, 2, width_ratios=(1, 1.12), wspace=0.08)
    axis = figure.add_subplot(parts[0])
    bins = np.linspace(0, 1, 41)
    for column, colour, label in (
        ("by_chance", ".5", "with another pair's B"),
        ("agreement", COLOURS[0], "with its own B"),
    ):
        values = exploration.edges[column].dropna()
        shares = np.histogram(values, bins)[0] / max(1, len(values))
        axis.stairs(shares, bins, fill=True, color=colour, alpha=0.35, label=f"A {label}")
        axis.stairs(shares, bins, color=colour, lw=1.3)
    axis.set(xlim=(0, 1), xlabel="edge agreement (F)", ylabel="share of pairs")
    axis.margins(y=0.3)
    _percent(axis)
    axis.legend(frameon=False, loc="upper right")
    grid = parts[1].subgridspec(len(examples), 3, wspace=0.03, hspace=0.16)
    for number, (key, caption) in enumerate(examples):
        a, b = images[key]
        cells = [figure.add_subplot(grid[number, column]) for column in range(3)]
        pictures = (thumbnail(a), overlay(exploration, images[key]), thumbnail(b))
        for cell, picture in zip(cells, pictures, strict=True):
            cell.imshow(picture, interpolation="nearest")
            cell.set_axis_off()
        cells[0].set_title(printable("/".join(key)), loc="left", fontsize=7.5, color=".25", pad=3, parse_math=False)
        cells[2].set_title(caption, loc="right", fontsize=7.5, color=".25", pad=3)
    patches = [Patch(color=colour, label=label) for colour, label in zip(EDGE_COLOURS, ("A", "B", "both"), strict=True)]
    cells[1].legend(handles=patches, ncols=3, frameon=False, fontsize=7.5, loc="upper center", bbox_to_anchor=(0.5, 0),
                    handlelength=1, columnspacing=1)  # fmt: skip
    return figure


EDGE_COLOURS = (COLOURS[0], COLOURS[1], (0.1, 0.1, 0.1))


def overlay(exploration: Exploration, images: Images) -> np.ndarray:
    """The edges of A, of B and those that coincide on white, (128, 128, 3), float in [0, 1]."""
    labels = [exploration.sides[side].labels for side in SIDES]
    on_a, on_b = (
        edges_of(image, found.palette if found else None) for image, found in zip(images, labels, strict=True)
    )
    picture = np.ones((*on_a.shape, 3))
    both = (on_a & measures.beside(on_b)) | (on_b & measures.beside(on_a))
    for colour, where in zip(EDGE_COLOURS, (on_a, on_b, both), strict=True):
        picture[where] = colour
    return picture


# ---- drift


def draw_drift(drift: pd.DataFrame) -> Figure:
    """The distance between training and test split of each measure, on the range that chance alone would give."""
    figure, axis = plt.subplots(figsize=(9.6, 0.8 + 0.27 * len(drift)))
    shown = drift["drift"] != "none shown"
    positions = np.arange(len(drift))
    axis.barh(positions, drift["chance"].clip(upper=1), color=".9", height=0.8, zorder=1)
    for mask, colour, marker in ((~shown, COLOURS[0], "o"), (shown, COLOURS[3], "D")):
        axis.plot(drift["ks"][mask], positions[mask], marker, color=colour, ms=6, ls="none", zorder=3)
    axis.set_yticks(
        positions, [f"{side}: {measure}" for side, measure in zip(drift["side"], drift["measure"], strict=True)]
    )
    axis.set_ylim(len(drift) - 0.4, -0.6)
    edge = float(np.clip(1.1 * drift[["ks", "chance"]].max().max(), 0.6, 1))
    axis.set_xlim(0, edge)
    for bound, word in ((MODERATE, "moderate"), (LARGE, "large")):
        axis.axvline(bound, color=".45", lw=0.8, ls=":", zorder=2)
        axis.text(bound, -0.75, f" {word}", color=".35", fontsize=8, va="bottom")
    axis.set_xlabel("distance between the training and the test split (Kolmogorov-Smirnov: 0 the same, 1 apart)")
    axis.grid(axis="y", visible=False)
    handles: list[Any] = [
        Patch(color=".9", label="what chance alone gives"),
        Line2D([], [], marker="o", color=COLOURS[0], ls="none", label="no drift shown"),
        Line2D([], [], marker="D", color=COLOURS[3], ls="none", label="drift shown"),
    ]
    axis.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.16 - 0.5 / len(drift)), ncols=3, frameon=False
    )
    return figure
