"""95 % intervals of a mean over test images: they speak of the trainings at hand, on other images of their kind.

How often they cover the mean is simulated and tabled in tests/simulated_coverage.py. Student's t covers 82 to 95 % and
BCa less, but for 100 images or more with a long tail: there t misses mostly on one side, and BCa about as often on
either. So :func:`interval_method` takes t, and BCa for such images: sharpness reaches a skewness of 2.3, other scores
stay within 1.3.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from p2pbench.statistics.draws import N_DRAWS, resampled_means

LEAST_BCA_IMAGES = 100
"""The fewest images that a BCa interval is made of."""
LEAST_BCA_SKEWNESS = 1.5
"""The least skewness of the images' scores, on either side, from which on their interval is BCa."""


class Estimate(NamedTuple):
    """A mean with its confidence interval; ``low`` and ``high`` are None where there is only one value."""

    value: float
    low: float | None
    high: float | None
    n: int


def mean_interval(values: np.ndarray, level: float = 0.95) -> Estimate:
    """The mean of ``values`` with Student's t interval.

    Args:
        values: (n,), finite, n >= 1.
    Raises:
        ValueError: no value, or one that is not finite.
    """
    values = finite(values, 1)
    n = len(values)
    mean = float(values.mean())
    if n == 1:
        return Estimate(mean, None, None, 1)
    half = float(_t_quantile(n - 1, level) * values.std(ddof=1) / np.sqrt(n))
    return Estimate(mean, mean - half, mean + half, n)


def bca_limits(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The limits of the 95 % BCa bootstrap intervals of the samples' means (Efron 1987, bias-corrected, accelerated).

    The same values give the same interval, in any order: the 10,000 resamples are keyed by n.

    Args:
        samples: (m, n), finite, n >= 2.
    Returns:
        Two arrays, the lower and the upper limits, (m,) each.
    """
    samples = np.sort(samples, axis=1)  # so that the order of the images does not matter
    left_out = (samples.sum(axis=1, keepdims=True) - samples) / (samples.shape[1] - 1)
    limits = _bca(resampled_means(samples), samples.mean(axis=1), left_out)
    return limits[:, 0], limits[:, 1]


def bca_of_means(samples: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> Estimate:
    """A function of means over images, as of their confusion matrices, with its 95 % BCa bootstrap interval.

    As in :func:`bca_limits`, the same values give the same interval in any order.

    Args:
        samples: (n, ...), finite, n >= 1, an array an image.
        statistic: takes k means, (k, ...), and gives k finite numbers, (k,).
    """
    n, shape = len(samples), samples.shape[1:]
    rows = finite(samples.reshape(n, -1), 2)
    value = statistic(rows.mean(axis=0).reshape(1, *shape))
    if n == 1:
        return Estimate(float(value[0]), None, None, 1)
    rows = rows[np.lexsort(rows.T)]
    draws = statistic(resampled_means(rows.T).T.reshape(-1, *shape))
    left_out = statistic(((rows.sum(axis=0) - rows) / (n - 1)).reshape(n, *shape))
    low, high = _bca(draws[None], value, left_out[None])[0]
    return Estimate(float(value[0]), float(low), float(high), n)


def _bca(draws: np.ndarray, values: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """The 95 % BCa limits of ``values``, (m,), from resamples, (m, N_DRAWS), and leave-outs, (m, n): (m, 2)."""
    from scipy.special import ndtr, ndtri

    apart = draws - values[:, None]
    near = 1e-12 * np.abs(draws).max(axis=1, keepdims=True)  # what is equal but for its rounding
    below = (apart < -near).mean(axis=1) + (np.abs(apart) <= near).mean(axis=1) / 2
    bias = ndtri(np.clip(below, 0.5 / N_DRAWS, 1 - 0.5 / N_DRAWS))
    away = left_out.mean(axis=1, keepdims=True) - left_out
    spread = 6 * (away**2).sum(axis=1) ** 1.5
    acceleration = (away**3).sum(axis=1) / np.where(spread > 0, spread, 1)
    shares = [ndtr(bias + (bias + z) / (1 - acceleration * (bias + z))) for z in (-_Z, _Z)]
    return np.stack([np.quantile(*row) for row in zip(draws, np.stack(shares, axis=1), strict=True)])


def interval_method(values: np.ndarray) -> Literal["t", "BCa"]:
    """Which interval of the mean suits ``values``, (n,), finite.

    Student's t; BCa where there are 100 images or more and their skewness is beyond 1.5. There t misses mostly on the
    side of the long tail and BCa about as often on either; with fewer images BCa nearly always covers less than t.
    """
    values = finite(values, 1)
    centred = values - values.mean()
    cubes, squares = (centred**3).mean(), (centred**2).mean()
    skewed = abs(cubes) > LEAST_BCA_SKEWNESS * squares**1.5
    return "BCa" if skewed and len(values) >= LEAST_BCA_IMAGES else "t"


def image_interval(values: np.ndarray) -> tuple[Estimate, Literal["t", "BCa"]]:
    """The mean over test images with the interval that :func:`interval_method` names, and that name."""
    return image_intervals(np.asarray(values)[None])[0]


def image_intervals(rows: np.ndarray) -> list[tuple[Estimate, Literal["t", "BCa"]]]:
    """:func:`image_interval` of each of ``rows``, (m, n), finite: bootstraps share their resamples and are fast."""
    rows = finite(rows, 2)
    methods = [interval_method(row) for row in rows]
    found = [mean_interval(row) for row in rows]
    skewed = [position for position, method in enumerate(methods) if method == "BCa"]
    if skewed:
        for position, low, high in zip(skewed, *bca_limits(rows[skewed]), strict=True):
            found[position] = found[position]._replace(low=float(low), high=float(high))
    return list(zip(found, methods, strict=True))


def sd_over_seeds(values: np.ndarray) -> float | None:
    """The standard deviation of a score over trainings that differ in their seed alone, (n,); None for one training."""
    values = finite(values, 1)
    return float(values.std(ddof=1)) if len(values) > 1 else None


def finite(values: np.ndarray, dimensions: int) -> np.ndarray:
    """``values`` as float64.

    Raises:
        ValueError: not of so many dimensions, empty, or not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != dimensions or values.size == 0:
        raise ValueError(f"expected a non-empty array of {dimensions} dimensions, got shape {values.shape}")
    bad = ~np.isfinite(values)
    if bad.any():
        first = ", ".join(map(str, np.argwhere(bad)[0]))
        raise ValueError(f"values must be finite; {bad.sum()} of {values.size} are not, the first at [{first}]")
    return values


_Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


def _t_quantile(dof: float, level: float = 0.95) -> float:
    from scipy.special import stdtrit  # scipy.stats would take a second to import

    return float(stdtrit(dof, 0.5 + level / 2))
