"""Intervals, paired comparisons and factorial effects: arrays in, numbers out. A Frechet distance gets no interval."""

from p2pbench.statistics.comparison import (
    Better,
    Comparison,
    cohens_dz,
    compare,
    compare_all,
    holm,
    share_better,
    sign_flip_p,
)
from p2pbench.statistics.factorial import Effect, factorial_effects
from p2pbench.statistics.intervals import (
    Crossed,
    Estimate,
    Spread,
    bca_interval,
    bca_of_means,
    crossed_interval,
    image_interval,
    image_intervals,
    interval_method,
    mean_interval,
    paired_difference,
    seed_spread,
)

__all__ = [
    "Better",
    "Comparison",
    "Crossed",
    "Effect",
    "Estimate",
    "Spread",
    "bca_interval",
    "bca_of_means",
    "cohens_dz",
    "compare",
    "compare_all",
    "crossed_interval",
    "factorial_effects",
    "holm",
    "image_interval",
    "image_intervals",
    "interval_method",
    "mean_interval",
    "paired_difference",
    "seed_spread",
    "share_better",
    "sign_flip_p",
]
