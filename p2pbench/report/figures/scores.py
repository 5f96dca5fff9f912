"""Figures of the scores: means with intervals, differences as forest plots, the distribution over test images."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2pbench.config.metrics import Metric
from p2pbench.report.comparisons import comparisons
from p2pbench.report.figures.names import shortened
from p2pbench.report.figures.panels import ROW, Look, draw_rows, drawn, finish, looks, note, per_image
from p2pbench.report.records import StudyRecord
from p2pbench.report.score_table import shown_metrics
from p2pbench.report.summaries import measured, summarise
from p2pbench.system.figure_style import COLUMN, DIM, GROUND, INK, LINE

LEAST_BOXED = 10
"""The fewest images that have a box of quartiles; fewer are points alone."""


def draw_scores(study: StudyRecord, width: float = COLUMN) -> Figure | None:
    """A panel a score: each variant's mean with its interval and its seeds, the baseline as a line."""
    look = looks(study)
    variants = list(look)
    metrics = [m for m in shown_metrics(study) if any(summarise(study, v, m).value is not None for v in variants)]
    if not metrics:
        return None

    def draw(axis: Axes, panel: int, row: int, place: float) -> bool:
        metric, variant = metrics[panel], variants[row]
        s = summarise(study, variant, metric)
        if s.value is None:
            return False
        if variant == study.baseline:
            axis.axvline(s.value, color=DIM, lw=0.6, ls="--", zorder=1)
        seeds = [v for c in measured(study, variant, metric) if (v := c.scores[metric].value) is not None]
        draw_estimate(axis, place, look[variant], s.value, s.low, s.high, seeds, over_trainings=s.method == "trainings")
        return True

    figure = draw_rows(width, [look[v].name for v in variants], _panels(study, metrics), draw)
    more = f"dashed: {look[study.baseline].name}" if study.baseline in look else ""
    every = [summarise(study, variant, metric) for variant in variants for metric in metrics]
    marks = _marks(study, {s.method == "trainings" for s in every if s.low is not None})
    return finish(figure, note(study, variants, metrics, *filter(None, [more]), *marks))


def draw_answer(study: StudyRecord, width: float = COLUMN) -> Figure | None:
    """The contrasts of the primary score, or of the first chosen one, as a forest plot: what answers the question."""
    return _forest(study, shown_metrics(study)[:1], width)


def draw_differences(study: StudyRecord, width: float = COLUMN) -> Figure | None:
    """A forest plot of the contrasts for each score that was compared."""
    return _forest(study, shown_metrics(study), width)


def _forest(study: StudyRecord, metrics: Sequence[str], width: float) -> Figure | None:
    """Variant minus what it is compared with: mean, paired interval, each seed, and the margin as a band."""
    look, (short, _) = looks(study), shortened(study.variants)
    found = {m: [c for c in comparisons(study, m) if c.variant in look] for m in metrics}
    found = {m: compared for m, compared in found.items() if any(c.found is not None for c in compared)}
    if not found:
        return None
    metrics, contrasts = list(found), next(iter(found.values()))
    against = {c.against for c in contrasts}
    one = len(against) == 1
    names = [short[c.variant] if one else f"{short[c.variant]} − {short[c.against]}" for c in contrasts]

    def draw(axis: Axes, panel: int, row: int, place: float) -> bool:
        c = found[metrics[panel]][row]
        if row == 0:
            axis.axvline(0, color=DIM, lw=0.6, ls="--", zorder=1)
            if c.margin:
                axis.axvspan(-c.margin, c.margin, color=LINE, alpha=0.5, lw=0, zorder=0)
        if c.found is None:
            return False
        draw_estimate(
            axis, place, look[c.variant], c.found.value, *c.interval, c.of_seeds,
            over_trainings=c.over_trainings, filled=bool(c.mark),
        )  # fmt: skip
        return True

    titles = [(study.metric(m).heading, directed(study.metric(m))) for m in metrics]
    figure = draw_rows(width, names, titles, draw)
    of = f"differences to {short[next(iter(against))]}" if one else "differences"
    shown = {c.variant for c in contrasts} | against
    every = [c for compared in found.values() for c in compared]
    tested = any(p is not None for c in every for p in (c.p, c.p_images))
    said = [of, *(["filled: p < 0.05 (Holm)"] if tested else []), "band: the margin"]
    marks = _marks(study, {c.over_trainings for c in every if c.interval[0] is not None})
    return finish(figure, note(study, shown, metrics, *said, *marks))


def draw_distributions(study: StudyRecord, width: float = COLUMN) -> Figure | None:
    """A panel a score: every test image as a dot, from ten images on with a box of the quartiles."""
    look, thin = looks(study), {"lw": 0.7, "color": INK}
    variants = list(look)
    metrics = [m for m in shown_metrics(study) if any(per_image(study, v, m) is not None for v in variants)]
    if not metrics:
        return None

    def draw(axis: Axes, panel: int, row: int, place: float) -> bool:
        variant = variants[row]
        values = per_image(study, variant, metrics[panel])
        if values is None:
            return False
        # Spread out, so that they do not hide each other; as pixels, for thousands make a drawing large: those of all
        # rows lie below all boxes, and so are one picture.
        spread = (np.arange(len(values)) * 0.618 % 1 - 0.5) * 0.5 * ROW
        style = {"ms": 2.6, "mew": 0, "alpha": 0.7} if len(values) >= LEAST_BOXED else {"ms": 7, "mew": 0}
        axis.plot(values, place + spread, ".", color=look[variant].colour, zorder=1.5, rasterized=True, **style)
        if len(values) >= LEAST_BOXED:
            axis.boxplot(
                values, positions=[place], orientation="horizontal", widths=0.6 * ROW, showfliers=False,
                manage_ticks=False, medianprops={"color": INK, "lw": 1.2}, boxprops=thin, whiskerprops=thin,
                capprops=thin,
            )  # fmt: skip
        return True

    figure = draw_rows(width, [look[v].name for v in variants], _panels(study, metrics), draw)
    return finish(figure, note(study, variants, metrics, "a dot: a test image, the mean over seeds"))


def directed(metric: Metric) -> str:
    """What the axis of a difference shows: its unit, and below it which way is better."""
    way = {"lower": "← better", "higher": "better →", "closer to 1": "← nearer to 1"}[metric.better]
    return f"{metric.unit}\n{way}" if metric.unit else way


def _panels(study: StudyRecord, metrics: Sequence[str]) -> list[tuple[str, str]]:
    return [(study.metric(metric).heading, study.metric(metric).unit) for metric in metrics]


def draw_estimate(
    axis: Axes, place: float, look: Look, value: float, low: float | None, high: float | None,
    seeds: Sequence[float], *, over_trainings: bool, filled: bool = True,
) -> None:  # fmt: skip
    """A marker, its interval, which is thin where it is over images alone, and below them a tick for each seed."""
    if low is not None and high is not None:
        width = 1.6 if over_trainings else 0.7
        axis.plot([low, high], [place] * 2, color=look.colour, lw=width, solid_capstyle="butt", zorder=2)
    if len(seeds) > 1:
        axis.plot(seeds, [place + 0.38 * ROW] * len(seeds), "|", color=look.colour, ms=2.6, mew=0.7, zorder=2)
    face = look.colour if filled else GROUND
    axis.plot(value, place, look.marker, mec=look.colour, mfc=face, mew=0.8, ms=look.size(3.8), zorder=3)


def _marks(study: StudyRecord, over_trainings: set[bool]) -> list[str]:
    """What ticks and lines are, where there are any; intervals are over trainings and images, over images, or both."""
    several = any(len(study.of(variant)) > 1 for variant in drawn(study))
    kinds = {True: "trainings and images", False: "images of these trainings"}
    over = "; thin: over ".join(kinds[kind] for kind in (True, False) if kind in over_trainings)
    return [*(["ticks: seeds"] if several else []), *([f"lines: 95 % over {over}"] if over else [])]
