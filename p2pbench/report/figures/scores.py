"""Figures of the scores: means with intervals, the distribution over test images, differences to the baseline."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2pbench.report.comparisons import distances, paired, with_baseline
from p2pbench.report.figures.panels import Colour, draw_rows, drawn, per_image
from p2pbench.report.figures.style import MARKERS
from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import summarise
from p2pbench.statistics.intervals import image_interval


def draw_scores(study: StudyRecord) -> Figure | None:
    """A panel a score: each variant's mean with its interval, the baseline as a line."""

    def draw(axis: Axes, metric: str, position: int, variant: str, colour: Colour) -> bool:
        s = summarise(study, variant, metric)
        if s.value is None:
            return False
        if variant == study.baseline:
            axis.axvline(s.value, color=".6", lw=0.8, ls="--", zorder=1)
        if s.low is not None and s.high is not None:
            axis.plot([s.low, s.high], [position] * 2, color=colour, lw=1.5, solid_capstyle="butt", zorder=2)
        axis.plot(s.value, position, MARKERS[position % len(MARKERS)], color=colour, ms=4, zorder=3)
        return True

    shown = [m for m in study.metrics if any(summarise(study, v, m).value is not None for v in drawn(study))]
    return draw_rows(study, shown, draw)


def draw_distributions(study: StudyRecord) -> Figure | None:
    """A panel a score: every test image as a dot, with a box of the quartiles."""
    thin = {"lw": 0.7}

    def draw(axis: Axes, metric: str, position: int, variant: str, colour: Colour) -> bool:
        values = per_image(study, variant, metric)
        if values is None:
            return False
        _dots(axis, values, position, colour)
        axis.boxplot(
            values, positions=[position], orientation="horizontal", widths=0.5, showfliers=False, manage_ticks=False,
            medianprops={"color": "black", "lw": 1}, boxprops=thin, whiskerprops=thin, capprops=thin,
        )  # fmt: skip
        return True

    shown = [m for m in study.metrics if any(per_image(study, v, m) is not None for v in drawn(study))]
    return draw_rows(study, shown, draw)


def draw_differences(study: StudyRecord) -> Figure | None:
    """A panel a score: variant minus what it is compared with, on each test image, and the mean with its interval."""
    compared = {m: {v: with_baseline(study, v, m) for v in drawn(study)} for m in study.metrics}

    def draw(axis: Axes, metric: str, position: int, variant: str, colour: Colour) -> bool:
        if position == 0:
            axis.axvline(0, color=".4", lw=0.8, ls="--", zorder=1)
        c = compared[metric][variant]
        if c is None or c.found is None:
            return c is None
        better, pair = study.metric(metric).better, paired(study, metric, [variant, c.against])
        values = (distances(pair[variant], better) - distances(pair[c.against], better)).mean(axis=0)
        _dots(axis, values, position, colour)
        low, high = (c.found.low, c.found.high) if c.found.squares is not None else image_interval(values)[0][1:3]
        if low is not None and high is not None:
            axis.plot([low, high], [position] * 2, color="black", lw=1.2, zorder=4)
        axis.plot(
            c.found.value, position, MARKERS[position % len(MARKERS)], ms=4, zorder=5,
            mec="black", mew=0.8, mfc=colour if c.mark else "white",
        )  # fmt: skip
        return True

    shown = [m for m, found in compared.items() if any(c is not None and c.found is not None for c in found.values())]
    return draw_rows(study, shown, draw)


def _dots(axis: Axes, values: np.ndarray, position: int, colour: Colour) -> None:
    """A dot an image, spread out by its place in the set so that they do not hide each other."""
    spread = (np.arange(len(values)) * 0.618 % 1 - 0.5) * 0.5
    axis.plot(
        values, position + spread, ".", color=colour, ms=2.6, mew=0, alpha=0.7, zorder=2, rasterized=True
    )  # thousands of dots would make the SVG large
