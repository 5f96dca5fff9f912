"""Published numbers, with their source: shown beside ours, never mixed with them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedTable:
    title: str
    source: str
    metrics: tuple[str, ...]
    """Column names. None of them is a score of this toolkit's quick protocols: another metric, on another data set."""
    rows: dict[str, tuple[float, ...]]
    """By the label of the variant it corresponds to; others are reference rows."""


FCN_SCORES = ("per-pixel acc.", "per-class acc.", "class IoU")

TABLES: dict[str, PublishedTable] = {
    "table1": PublishedTable(
        "FCN-scores of the losses, Cityscapes labels to photo",
        "Isola et al., arXiv 1611.07004v3, Table 1",
        FCN_SCORES,
        {
            "l1": (0.42, 0.15, 0.11),
            "gan": (0.22, 0.05, 0.01),
            "cgan": (0.57, 0.22, 0.16),
            "l1+gan": (0.64, 0.20, 0.15),
            "l1+cgan": (0.66, 0.23, 0.17),
            "ground truth": (0.80, 0.26, 0.21),
        },
    ),
}
