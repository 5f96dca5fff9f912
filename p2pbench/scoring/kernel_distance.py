"""The kernel distance between two sets of features of which each output belongs to a target: arrays in, numbers out."""

import numpy as np

from p2pbench.scoring.jackknife import LeftOut

ROWS = 1024
"""Rows of the kernel matrices that are in memory at once."""


def paired_kernel_distance(x: np.ndarray, y: np.ndarray) -> LeftOut:
    """The unbiased squared MMD with KID's kernel (x·y / d + 1)³, whose cross term leaves out each output's own target.

    Mean of k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i) over pairs i ≠ j: a U-statistic of the pairs (Gretton
    et al. 2012, lemma 6, their unbiased statistic for samples of one size; kernel of Bińkowski et al. 2018). It uses
    all images at once, and draws no subsets. With the terms k(x_i, y_i), as the usual KID has them, outputs that are
    close to their own targets look closer to the targets' distribution than they are.

    Leaving out pair i takes its own terms off the sum, so one pass over the n x n kernels gives all n leave-outs.

    Args:
        x, y: (n, d), n >= 3, row i of ``x`` belonging to row i of ``y``. Calculated in float64.
    Returns:
        The distance is about 0, and may be below, for sets of one distribution.
    """
    x, y = (np.asarray(features, dtype=np.float64) for features in (x, y))
    n = len(x)
    own = np.concatenate([_terms(x, y, start) for start in range(0, n, ROWS)])  # (n,): pair i with all others
    total = own.sum()
    left_out = (total - 2 * own) / ((n - 1) * (n - 2))
    return LeftOut(float(total / (n * (n - 1))), left_out)


def _terms(x: np.ndarray, y: np.ndarray, start: int) -> np.ndarray:
    """The sum over j ≠ i of the terms of i and j, for each i of the block of rows that begins at ``start``: (b,)."""
    rows = slice(start, start + ROWS)
    blocks = [_kernel(x[rows], x), _kernel(y[rows], y), _kernel(x[rows], y), _kernel(y[rows], x)]
    for kernel in blocks:
        np.fill_diagonal(kernel[:, rows], 0)
    of_x, of_y, across, back = (kernel.sum(axis=1) for kernel in blocks)
    return np.asarray(of_x + of_y - across - back)


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray((a @ b.T / a.shape[1] + 1) ** 3)
