"""Random resamples and sign flips, keyed by how many values there are.

The raw output of Philox, which numpy promises not to change, so that a p-value is the same on every machine and with
every release. Matrix products serve many samples with one set of draws.
"""

from collections.abc import Iterator

import numpy as np

N_DRAWS = 10_000
_BLOCK = 1 << 22
"""Numbers held at once."""


def resampled_means(samples: np.ndarray) -> np.ndarray:
    """Means of ``N_DRAWS`` resamples with replacement of each sample, (m, n) to (m, N_DRAWS)."""
    n = samples.shape[1]
    bits = np.random.Philox(key=np.array([1, n], dtype=np.uint64))
    means = []
    for rows in _blocks(n):
        chosen = (bits.random_raw(rows * n) >> np.uint64(32)) * np.uint64(n) >> np.uint64(32)
        row = np.repeat(np.arange(rows), n)
        counts = np.bincount(row * n + chosen.astype(np.intp), minlength=rows * n).reshape(rows, n)
        means.append(samples @ (counts.T / n))
    return np.concatenate(means, axis=1)


def flips(n: int) -> Iterator[np.ndarray]:
    """``N_DRAWS`` rows of n random signs, in blocks (rows, n) of float64 +1 and -1."""
    bits = np.random.Philox(key=np.array([2, n], dtype=np.uint64))
    for rows in _blocks(n):
        ones = np.unpackbits(bits.random_raw(-(-rows * n // 64)).astype("<u8").view(np.uint8), count=rows * n)
        yield 1.0 - 2.0 * ones.reshape(rows, n)


def all_flips(n: int) -> np.ndarray:
    """Every pattern of n signs, (2**n, n), float64 +1 and -1."""
    return 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)


def _blocks(n: int) -> Iterator[int]:
    left = N_DRAWS
    while left > 0:
        rows = min(left, max(1, _BLOCK // n))
        yield rows
        left -= rows
