"""Frechet distance between two sets of features: arrays in, a number out."""

import numpy as np


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Squared Frechet distance between Gaussians fitted to ``x`` and ``y`` (Dowson and Landau 1982; FID's formula).

    |mean difference|² + tr Cx + tr Cy - 2 tr √(Cx Cy), covariances over n - 1. The cross term is the sum of the
    singular values of X Yᵀ, where X and Y are the deviations from the mean over √(n - 1). For n below d that matrix is
    n x m and takes milliseconds where the eigenvalues of a d x d product take seconds.

    Args:
        x, y: (n, d) and (m, d), finite, n, m >= 2. Calculated in float64.
    Returns:
        0 or more, in squared units of the features. Biased upward for small sets, the more the fewer.
    """
    (mean_x, x), (mean_y, y) = (_deviations(features) for features in (x, y))
    cross = np.linalg.svd(_at_most_square(x) @ _at_most_square(y).T, compute_uv=False).sum()
    distance = ((mean_x - mean_y) ** 2).sum() + (x**2).sum() + (y**2).sum() - 2 * cross
    return max(0.0, float(distance))  # of equal sets it is a rounding error, of either sign


def _deviations(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features = np.asarray(features, dtype=np.float64)
    mean = features.mean(axis=0)
    return mean, (features - mean) / np.sqrt(len(features) - 1)


def _at_most_square(deviations: np.ndarray) -> np.ndarray:
    """A matrix with the same DᵀD and at most d rows: a triangular one where there are more."""
    n, d = deviations.shape
    return np.asarray(np.linalg.qr(deviations, mode="r")) if n > d else deviations
