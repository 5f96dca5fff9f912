"""A score of a whole set as it is recorded: its value, its pseudo-values, its interval where there is an honest one."""

from typing import Any, NamedTuple

import numpy as np

from p2pbench.config.metrics import Score
from p2pbench.scoring.jackknife import described, none
from p2pbench.scoring.paired import MetricResult
from p2pbench.statistics.intervals import mean_interval

NO_INTERVAL = {
    **dict.fromkeys(
        ("fid", "fd-alexnet", "swd"), "resampling repeats images, and its interval would exclude the estimate"
    ),
    # Simulated at n = 106: mean ± 1.96 std / √subsets, which people quote, covers the truth in 0 to 30 of 100 cases.
    "kid": "the subsets overlap; settings.std_over_subsets is their spread, not the error of having these images",
    **dict.fromkeys(
        ("precision", "recall", "density", "coverage"), "whether one image counts depends on all the others"
    ),
    **dict.fromkeys(
        ("mind", "mind-alexnet", "hist-l-set", "hist-a-set", "hist-b-set"),
        "of few images it is biased, and an interval about it would hold something else",
    ),
}


class SetResult(NamedTuple):
    """One score of two sets."""

    value: float
    settings: dict[str, Any]
    """What is recorded with it."""
    pseudo_values: np.ndarray | str
    """Those of the images, (N,), or of groups of them; or why there are none."""
    notes: tuple[str, ...] = ()
    """What a reader must know to read the value correctly."""


def of_set(name: str, n: int, found: SetResult, about: dict[str, Any]) -> MetricResult:
    """The score ``name`` of ``n`` images, recorded with ``about``, and its pseudo-values.

    Its settings say what was left out in turn, or why there are no pseudo-values: by that a record of an earlier
    version is known (:func:`p2pbench.runs.records.before_jackknives`).
    """
    settings = {**found.settings, **about}
    if not np.isfinite(found.value):
        return MetricResult(Score(name, n, settings=settings, reason="it is not finite"))
    pseudo = None if isinstance(found.pseudo_values, str) else found.pseudo_values
    if pseudo is not None and not np.isfinite(pseudo).all():
        pseudo = None
    why = found.pseudo_values if isinstance(found.pseudo_values, str) else "some are not finite"
    settings["jackknife"] = none(why) if pseudo is None else described(len(pseudo), n)
    if pseudo is None or name in NO_INTERVAL:
        reason = f"no interval: {NO_INTERVAL.get(name, 'there are no pseudo-values')}"
        score = Score(name, n, found.value, settings=settings, reason=reason, notes=found.notes)
        return MetricResult(score, None, pseudo)
    estimate = mean_interval(pseudo)  # the mean of a U-statistic's pseudo-values is the score itself
    settings["interval"] = "jackknife"
    score = Score(name, n, found.value, estimate.low, estimate.high, settings, notes=found.notes)
    return MetricResult(score, None, pseudo)
