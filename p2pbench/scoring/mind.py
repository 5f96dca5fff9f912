"""MIND, a sliced distance between two sets of features (arXiv 2605.06797): arrays in, numbers out."""

import numpy as np

from p2pbench.scoring.jackknife import LeftOut

DIRECTIONS = 1000
KEY_OF_DIRECTIONS = 2605
BLOCK_VALUES = 2**21
"""Values along directions that are in memory at once, of either set."""


def mind(x: np.ndarray, y: np.ndarray) -> LeftOut:
    """3 d times the mean squared Wasserstein-2 distance along 1,000 random directions, which are always the same.

    A shift by m scores 3 |m|². No covariance is estimated, so n may be less than d.

    Along a direction both sets are sorted and compared place by place. Without a pair whose output is at place p and
    whose target at place q, the places between p and q are compared with their neighbours, and those beyond as before:
    three sums of consecutive places, all differences of running totals.

    Args:
        x, y: (n, d), n >= 2, row i of ``x`` belonging to row i of ``y``. Calculated in float64.
    """
    x, y = (np.asarray(features, dtype=np.float64) for features in (x, y))
    n, d = x.shape
    random = np.random.Generator(np.random.Philox(key=np.uint64(KEY_OF_DIRECTIONS)))
    directions = random.standard_normal((DIRECTIONS, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    whole, left_out, size = 0.0, np.zeros(n), max(1, BLOCK_VALUES // n)
    for start in range(0, DIRECTIONS, size):
        block = directions[start : start + size]
        total, without = _along(block @ x.T, block @ y.T)
        whole, left_out = whole + total, left_out + without
    factor = 3 * d / DIRECTIONS
    return LeftOut(factor * whole / n, factor * left_out / (n - 1))


def _along(a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray]:
    """The sum of squared differences in order, over all directions, and without each pair: a number and (n,).

    Args:
        a, b: values along each direction, (directions, n).
    """
    orders = [values.argsort(axis=1) for values in (a, b)]
    a, b = (np.take_along_axis(values, order, axis=1) for values, order in zip((a, b), orders, strict=True))
    p, q = (order.argsort(axis=1) for order in orders)  # the place of each image
    first, last = np.minimum(p, q), np.maximum(p, q)
    level, above, below = (_running(gaps) for gaps in (a - b, a[:, 1:] - b[:, :-1], a[:, :-1] - b[:, 1:]))

    def between(totals: np.ndarray) -> np.ndarray:
        return np.asarray(np.take_along_axis(totals, last, axis=1) - np.take_along_axis(totals, first, axis=1))

    shifted = np.where(p < q, between(above), between(below))  # 0 where both are at one place
    outside = np.take_along_axis(level, first, axis=1) + level[:, -1:] - np.take_along_axis(level, last + 1, axis=1)
    return float(level[:, -1].sum()), (outside + shifted).sum(axis=0)


def _running(gaps: np.ndarray) -> np.ndarray:
    """Running totals of squares, from 0: (directions, places) to (directions, places + 1)."""
    return np.pad(np.cumsum(gaps**2, axis=1), ((0, 0), (1, 0)))
