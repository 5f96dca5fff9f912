"""The figure of a benchmark: each row as a multiple of the plain loop, and how near it is to the machine's ceilings."""

from __future__ import annotations

import itertools
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from p2pbench.bench.rows import groups, short_titles
from p2pbench.system.figure_style import MARKERS, write_all

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MOST_INSIDE = 5
"""Groups of rows whose legend leaves room for the points; that of more stands below them."""


def write_figure(document: dict[str, Any], path: Path) -> Path:
    """Draw ``document``, as ``bench --json`` prints it, to ``path``, a PNG."""
    return write_all({path.stem: partial(draw, document)}, path.parent)[path.stem]


def draw(document: dict[str, Any]) -> Figure:
    found, limits = groups(document["rows"]), document.get("limits")
    labelled = dict(zip(without_folders(short_titles(list(found))), found.values(), strict=True))
    with_roof = {
        label: rows for label, rows in labelled.items() if limits and all("flops_per_step" in row for row in rows)
    }
    height = max(2.6, 0.9 + 0.27 * len(document["rows"]) + 0.27 * len(found))
    figure, axes = plt.subplots(
        1, 2 if with_roof else 1, figsize=(10.5 if with_roof else 6, height), squeeze=False, layout="constrained"
    )
    draw_ratios(axes[0, 0], labelled)
    if with_roof and limits:
        draw_roofline(axes[0, 1], with_roof, limits)
    machine = document["machine"]
    where = machine.get("gpu") or f"{machine['processor']}, {machine['threads']} threads"
    figure.suptitle(f"{where}; torch {machine['versions']['torch']}", fontsize=9, x=0.01, ha="left")
    return figure


def without_folders(titles: list[str]) -> list[str]:
    """``titles`` with the last part of each path alone, which fits a line, unless that makes two titles one."""
    short = [re.sub(r"\S*/", "", title) for title in titles]
    return short if len(set(short)) == len(titles) else titles


def draw_ratios(axis: Axes, labelled: dict[str, list[dict[str, Any]]]) -> None:
    """A bar for each row, with its quartiles; above each group its label, first in it what it is compared with. Rows
    without a plain loop have no bar."""
    every = [row for rows in labelled.values() for row in rows]
    compared = [row for row in every if row["ratio_to_plain"] is not None]
    colours = _colours(every)
    places: list[float] = []
    place = 0.0
    for label, rows in labelled.items():
        axis.text(0, place, label, va="center", fontsize=8, color=".35")
        for row in rows:
            place += 1
            places.append(place)
            if row["ratio_to_plain"] is None:
                axis.text(0, place, "  no plain loop", va="center", fontsize=8)
                continue
            ratio, (low, high) = row["ratio_to_plain"], row["ratio_quartiles"]
            axis.barh(place, ratio, 0.75, color=colours[_kind(row)])
            axis.errorbar(ratio, place, xerr=[[max(0, ratio - low)], [max(0, high - ratio)]], color=".25", lw=1)
            axis.text(max(ratio, high), place, f"  {ratio:.2f}", va="center", fontsize=8)
        place += 1.1
    axis.set_yticks(places, [_kind(row) for row in every], fontsize=8)
    axis.invert_yaxis()
    axis.axvline(1, color=".4", lw=0.8)
    first = {rows[0]["engine"] for rows in labelled.values() if any(row in compared for row in rows)}
    against = f"“{first.pop()}”" if len(first) == 1 else "the first of each group"
    axis.set_xlabel(f"times the images/s of {against} (quartiles over rounds)")
    # The numbers stand after the quartiles, which can reach far on a busy machine: they have to fit too.
    most = max((max(row["ratio_to_plain"], row["ratio_quartiles"][1]) for row in compared), default=1.0)
    axis.set_xlim(0, 1.15 * most)
    axis.grid(axis="y", visible=False)


def draw_roofline(axis: Axes, labelled: dict[str, list[dict[str, Any]]], limits: dict[str, Any]) -> None:
    """FLOPs per second over FLOPs per byte, below what the copy and the matrix product allow (Williams et al. 2009)."""
    every = [row for rows in labelled.values() for row in rows]
    intensities = [row["flops_per_step"] / row["bytes_per_step"] for row in every]
    xs = np.geomspace(min(intensities) / 4, max(intensities) * 12, 200)
    bandwidth, colours = limits["copy_bytes_per_second"], _colours(every)
    for style, (precision, peak) in zip(["-", "--", ":"], limits["product_flops_per_second"].items(), strict=False):
        axis.plot(xs, np.minimum(peak, bandwidth * xs) / 1e9, color=".45", lw=1, ls=style, label=f"{precision} ceiling")
    for kind, colour in colours.items():
        axis.plot([], [], "s", color=colour, label=kind)
    for marker, (label, rows) in zip(itertools.cycle(MARKERS), labelled.items(), strict=False):
        axis.plot([], [], marker, color=".5", label=label)
        for row in rows:
            intensity = row["flops_per_step"] / row["bytes_per_step"]
            speed = row["flops_per_step"] * row["images_per_second"] / row["batch_size"]
            axis.plot(intensity, speed / 1e9, marker, color=colours[_kind(row)], ms=6, mec="white", mew=0.6)
    axis.set(xscale="log", yscale="log", xlabel="FLOPs per byte that operations touch", ylabel="GFLOP/s")
    if len(labelled) <= MOST_INSIDE:
        axis.legend(fontsize=7, loc="lower right", framealpha=0.9)
    else:
        axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, frameon=False)


def _kind(row: dict[str, Any]) -> str:
    return f"{row['engine']} {row['precision']}"


def _colours(rows: list[dict[str, Any]]) -> dict[str, Any]:
    kinds = list(dict.fromkeys(_kind(row) for row in rows))
    return dict(zip(kinds, sns.color_palette("colorblind", len(kinds)), strict=True))
