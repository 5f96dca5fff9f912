"""The pairs that a page shows: some drawn by lot, the extremes of each measure, and examples of edge agreement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from p2pbench.curation.explore.explore import MEASURES, Exploration
from p2pbench.curation.explore.source import SIDES, Key
from p2pbench.data.images import Images, resize

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WORDS = {
    "brightness": ("darkest", "brightest"),
    "contrast": ("least contrast", "most contrast"),
    "colourfulness": ("least colourful", "most colourful"),
    "sharpness": ("softest", "sharpest"),
    "agreement": ("edges agree least", "edges agree most"),
}
THUMBNAIL = 256


def extremes(exploration: Exploration) -> list[tuple[Key, str]]:
    """The pairs with the lowest and the highest value of each measure and of edge agreement; the first of equals.

    Label maps are not measured, and measures that are the same in all images are left out.
    """
    tables = [
        (side, measure, exploration.images_of(side))
        for side in SIDES
        if exploration.sides[side].kind != "label map"
        for measure in MEASURES
        if not (measure == "colourfulness" and exploration.sides[side].kind == "grey images")
    ]
    found: dict[tuple[str, Key], tuple[float, list[str]]] = {}
    for side, measure, rows in [*tables, ("pair", "agreement", exploration.edges)]:
        values = rows[measure].dropna()
        if values.nunique() < 2:
            continue
        for word, position in zip(WORDS[measure], (int(values.argmin()), int(values.argmax())), strict=True):
            row = rows.loc[values.index[position]]
            key = (str(row["split"]), str(row["name"]))
            found.setdefault((word, key), (float(row[measure]), []))[1].append(side)
    return [
        (key, f"{' and '.join(who)}, {word}: {value:.3g}\n{'/'.join(key)}")
        for (word, key), (value, who) in found.items()
    ]


def edge_examples(edges: pd.DataFrame) -> list[tuple[Key, str]]:
    """The sampled pairs at the tenth, fiftieth and ninetieth percentile of edge agreement."""
    ranked = edges.dropna(subset=["agreement"]).sort_values(["agreement", "split", "name"])
    if ranked.empty:
        return []
    positions = dict.fromkeys(round(q * (len(ranked) - 1)) for q in (0.1, 0.5, 0.9))
    rows = [ranked.iloc[position] for position in positions]
    return [((str(row["split"]), str(row["name"])), f"agreement {row['agreement']:.2f}") for row in rows]


def draw_pairs(chosen: list[tuple[Key, str]], images: Mapping[Key, Images], columns: int) -> Figure | None:
    """A sheet of pairs, A beside B."""
    if not chosen:
        return None
    columns = min(columns, len(chosen))
    rows = -(-len(chosen) // columns)
    lines = 1 + max(caption.count("\n") for _, caption in chosen)
    size = (9.6, rows * (9.6 / columns / 2 + 0.17 * lines))
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (key, caption) in zip(axes.flat, chosen, strict=False):
        a, b = (thumbnail(image) for image in images[key])
        gap = np.full((a.shape[0], max(2, a.shape[1] // 40), 3), 255, np.uint8)
        axis.imshow(np.concatenate([a, gap, b], axis=1))
        axis.set_title(printable(caption), fontsize=7.5, color=".25", pad=3, loc="left", parse_math=False)
    figure.subplots_adjust(0, 0, 1, 1, wspace=0.04, hspace=0.09 + 0.09 * lines)
    return figure


def draw_roles(pair: Images, roles: tuple[int, int], reads: str) -> Figure:
    """One pair, the condition left and the target right, each under its part of the sentence ``reads``."""
    figure, axes = plt.subplots(1, 2, figsize=(4.8, 2.6))
    for axis, role, words in zip(axes, roles, reads.split(" -> "), strict=True):
        axis.set_axis_off()
        axis.imshow(thumbnail(pair[role]))
        axis.set_title(printable(words), fontsize=9)
    figure.subplots_adjust(0, 0, 1, 0.9, wspace=0.04)
    return figure


def thumbnail(image: np.ndarray) -> np.ndarray:
    """The image resized to a square, as networks see it."""
    return resize(image, (THUMBNAIL, THUMBNAIL), "bilinear")


def printable(text: str) -> str:
    """``text`` in ASCII, which the figures' font has, with its lines cut to 34 characters."""
    lines = (line if len(line) <= 34 else f"{line[:22]}...{line[-9:]}" for line in text.split("\n"))
    return "\n".join("".join(c if c.isascii() and c.isprintable() else "?" for c in line) for line in lines)
