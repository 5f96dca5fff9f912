"""Precision, recall, density and coverage without each pair, and the last two as such: arrays in, numbers out.

All ask which points lie within reach of which centres, where a centre reaches as far as its k-th nearest neighbour in
its own set. Without pair i, a centre that has image i among its k nearest reaches to the next one, and all others as
far as before: so all leave-outs follow from which points lie within the k-th and the next distance.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

ROWS = 1024
"""Centres whose distances are in memory at once."""
MOST_LEFT_OUT = 2000
"""The most images that are left out in turn: memory holds n x n truth values for it."""


class Share(NamedTuple):
    """A score, and what it is without each pair."""

    value: float
    left_out: np.ndarray | None
    """(n,), float64: without output i and target i. None of fewer than k + 2 images, of over 2,000, or of no pairs."""


class _Reach(NamedTuple):
    """For a block of centres, each (rows, n), bool."""

    near: np.ndarray
    """Whether an image of the centre's own set is among its k nearest."""
    inside: np.ndarray
    """Whether a point is within its k-th nearest."""
    wider: np.ndarray
    """Whether a point is within the one after that."""


def within_reach(centres: np.ndarray, points: np.ndarray, k: int) -> Share:
    """The share of the points that any centre reaches (Kynkäänniemi et al. 2019), to its k-th nearest, included.

    Precision where targets are the centres and outputs the points; recall where they are the other way round.

    Args:
        centres, points: (n, d) and (m, d), n > k; where there are as many, row i of both leaves together.
    """
    blocks = list(_reaches(centres, points, k, included=True))
    reached = np.sum([block.inside.sum(axis=0) for block in blocks], axis=0)  # by how many centres
    value = float((reached > 0).mean())
    if not _may_leave_out(centres, points, k):
        return Share(value, None)
    near, inside, wider = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    gained = near.T.astype(np.float32) @ (wider & ~inside).astype(np.float32)  # exact: counts of at most 2,000
    still = reached - inside + gained > 0  # row i: what is reached without centre i
    return Share(value, (still.sum(axis=1) - still.diagonal()) / (len(points) - 1))


def density_and_coverage(fakes: np.ndarray, targets: np.ndarray, k: int) -> tuple[Share, Share]:
    """Density and coverage (Naeem et al. 2020, §3), where a target reaches up to, not including, its k-th nearest.

    Density: how many targets reach an output, in the mean, over k; it may exceed 1. Coverage: the share of targets that
    reach any output. For two samples of one law the expectations are 1, and 1 - Π (n - i) / (2n - i) over i = 1..k.

    Args:
        fakes, targets: (n, d) and (m, d), m > k; where there are as many, row i of both leaves together.
    """
    blocks = list(_reaches(targets, fakes, k, included=False))
    counts = np.concatenate([block.inside.sum(axis=1) for block in blocks])  # outputs within each target's reach
    density, coverage = float(counts.sum() / (k * len(fakes))), float((counts > 0).mean())
    n = len(fakes)
    if not _may_leave_out(targets, fakes, k):
        return Share(density, None), Share(coverage, None)
    near, inside, wider = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    # Column i: the outputs within each target's reach without pair i.
    left = np.where(near, wider.sum(axis=1)[:, None] - wider, counts[:, None] - inside)
    np.fill_diagonal(left, 0)
    return (
        Share(density, left.sum(axis=0) / (k * (n - 1))),
        Share(coverage, (left > 0).sum(axis=0) / (n - 1)),
    )


def _may_leave_out(centres: np.ndarray, points: np.ndarray, k: int) -> bool:
    return len(centres) == len(points) and k + 2 <= len(points) <= MOST_LEFT_OUT


def _reaches(centres: np.ndarray, points: np.ndarray, k: int, *, included: bool) -> Iterator[_Reach]:
    """Which points the centres reach, block by block of them; a point just at the reach counts where ``included``."""
    centres, points = (np.asarray(features, dtype=np.float64) for features in (centres, points))
    compare = np.less_equal if included else np.less
    for start in range(0, len(centres), ROWS):
        block = centres[start : start + ROWS]
        own, across = _squares(block, centres), _squares(block, points)
        np.fill_diagonal(own[:, start:], np.inf)
        ordered = np.partition(own, (k - 1, k), axis=1)
        reach, next_reach = ordered[:, k - 1 : k], ordered[:, k : k + 1]
        yield _Reach(own <= reach, compare(across, reach), compare(across, next_reach))


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distances of rows, (n, m), 0 or more."""
    return np.asarray(np.maximum((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T, 0))
