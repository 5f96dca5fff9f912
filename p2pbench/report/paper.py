"""Published numbers, with their source: shown beside ours, never mixed with them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedTable:
    title: str
    source: str
    metrics: tuple[str, ...]
    """Column names. Where they are also scores of ours, it is another network that looks, or on another data set."""
    rows: dict[str, tuple[float, ...]]
    """By the label of the variant it corresponds to; others are reference rows."""
    spreads: dict[str, tuple[float, ...]] | None = None
    """± of each value, as published."""
    digits: int = 2


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
    "table4": PublishedTable(
        "Share of outputs that people took for real, %, maps",
        f"{ARXIV}, Table 4 (a study with people: Mechanical Turk)",
        ("photo to map", "map to photo"),
        {"l1": (2.8, 0.8), "l1+cgan": (6.1, 18.9)},
        {"l1": (1.0, 0.3), "l1+cgan": (1.3, 2.5)},
        digits=1,
    ),
    "table5": PublishedTable(
        "Share of outputs that people took for real, %, colorization",
        f"{ARXIV}, Table 5 (a study with people: Mechanical Turk)",
        ("taken for real",),
        {"L2 regression (Zhang et al. 2016)": (16.3,), "Zhang et al. 2016": (27.8,), "L to ab, l1+cgan": (22.5,)},
        {"L2 regression (Zhang et al. 2016)": (2.4,), "Zhang et al. 2016": (2.7,), "L to ab, l1+cgan": (1.6,)},
        digits=1,
    ),
    "table6": PublishedTable(
        "Scores of the label maps, Cityscapes photo to labels",
        f"{ARXIV}, Table 6",
        FCN_SCORES,
        {"l1": (0.86, 0.42, 0.35), "cgan": (0.74, 0.28, 0.22), "l1+cgan": (0.83, 0.36, 0.29)},
    ),
    "figure7": PublishedTable(
        "Histogram intersection with the ground truth's colours, Cityscapes labels to photo",
        f"{ARXIV}, Figure 7",
        ("L overlap", "a overlap", "b overlap"),
        {
            "l1": (0.81, 0.69, 0.70),
            "cgan": (0.87, 0.74, 0.84),
            "l1+cgan": (0.86, 0.84, 0.82),
            "pixel": (0.83, 0.68, 0.78),
        },
    ),
}
