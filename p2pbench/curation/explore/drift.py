"""Whether the test split looks like the training split: one measure at a time, beside what chance alone gives."""

import math

import numpy as np
import pandas as pd

ALPHA = 0.05
"""The probability that any row is called a drift where there is none."""
COLUMNS = [
    "side", "measure", "n_train", "n_test", "median_train", "median_test", "ks", "chance", "shift", "drift",
]  # fmt: skip
MODERATE, LARGE = 0.2, 0.4
"""Kolmogorov-Smirnov distances from which a drift is called moderate, and large: a convention of this report."""


def drift_of(per_image: pd.DataFrame, measures: tuple[str, ...], edges: pd.DataFrame) -> pd.DataFrame:
    """The test split beside the training split: a row for each side and measure, and one for edge agreement.

    Columns: side, measure, n_train, n_test, median_train, median_test; ``ks``, the largest gap between the two
    cumulative distributions (0 the same, 1 apart); ``chance``, the gap that chance alone exceeds in any row of the
    table with probability 0.05 (:func:`chance_gap`); ``shift``, the Wasserstein distance in standard deviations of the
    training split, NaN where that is 0; ``drift``: ``none shown``, ``small``, ``moderate`` or ``large``.
    """
    from scipy import stats

    sides = [(side, measure, per_image[per_image["side"] == side]) for side in ("A", "B") for measure in measures]
    compared = [
        (side, measure, _values(rows, "train", measure), _values(rows, "test", measure))
        for side, measure, rows in [*sides, ("A and B", "agreement", edges)]
    ]
    usable = [row for row in compared if len(row[2]) and len(row[3])]
    found = []
    for side, measure, train, test in usable:
        ks = float(stats.ks_2samp(train, test).statistic)
        chance = chance_gap(len(train), len(test), len(usable))
        spread = float(train.std())
        shift = float(stats.wasserstein_distance(train, test)) / spread if spread > 0 else math.nan
        size = "large" if ks >= LARGE else "moderate" if ks >= MODERATE else "small"
        drift = size if ks > chance else "none shown"
        medians = float(np.median(train)), float(np.median(test))
        found.append((side, measure, len(train), len(test), *medians, ks, chance, shift, drift))
    return pd.DataFrame(found, columns=COLUMNS)


def _values(rows: pd.DataFrame, split: str, measure: str) -> np.ndarray:
    return rows.loc[rows["split"] == split, measure].dropna().to_numpy(dtype=float)


def chance_gap(n: int, m: int, n_rows: int) -> float:
    """The two-sample Kolmogorov-Smirnov distance that samples of ``n`` and ``m`` from one distribution exceed with
    probability ``ALPHA / n_rows`` (Smirnov's limit; Bonferroni's share for each of ``n_rows`` rows). Above 1: never.
    """
    return math.sqrt(-math.log(ALPHA / n_rows / 2) / 2 * (n + m) / (n * m))
