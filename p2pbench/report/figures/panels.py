"""What the figures of a report share: which variants they show and how these look, panels, rows, legends and notes."""

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator

from p2pbench.report.figures.names import evenly_wrapped, ordered, shortened, wrapped
from p2pbench.report.primary import leading
from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import score_matrices, summarise
from p2pbench.report.verdict import counted
from p2pbench.system.figure_style import COLUMN, DIM, GROUND, MARKERS

MOST_DRAWN = 12
"""The most variants that a figure shows; the tables have all."""
COLOURS = ("#246bc8", "#c12932", "#31b17f", "#8717fd", "#a5a002", "#cb7eba")
"""Found by search: as far apart as six can be in normal sight and in three kinds of colour blindness (Machado et al.
2009), each with a contrast of 2.7 or more to a white page and to a dark one."""
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.4)))
ROW, LINE_HEIGHT = 0.19, 0.118
"""In inches, of a row of a figure at least, and of a line of its name."""


@dataclass(frozen=True)
class Look:
    """How a variant looks in every figure: no two are alike."""

    name: str
    """The variant's name without what all have in common."""
    colour: str
    marker: str
    dash: Any

    def size(self, points: float) -> float:
        """The size at which its marker looks as large as a circle of so many points, and shows that it is open."""
        return points * {"*": 1.7, "P": 1.25, "X": 1.25}.get(self.marker, 1)

    def line(self, points: float = 2.8, **more: Any) -> dict[str, Any]:
        """Matplotlib's settings for its lines, with a few of its markers on them."""
        marker = {"marker": self.marker, "ms": self.size(points), "mew": 0}
        return {"color": self.colour, "ls": self.dash, "lw": 0.9, **marker, **more}


def drawn(study: StudyRecord) -> list[str]:
    """The variants that figures show, in the grid's order: all, or the baseline and those best by the primary score."""
    return leading(study, MOST_DRAWN)


def looks(study: StudyRecord) -> dict[str, Look]:
    """How each variant that is shown looks: steps of one quantity from dark to light, else in colours far apart."""
    shown, (short, _) = drawn(study), shortened(study.variants)
    if ordered([short[variant] for variant in study.variants]):
        colours = [to_hex(colour) for colour in matplotlib.colormaps["viridis"](np.linspace(0.2, 0.75, len(shown)))]
        return {v: Look(short[v], colours[k], MARKERS[k], DASHES[0]) for k, v in enumerate(shown)}
    n = len(COLOURS)
    return {v: Look(short[v], COLOURS[k % n], MARKERS[k], DASHES[k // n]) for k, v in enumerate(shown)}


def note(study: StudyRecord, variants: Iterable[str], metrics: Sequence[str] | None, *more: str) -> str:
    """What stands below a figure: how many seeds and images, how many variants are shown, what names leave out.

    Args:
        variants: those shown. metrics: the scores shown, for the number of images; None where it is of no scores.
    """
    variants = list(variants)
    said = [counted(seeds, "seed")] if (seeds := sorted({len(study.of(v)) for v in variants} - {0})) else []
    if metrics is not None:
        images = sorted({summarise(study, v, m).n_images for v in variants for m in metrics} - {0})
        said += [counted(images, "test image")] if images else []
    if len(variants) < len(study.variants):
        said.append(f"{len(variants)} of {len(study.variants)} variants shown")
    common = shortened(study.variants)[1]
    return "; ".join([*said, *more, *([f"names: {common}"] if common else [])])


def panels(
    n: int, width: float, height: float, *, most: int = 3, least: int = 1, **share: Any
) -> tuple[Figure, list[Axes]]:
    """``n`` panels of ``height`` inches: ``least`` side by side in a column of a paper, else ``most``."""
    columns = least if width == COLUMN else min(n, most)
    rows = -(-n // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(width, rows * height), squeeze=False, **share)
    for axis in list(grid.flat)[n:]:
        axis.remove()
    return figure, list(grid.flat)[:n]


Panel = tuple[str, str]
"""The title of a panel and what its axis shows."""


def draw_rows(
    width: float, rows: Sequence[str], columns: Sequence[Panel], draw: Callable[[Axes, int, int, float], bool]
) -> Figure:
    """A panel for each of ``columns``, with a row for each name in ``rows``, which stand at the left.

    ``draw`` gets the panel, its number, the row's number and its height on the axis; it returns whether there is any
    result, which is said there otherwise.
    """
    names = [shown(name, 22 if width == COLUMN else 32) for name in rows]
    heights = np.array([max(ROW, LINE_HEIGHT * (1 + name.count("\n")) + 0.06) for name in names])
    places, total = heights.cumsum() - heights / 2, float(heights.sum())
    lines = [line for name in names for line in name.split("\n") if line]
    room = width - 0.15 - max(map(_width, lines))
    beside = min(len(columns), max(1, int(room / 0.8)), 2 if width == COLUMN else 4)
    beside = -(-len(columns) // -(-len(columns) // beside))  # as full rows of panels as there can be
    letters = int((room / beside - 0.1) / 0.075)
    titles = [
        (shown(title, letters), "\n".join(shown(line, int(1.2 * letters)) for line in unit.split("\n")))
        for title, unit in columns
    ]
    extra = max(title.count("\n") + unit.count("\n") for title, unit in titles)
    n_rows = -(-len(columns) // beside)
    figure, grid = plt.subplots(n_rows, beside, figsize=(width, n_rows * (total + 0.55 + 0.13 * extra)), squeeze=False)
    for axis in list(grid.flat)[len(columns) :]:
        axis.remove()
    for k, (axis, (title, unit)) in enumerate(zip(grid.flat, titles, strict=False)):
        axis.set_title(title)
        axis.set_xlabel(unit, fontsize=6)
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", length=0)
        if k % beside == 0:
            axis.set_yticks(places, names)
        else:
            axis.set_yticks([])
        axis.set_ylim(total + 0.04, 0)  # the ticks of the last row's seeds stand above the axis
        axis.spines["left"].set_visible(False)
        axis.xaxis.set_major_locator(MaxNLocator(nbins=min(5, max(2, letters // 7)), min_n_ticks=2))
        for row, place in enumerate(places):
            if not draw(axis, k, row, place):
                where = {"transform": axis.get_yaxis_transform(), "ha": "center", "va": "center"}
                ground = {"facecolor": GROUND, "linewidth": 0, "pad": 0.8}  # no line goes through it
                axis.text(0.5, place, "no result", color=DIM, fontsize=6, bbox=ground, **where)
    return figure


@lru_cache(1000)
def _width(line: str) -> float:
    """Of a line of a row's name, in inches. Its outlines take tens of milliseconds, and figures share their rows."""
    return float(TextPath((0, 0), line, size=7).get_extents().width / 72)


def shown(text: str, letters: int) -> str:
    """``text`` in lines of so many letters at most, as Matplotlib takes it: a dollar sign begins no formula."""
    return evenly_wrapped(text, max(6, letters)).replace("$", r"\$")


def handles(look: Iterable[Look], width: float, *, line: bool = True) -> list[Line2D]:
    """Entries of a legend for variants."""
    letters = 22 if width == COLUMN else 32
    return [
        Line2D([], [], **one.line(4, **({} if line else {"ls": ""})), label=shown(one.name, letters)) for one in look
    ]


def finish(figure: Figure, text: str, entries: Sequence[Line2D] = ()) -> Figure:
    """The figure with a legend and a note below its panels, in room of their own; nothing moves after that."""
    width, height = (float(side) for side in figure.get_size_inches())
    below, letters = figure.text(0.04 / width, 0, "", color=DIM, fontsize=6, va="bottom"), int(width / 0.048)
    while not below.get_text() or below.get_window_extent().x1 > width * figure.dpi:
        below.set_text(wrapped(text, letters).replace("$", r"\$"))
        letters -= 4
    room = below.get_window_extent().height / figure.dpi + 0.06
    if entries:
        rows = (-(-len(entries) // columns) for columns in range(min(len(entries), 6), 0, -1))
        for columns in [-(-len(entries) // n) for n in dict.fromkeys(rows)]:  # as full rows as there can be
            legend = figure.legend(handles=list(entries), ncols=columns, loc="lower center", borderaxespad=0)
            extent = legend.get_window_extent()
            if extent.width <= width * figure.dpi or columns == 1:
                break
            legend.remove()
        total = height + room + extent.height / figure.dpi
        legend.set_bbox_to_anchor((0.5, room / total))
        room += extent.height / figure.dpi
    figure.set_size_inches(width, height + room)
    below.set_y(0.03 / (height + room))
    ConstrainedLayoutEngine(rect=(0, room / (height + room), 1, height / (height + room))).execute(figure)
    for axis in figure.axes:  # the solver's last digits are not the same each time
        axis.set_position(tuple(np.round(axis.get_position().bounds, 6)))
    return figure


def per_image(study: StudyRecord, variant: str, metric: str) -> np.ndarray | None:
    """The score of each test image, the mean over the seeds, (n,); None where there is none."""
    matrix = score_matrices(study, metric, [variant]).get(variant)
    return None if matrix is None else matrix.mean(axis=0).to_numpy()


def looked(study: StudyRecord, variants: Container[str]) -> list[Look]:
    """The looks of those of ``variants`` that are shown."""
    return [look for variant, look in looks(study).items() if variant in variants]
