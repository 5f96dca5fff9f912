"""Whether the scores of a study agree: Kendall's tau between the orders in which they put its variants."""

import math
from dataclasses import dataclass

from p2pbench.report.comparisons import standing
from p2pbench.report.records import StudyRecord
from p2pbench.report.score_table import shown_metrics
from p2pbench.report.summaries import measured
from p2pbench.statistics.comparison import ALPHA

LEAST_ORDERED = 3
"""The fewest variants whose order says anything."""


@dataclass(frozen=True)
class Agreement:
    """The scores, and the tau of each with each one before it."""

    labels: list[str]
    taus: list[list["Tau | None"]]
    """A row a score, with as many entries as scores stand before it; None where two scores share too few variants, or
    one of them ties all."""
    n_variants: int


@dataclass(frozen=True)
class Tau:
    value: float
    beyond_chance: bool
    """Whether so high or low a tau comes by chance in fewer than 5 % of orders."""


def agreement(study: StudyRecord) -> Agreement | None:
    """Kendall's tau-b between each two scores over the variants that have both, better first (Kendall 1945).

    None where there are fewer than two scores, or three variants.
    """
    means = {
        metric: {v: standing(study, v, metric) for v in study.variants if measured(study, v, metric)}
        for metric in shown_metrics(study)
    }
    means = {metric: values for metric, values in means.items() if len(values) >= LEAST_ORDERED}
    if len(means) < 2:
        return None
    metrics = list(means)
    taus = [[_tau(means[one], means[other]) for other in metrics[:k]] for k, one in enumerate(metrics)]
    n = max(len(values) for values in means.values())
    return Agreement([study.metric(metric).label for metric in metrics], taus, n)


def _tau(one: dict[str, float], other: dict[str, float]) -> Tau | None:
    from scipy.stats import kendalltau

    common = [variant for variant in one if variant in other]
    if len(common) < LEAST_ORDERED:
        return None
    tau, p = kendalltau([one[v] for v in common], [other[v] for v in common])
    return None if math.isnan(tau) else Tau(float(tau), bool(p < ALPHA))
