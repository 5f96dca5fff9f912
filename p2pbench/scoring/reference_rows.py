"""Outputs that no training made, from the data alone. Scored as a variant is, they show what a score is worth.

Functions of arrays. The training pairs are read once, block by block; memory never holds more than one block of them.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

SIDE = 32
"""Conditions are compared as averages over SIDE x SIDE fields, which keep a layout and drop noise."""

UNPAIRED = (
    "hist-l-set", "hist-a-set", "hist-b-set", "kid-paired", "kid-paired-alexnet", "fid", "kid", "precision", "recall",
    "density", "coverage", "mind", "mind-alexnet", "fd-alexnet", "swd",
)  # fmt: skip
"""Scores that do not pair an output with a target, so that real images can be compared with other real images."""


class Memory(NamedTuple):
    """What the training pairs alone say about the test pairs."""

    mean: np.ndarray
    """The mean of the training targets, (H, W, C'), rounded to their own type."""
    nearest: np.ndarray
    """For each test pair the position of the training pair with the nearest condition, (N,), int64."""
    distance: np.ndarray
    """The root mean square difference of these two conditions, (N,), as a fraction of full range."""


def look_up(training: Iterable[tuple[np.ndarray, np.ndarray]], conditions: np.ndarray) -> Memory:
    """The mean training target, and the training pair that is nearest to each of the test ``conditions``.

    The distance is L2 between conditions averaged down to 32x32 fields.

    Args:
        training: conditions (B, H, W, C) and targets (B, H, W, C') of block after block of the training pairs, uint8 or
            uint16.
        conditions: of the test pairs, (N, H, W, C), of the same type.
    """
    asked = fields(conditions)
    norms = (asked**2).sum(axis=1)
    least, nearest = np.full(len(asked), np.inf), np.zeros(len(asked), dtype=np.int64)
    total: np.ndarray | None = None
    done, dtype = 0, conditions.dtype
    for given, targets in training:
        known = fields(given)
        # In double precision, because the terms are much larger than the difference between near neighbours.
        squared = (known**2).sum(axis=1)[:, None] - 2 * known @ asked.T + norms
        best = squared.argmin(axis=0)
        found = squared[best, np.arange(len(asked))]
        closer = found < least
        least[closer], nearest[closer] = found[closer], done + best[closer]
        summed = targets.sum(axis=0, dtype=np.float64)
        total = summed if total is None else total + summed
        done, dtype = done + len(targets), targets.dtype
    if total is None:
        raise ValueError("there are no training pairs")
    mean = np.floor(total / done + 0.5).astype(dtype)
    return Memory(mean, nearest, np.sqrt(np.maximum(least, 0) / asked.shape[1]))


def fields(images: np.ndarray) -> np.ndarray:
    """Images (N, H, W, C), uint8 or uint16, averaged over 32x32 fields (fewer in smaller ones) that tile them.

    Returns:
        (N, d), float64 in [0, 1].
    """
    import torch
    from torch.nn.functional import adaptive_avg_pool2d

    size = (min(SIDE, images.shape[1]), min(SIDE, images.shape[2]))
    averaged = np.empty((len(images), images.shape[3] * size[0] * size[1]))
    most = np.iinfo(images.dtype).max
    for position, image in enumerate(images):  # one by one: as doubles a set is eight times as large
        planes = torch.from_numpy(image.transpose(2, 0, 1) / most)
        averaged[position] = adaptive_avg_pool2d(planes, size).flatten().numpy()
    return averaged


def disjoint(n_pairs: int, n: int, count: int) -> list[np.ndarray]:
    """``count`` disjoint samples of ``n`` positions out of 0..n_pairs-1, each sorted; always the same.

    Raises:
        ValueError: there are too few positions.
    """
    if count * n > n_pairs:
        raise ValueError(f"needs {count * n} training pairs; there are {n_pairs}")
    order = np.random.Generator(np.random.Philox(key=np.uint64(n_pairs))).permutation(n_pairs)
    return [np.sort(order[part * n : (part + 1) * n]) for part in range(count)]
