"""All figures of a report, as PNG and SVG. Their colours suit the colour-blind; their width is a paper's column."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from p2pbench.report.figures import costs, factors, outputs, scores, training
from p2pbench.report.figures.style import STYLE, write_all
from p2pbench.report.records import StudyRecord

DRAW = {
    "scores": scores.draw_scores,
    "distributions": scores.draw_distributions,
    "differences": scores.draw_differences,
    "effects": factors.draw_effects,
    "pareto": costs.draw_pareto,
    "throughput": costs.draw_throughput,
    "losses": training.draw_losses,
    "spectrum": outputs.draw_spectrum,
    "colours": outputs.draw_colours,
}
CAPTIONS = {
    "scores": "Mean and 95 % interval of each score, as the notes say; the dashed line is the baseline.",
    "distributions": "Each test image (a dot; mean over seeds) and quartiles; whiskers reach 1.5 times that range.",
    "differences": "Difference to the baseline on the same test images: each image (a dot) and the mean with its 95 % "
    "interval. Filled where it differs beyond chance (the tables' *).",
    "effects": "Means of the levels of each factor over all others with 95 % intervals, and how two factors act "
    "together: lines that are not parallel are an interaction.",
    "pareto": "Quality against cost. Filled and joined: no other variant is both better and cheaper (Pareto front).",
    "throughput": "Training images per second: the mean over seeds, and each seed. A colour a machine.",
    "losses": "Losses on training batches, averaged between readings; the band is the range over seeds. L1 is "
    "unweighted, and shown for objectives without it too.",
    "spectrum": "Radial power spectrum of the luma, mean over test images and seeds, and as a ratio to the targets': "
    "below 1 is blur; a peak at the highest frequencies is a checkerboard.",
    "colours": "Lab histograms of all outputs and of all targets (pix2pix, Figure 7), first seed; logarithmic shares.",
}
"""What each figure shows; the text stands below it on the page."""


def write_figures(study: StudyRecord, folder: Path) -> dict[str, Path]:
    """Draw what the records allow into ``folder``; returns the PNG of each figure by its name, an SVG beside it."""
    return write_all(
        {name: partial(one, study) for name, one in DRAW.items()}, folder, grid=".9", style=STYLE, drawings=True
    )
