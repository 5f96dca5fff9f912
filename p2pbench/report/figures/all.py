"""All figures of a report, as PNG and SVG. Their colours suit the colour-blind; their width is a paper's column."""

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
    "curves": training.draw_curves,
    "spectrum": outputs.draw_spectrum,
    "colours": outputs.draw_colours,
}


def write_figures(study: StudyRecord, folder: Path) -> dict[str, Path]:
    """Draw what the records allow into ``folder``; returns the PNG of each figure by its name, an SVG beside it."""
    return write_all({name: partial(one, study) for name, one in DRAW.items()}, folder, style=STYLE, drawings=True)
