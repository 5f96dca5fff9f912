"""Whether trainings differ on the same test images, and the correction of a family of tests."""

from collections.abc import Iterable

import numpy as np

from p2pbench.statistics.draws import N_DRAWS, all_flips, flips
from p2pbench.statistics.intervals import finite

ALPHA = 0.05
"""The level of every test."""
LEAST_IMAGES = 6
"""The fewest images over which sign flips can reach 0.05: of n they reach 2 / 2**n."""


def least_p(images: int) -> float:
    """The least p-value that sign flips over so many images can have."""
    return max(2 * 0.5**images, 1 / (1 + N_DRAWS))


def sign_flip_p(differences: np.ndarray) -> np.ndarray:
    """Two-sided p-values of the sign-flip permutation test that the mean difference is zero.

    Under the null hypothesis a difference is as likely as its negative. Up to 13 differences every pattern of signs is
    tried (the p-value is exact and at least 2 / 2**n); beyond, 10,000 keyed patterns, with the observed one counted in
    (Phipson and Smyth 2010), so p >= 1 / 10,001. The order and the direction of the differences do not matter.

    False positives at 5 %, by 10,000 simulations each: of normal differences 4.7 % at n = 8, 4.8 at 30, 5.3 at 106; of
    ones with skewness 1, 5.5, 5.7 and 5.2; with skewness 2, which are not as likely as their negatives, 9.5, 7.2 and
    6.3. Below 6 differences no p-value reaches 5 %.

    Args:
        differences: (..., n), finite, n >= 1; (families, n) share their flips and are fast.
    Returns:
        (...), float64 in (0, 1].
    Raises:
        ValueError: no difference, or one that is not finite.
    """
    differences = finite(np.asarray(differences), max(np.ndim(differences), 1))
    shape, n = differences.shape[:-1], differences.shape[-1]
    rows = differences.reshape(-1, n)
    sizes = np.sort(np.abs(rows), axis=1)  # any order and any overall sign give the same distribution
    least = np.abs(rows.sum(axis=1)) - 1e-12 * sizes.sum(axis=1)  # sums that are equal but for their rounding
    if 2**n <= N_DRAWS:
        p = (np.abs(sizes @ all_flips(n).T) >= least[:, None]).mean(axis=1)
    else:
        beyond = sum((np.abs(sizes @ signs.T) >= least[:, None]).sum(axis=1) for signs in flips(n))
        p = (1 + beyond) / (1 + N_DRAWS)
    return np.asarray(p).reshape(shape)


def holm(p_values: Iterable[float], family: int | None = None) -> np.ndarray:
    """The p-values of a family, adjusted so that the chance of any false positive stays below the level (Holm 1979).

    Args:
        p_values: (m,), in [0, 1]; m may be 0.
        family: the tests that were planned, m or more. Those that could not be made count as if they showed nothing
            (p = 1), so that the others stay as they are when one is lost. m unless it is given.
    Returns:
        (m,), in the same order, each at least its p-value and at most 1.
    Raises:
        ValueError: a value outside [0, 1], or not a number; more tests than planned.
    """
    p = np.array(list(p_values), dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values lie in [0, 1], got {p[~((p >= 0) & (p <= 1))][0]}")
    planned = len(p) if family is None else family
    if len(p) > planned:
        raise ValueError(f"a family of {planned} tests has no {len(p)} p-values")
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * (planned - np.arange(len(p)))), 1)
    return adjusted
