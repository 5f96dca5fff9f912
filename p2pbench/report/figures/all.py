"""All figures of a report: PNG and SVG for a screen, SVG and PDF for a paper of one column and of two."""

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from p2pbench.report.figures import costs, factors, outputs, scores, training
from p2pbench.report.records import StudyRecord
from p2pbench.system.figure_style import COLUMN, PAPER, TEXT, settings, write_pdf, write_png, write_svg

DRAW: dict[str, Callable[[StudyRecord, float], Figure | None]] = {
    "answer": scores.draw_answer,
    "scores": scores.draw_scores,
    "differences": scores.draw_differences,
    "effects": factors.draw_effects,
    "pareto": costs.draw_pareto,
    "curves": training.draw_curves,
    "distributions": scores.draw_distributions,
    "spectrum": outputs.draw_spectrum,
    "colours": outputs.draw_colours,
    "losses": training.draw_losses,
    "throughput": costs.draw_throughput,
}
"""By name, in the order in which a reader wants them: the last ones belong into an appendix."""
IN_PAPER = "paper"
"""The folder of the figures that go into a paper."""


def write_figures(study: StudyRecord, folder: Path, *, paper: bool = False) -> dict[str, Path]:
    """Draw what the records allow into ``folder``; returns the PNG of each figure by its name.

    Args:
        paper: also PDFs, whose fonts take most of the time, and figures as wide as a page (:func:`files_of`).
    """
    written = {}
    with settings(PAPER):
        for name, draw in DRAW.items():
            for width in (COLUMN, TEXT) if paper else (COLUMN,):
                figure = draw(study, width)
                if figure is None:
                    break
                written[name] = folder / f"{name}.png"
                screen, of_column, of_page = files_of(written[name])
                if width == COLUMN:
                    write_png(figure, screen[0])
                    write_svg(figure, screen[1])
                if paper:
                    write_pdf(figure, (of_column if width == COLUMN else of_page)[0])
                    write_svg(figure, (of_column if width == COLUMN else of_page)[1])
                plt.close(figure)
    return written


def files_of(png: Path) -> list[list[Path]]:
    """The files of a figure: PNG and SVG for a screen; PDF and SVG for a column of a paper; the same for a page."""
    column = png.parent / IN_PAPER / png.name
    page = column.with_stem(f"{png.stem}-wide")
    return [
        [png, png.with_suffix(".svg")],
        *([one.with_suffix(".pdf"), one.with_suffix(".svg")] for one in (column, page)),
    ]
