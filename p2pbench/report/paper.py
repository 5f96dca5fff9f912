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

ARXIV = "Isola et al., arXiv 1611.07004v3"

TABLES: dict[str, PublishedTable] = {
    "table1": PublishedTable(
        "FCN-scores of the losses, Cityscapes labels to photo",
        f"{ARXIV}, Table 1",
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
    "table2": PublishedTable(
        "FCN-scores of the generators (batch 10), Cityscapes labels to photo",
        f"{ARXIV}, Table 2",
        FCN_SCORES,
        {
            "encoder_decoder, l1": (0.35, 0.12, 0.08),
            "encoder_decoder, l1+cgan": (0.29, 0.09, 0.05),
            "unet, l1": (0.48, 0.18, 0.13),
            "unet, l1+cgan": (0.55, 0.20, 0.14),
        },
    ),
    "table3": PublishedTable(
        "FCN-scores of the receptive fields, Cityscapes labels to photo",
        f"{ARXIV}, Table 3",
        FCN_SCORES,
        {
            "pixel": (0.39, 0.15, 0.10),
            "patch16": (0.65, 0.21, 0.17),
            "patch70": (0.66, 0.23, 0.17),
            "image286": (0.42, 0.16, 0.11),
        },
    ),
}
