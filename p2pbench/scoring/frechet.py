"""Frechet distance between two sets of features, and what it is without each pair: arrays in, numbers out."""

import numpy as np

from p2pbench.system.hardware import on_all_cores


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
    x, y = x / np.sqrt(len(x) - 1), y / np.sqrt(len(y) - 1)
    cross = np.linalg.svd(_at_most_square(x) @ _at_most_square(y).T, compute_uv=False).sum()
    distance = ((mean_x - mean_y) ** 2).sum() + (x**2).sum() + (y**2).sum() - 2 * cross
    return max(0.0, float(distance))  # of equal sets it is a rounding error, of either sign


def without_each_pair(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The :func:`frechet_distance` of ``x`` and ``y`` without row i of both, for each i.

    Without a row a mean moves by u / (n - 1), where u is the row's deviation, and the scatter matrix XᵀX falls by
    n / (n - 1) u uᵀ. With Y = U S Vᵀ that of Y becomes V S (1 - n / (n - 1) w wᵀ) S Vᵀ, where w is row i of U; the root
    of what is in the middle is 1 - g w wᵀ. So the cross term is the sum of the roots of the eigenvalues of a symmetric
    matrix of at most n or d rows, which is (X V S)ᵀ(X V S) changed by vectors: one eigenproblem each, no product.

    Args:
        x, y: (n, d), finite, n >= 3. Calculated in float64.
    Returns:
        (n,), each 0 or more.
    """
    (mean_x, x), (mean_y, y) = (_deviations(features) for features in (x, y))
    n, apart = len(x), mean_x - mean_y
    rows, scales, axes = np.linalg.svd(y, full_matrices=False)
    there = scales > scales[0] * max(y.shape) * np.finfo(float).eps
    rows, projected = rows[:, there], x @ (axes[there] * scales[there, None]).T  # (n, r) each
    whole, share = projected.T @ projected, n / (n - 1)

    def cross(w: np.ndarray, p: np.ndarray) -> float:
        length = w @ w
        g = (1 - np.sqrt(max(0.0, 1 - share * length))) / length if length > 0 else 0.0
        left = whole - share * np.outer(p, p)
        across = left @ w
        left -= g * (np.outer(w, across) + np.outer(across, w)) - g**2 * (w @ across) * np.outer(w, w)
        return float(np.sqrt(np.maximum(np.linalg.eigvalsh(left), 0)).sum())

    crosses = np.array(on_all_cores(cross, rows, projected))
    of_x, of_y = ((side**2).sum(axis=1) for side in (x, y))
    traces = of_x.sum() + of_y.sum() - share * (of_x + of_y)
    means = ((apart - (x - y) / (n - 1)) ** 2).sum(axis=1)
    return np.asarray(np.maximum(0, means + (traces - 2 * crosses) / (n - 2)))


def _deviations(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features = np.asarray(features, dtype=np.float64)
    mean = features.mean(axis=0)
    return mean, features - mean


def _at_most_square(deviations: np.ndarray) -> np.ndarray:
    """A matrix with the same DᵀD and at most d rows: a triangular one where there are more."""
    n, d = deviations.shape
    return np.asarray(np.linalg.qr(deviations, mode="r")) if n > d else deviations
