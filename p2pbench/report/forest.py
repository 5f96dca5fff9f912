"""The forest plot of the page: what one score says of each contrast, its seeds, its interval, and its verdict."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from p2pbench.report.comparisons import Comparison, comparisons
from p2pbench.report.records import StudyRecord
from p2pbench.system.console import decimals, number


@dataclass(frozen=True)
class Row:
    """One contrast; lengths are in per cent of the plot's width."""

    variant: str
    against: str
    text: str
    """The difference with its interval, or why there is none."""
    verdict: str
    tone: str
    """``better``, ``worse`` or ``open``: in whose favour the verdict is."""
    at: float | None = None
    low: float | None = None
    high: float | None = None
    interval: str = ""
    """``trainings`` where the interval is over them; ``images`` where these are too few, and it is over test images."""
    seeds: list[float] = field(default_factory=list)
    """The difference of each training of the variant from the other's of the same seed."""


@dataclass(frozen=True)
class Forest:
    """The contrasts of a study by one score, on one axis."""

    rows: list[Row]
    ticks: list[tuple[float, str]]
    zero: float
    margin: tuple[float, float] | None
    """Left end and width of the range within the margin."""
    intervals: set[str]
    """What the intervals are over, ``trainings`` or ``images`` or both."""
    left: str
    """What lies to the left of zero: ``better`` or ``worse``."""

    @property
    def right(self) -> str:
        return "worse" if self.left == "better" else "better"


def forest(study: StudyRecord, metric: str) -> Forest | None:
    """The forest plot of ``metric``, of the variants that are shown; None where no contrast has a difference."""
    contrasts = [c for c in comparisons(study, metric) if c.variant in study.chosen_variants]
    drawn = [c for c in contrasts if c.found is not None]
    if not drawn:
        return None
    ends = [end for c in drawn for end in (*_interval(c), *c.of_seeds)]
    margin = study.margin(metric)
    least, most = min(0.0, *ends), max(0.0, *ends)
    beside = 0.04 * (most - least) or 1.0
    least, most = least - beside, most + beside

    def place(value: float) -> float:
        return round(float(100 * (value - least) / (most - least)), 2)

    step = _step(most - least)
    digits = max(0, -math.floor(math.log10(step)))
    ticks = [k * step for k in range(math.ceil(least / step), math.floor(most / step) + 1)]
    band = (max(least, -margin), min(most, margin))
    rows = [_row(c, place) for c in contrasts]
    return Forest(
        rows=rows,
        ticks=[(place(tick), number(tick, digits, sign=True) if tick else "0") for tick in ticks],
        zero=place(0.0),
        margin=(place(band[0]), place(band[1]) - place(band[0])) if margin else None,
        intervals={row.interval for row in rows if row.interval},
        left="worse" if study.metric(metric).better == "higher" else "better",
    )


def _interval(c: Comparison) -> tuple[float, float]:
    """The ends of the interval; of one image no more than its value."""
    assert c.found is not None
    low, high = c.interval
    return (c.found.value, c.found.value) if low is None or high is None else (low, high)


def _row(c: Comparison, place: Callable[[float], float]) -> Row:
    if c.found is None:
        return Row(c.variant, c.against, "", _verdict(c), "open")
    low, high = _interval(c)
    text = difference_text(c.found.value, low, high)
    tone = ("better" if c.better else "worse") if c.mark == "*" else "open"
    return Row(
        c.variant, c.against, text, _verdict(c), tone, place(c.found.value), place(low), place(high),
        _over(c) if high > low else "", [place(value) for value in c.of_seeds],
    )  # fmt: skip


def _over(c: Comparison) -> str:
    return "trainings" if c.over_trainings else "images"


def _verdict(c: Comparison) -> str:
    """The verdict in the fewest words."""
    if c.needed and c.found and c.needed > c.found.n_seeds:
        return f"cannot tell; about {c.needed} seeds would show the margin"
    if c.verdict == "too few trainings":
        return f"{'better' if c.better else 'worse'} in these trainings†" if c.mark else "no verdict: too few trainings"
    if c.verdict == "not compared":
        return f"not compared: {c.reason}"
    return c.verdict


def _step(width: float) -> float:
    """The distance of ticks, of which two to six fit ``width``, and their labels a narrow page: 1, 2 or 5 times a power
    of ten."""
    power = 10.0 ** math.floor(math.log10(width / 5))
    return next(power * k for k in (1, 2, 5, 10) if power * k >= width / 5)


def difference_text(value: float, low: float | None, high: float | None) -> str:
    """A difference with its interval, with the decimals that the interval gives meaning."""
    if low is None or high is None or low == high:
        return number(value, 4, sign=True)
    digits = decimals(high - low)
    digits += low * high > 0 and any(round(end, digits) == 0 for end in (low, high))  # it does not reach 0
    text, least, most = (number(end, digits, sign=True) for end in (value, low, high))
    return f"{text} [{least}, {most}]"
