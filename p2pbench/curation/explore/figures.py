"""The figures of an exploration: PNG, colour-blind-safe, the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import PercentFormatter

from p2pbench.curation.explore import measures
from p2pbench.curation.explore.drift import LARGE, MODERATE
from p2pbench.curation.explore.examples import draw_pairs, draw_roles, edge_examples, extremes, printable, thumbnail
from p2pbench.curation.explore.explore import MEASURES, Exploration, Labels, edges_of, hex_of
from p2pbench.curation.explore.source import SIDES, Key, keyed_sample
from p2pbench.data.images import Images
from p2pbench.system.figure_style import write_all

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = sns.color_palette("colorblind")
"""Okabe and Ito's colours, as seaborn has them."""
SPLITS = {"train": COLOURS[0], "val": COLOURS[2], "test": COLOURS[1]}
DASHES = {"train": (), "val": (1, 1), "test": (4, 1.5)}
MARKERS = {"train": "o", "val": "s", "test": "^"}
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
    source, (first, _) = exploration.source, chosen["pairs"][0]
    figures: dict[str, Any] = {
        "roles": lambda: draw_roles(images[first], source.roles, source.reads),
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
    return write_all(figures, folder)


# ---- all images together


def draw_means(exploration: Exploration) -> Figure:
    """The mean of all images of each side, and their standard deviation, averaged over channels."""
    figure, axes = plt.subplots(1, 4, figsize=(9.6, 2.9), gridspec_kw={"wspace": 0.06})
    spreads = [exploration.sides[side].spread.mean(axis=2) for side in SIDES]
    top = max(1.0, *(float(spread.max()) for spread in spreads))
    for (left, right), side, spread in zip(axes.reshape(2, 2), SIDES, spreads, strict=True):
        left.imshow(exploration.sides[side].mean.round().astype(np.uint8))
        left.set_title(f"{side}: mean")
        shown = right.imshow(spread, cmap="mako", vmin=0, vmax=top)
        right.set_title(f"{side}: spread")
    for axis in axes:
        axis.set_axis_off()
    bar = figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.015, aspect=24, label="standard deviation, grey levels")
    bar.outline.set_visible(False)
    return figure


def draw_channels(exploration: Exploration) -> Figure:
    """The values of each channel, in bins of four levels: a line a split; logarithmic where a side is a label map."""
    rows = exploration.channels()
    bins = rows["level"] // 4 * 4 + 1.5
    shares = rows.groupby(["side", "channel", "split", bins], sort=False)["share"].sum().reset_index()
    grid = sns.relplot(
        shares, x="level", y="share", row="side", col="channel", hue="split", style="split", kind="line",
        errorbar=None, palette=SPLITS, dashes=DASHES, height=2.2, aspect=1.4, facet_kws={"sharey": "row"},
    )  # fmt: skip
    for side, axes in zip(SIDES, grid.axes, strict=True):
        axes[0].set_yscale("linear" if exploration.sides[side].labels is None else "log")
    return _finished(grid, "level", "share of pixels")


def draw_measures(exploration: Exploration) -> Figure:
    """The distribution of each measure over the images of each side: the splits over one another."""
    rows = exploration.per_image.melt(["side", "split"], list(MEASURES), "measure")
    grid = sns.FacetGrid(rows, row="side", col="measure", sharex=False, sharey=False, height=2.2, aspect=1.05)
    n_bins = int(np.clip(np.sqrt(min(map(len, exploration.source.names.values()))) + 2, 6, 30))
    grid.map_dataframe(
        sns.histplot, x="value", hue="split", palette=SPLITS, bins=n_bins, stat="proportion", common_norm=False,
        element="step", alpha=0.15,
    )  # fmt: skip
    grid.add_legend({split: Patch(color=SPLITS[split], alpha=0.6) for split in exploration.source.names})
    return _finished(grid, "", "share of images")


def _finished(grid: sns.FacetGrid, xlabel: str, ylabel: str) -> Figure:
    """The figure of a grid of panels, a row a side, its legend below and its shares in percent."""
    grid.set_titles("{row_name}: {col_name}")
    grid.set_axis_labels(xlabel, ylabel)
    for axis in grid.axes.flat:
        axis.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
    sns.move_legend(grid, "upper center", bbox_to_anchor=(0.5, 0.02), ncols=3, title=None)
    grid.tight_layout()
    figure: Figure = grid.figure
    return figure


# ---- labels


def draw_palette(labels: Labels) -> Figure:
    """A bar a label, in its own colour: its share of all pixels; a mark for each split."""
    n = min(MOST_LABELS, len(labels.palette.colours))
    colours = [hex_of(colour) for colour in labels.palette.colours[:n]]
    shares = labels.shares["all"][:n]
    figure, axis = plt.subplots(figsize=(9.6, 0.7 + 0.3 * n))
    axis.barh(range(n), shares, height=0.72, color=colours, edgecolor=".35", lw=0.6)
    for split, marker in MARKERS.items():
        if split in labels.shares:
            axis.plot(labels.shares[split][:n], range(n), marker, ms=5, mfc="white", mec=".1", label=split)
    texts = [
        f"{colour}  {100 * share:4.1f} %, in {100 * present:3.0f} % of images"
        for colour, share, present in zip(colours, shares, labels.present[:n], strict=True)
    ]
    axis.set_yticks(range(n), texts, family="monospace")
    axis.set(xlim=(0, None), ylim=(n - 0.4, -0.6), xlabel="share of pixels, all splits")
    axis.xaxis.set_major_formatter(PercentFormatter(1))
    axis.grid(axis="y", visible=False)
    axis.legend(loc="lower right", frameon=False)
    return figure


def draw_places(labels: Labels) -> Figure:
    """A map a label: how many of the images have it in each place, from none to the most anywhere."""
    n = min(MOST_LABELS, len(labels.palette.colours))
    columns = min(6, n)
    rows = -(-n // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.6 * columns, 1.85 * rows), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, colour, place in zip(axes.flat, labels.palette.colours, labels.places[:n], strict=False):
        axis.imshow(place, cmap="mako", vmin=0, vmax=max(place.max(), 1e-9))
        axis.set_title(f"0 to {100 * place.max():.0f} %", fontsize=8, color=".25")
        axis.add_patch(Rectangle((0, 1.04), 0.12, 0.12, transform=axis.transAxes, clip_on=False, fc=hex_of(colour)))
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
    agreement = {"A with another pair's B": "by_chance", "A with its own B": "agreement"}
    sns.histplot(
        {label: exploration.edges[column] for label, column in agreement.items()}, ax=axis, bins=40, binrange=(0, 1),
        stat="proportion", common_norm=False, element="step", palette=[".5", COLOURS[0]], alpha=0.35,
    )  # fmt: skip
    axis.set(xlim=(0, 1), xlabel="edge agreement (F)", ylabel="share of pairs")
    axis.margins(y=0.3)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    sns.move_legend(axis, "upper right", frameon=False)
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
    cells[1].legend(handles=patches, ncols=3, frameon=False, fontsize=7.5, loc="upper center", bbox_to_anchor=(0.5, 0))
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
    positions = np.arange(len(drift))
    axis.barh(positions, drift["chance"].clip(upper=1), color=".9", height=0.8, label="what chance alone gives")
    shown = drift["drift"] != "none shown"
    for mask, colour, marker, label in ((~shown, 0, "o", "no drift shown"), (shown, 3, "D", "drift shown")):
        axis.plot(drift["ks"][mask], positions[mask], marker, color=COLOURS[colour], ms=6, label=label)
    axis.set_yticks(positions, drift["side"] + ": " + drift["measure"])
    for bound, word in ((MODERATE, "moderate"), (LARGE, "large")):
        axis.axvline(bound, color=".45", lw=0.8, ls=":")
        axis.text(bound, -0.75, f" {word}", color=".35", fontsize=8, va="bottom")
    axis.set(
        xlim=(0, float(np.clip(1.1 * drift[["ks", "chance"]].max().max(), 0.6, 1))), ylim=(len(drift) - 0.4, -0.6),
        xlabel="distance between the training and the test split (Kolmogorov-Smirnov: 0 the same, 1 apart)",
    )  # fmt: skip
    axis.grid(axis="y", visible=False)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16 - 0.5 / len(drift)), ncols=3, frameon=False)
    return figure
