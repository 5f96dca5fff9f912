"""The Frechet distance: its closed form for Gaussians, scipy's matrix root, and what any distance obeys."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg

from p2pbench.scoring.frechet import frechet_distance, without_each_pair


def exact(n: int, mean: np.ndarray, covariance: np.ndarray, seed: int = 0) -> np.ndarray:
    """(n, d) features whose mean and covariance (over n - 1) are exactly these."""
    x = np.random.default_rng(seed).normal(size=(n, len(mean)))
    x -= x.mean(axis=0)
    white = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    return np.asarray(white @ np.linalg.cholesky(covariance).T + mean)


def by_sqrtm(x: np.ndarray, y: np.ndarray) -> float:
    """The formula as FID's authors wrote it."""
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(cov_x @ cov_y).real
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cov_x + cov_y - 2 * root))


def test_gaussians_of_equal_covariance_are_apart_by_their_means() -> None:
    covariance = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 0.7]])
    x = exact(40, np.zeros(3), covariance, 0)
    y = exact(25, np.array([3.0, 0.0, 4.0]), covariance, 1)
    assert frechet_distance(x, y) == pytest.approx(25.0, rel=1e-10)


def test_gaussians_whose_covariances_commute_are_apart_by_their_deviations() -> None:
    a, b = np.array([1.0, 2.0, 3.0]), np.array([4.0, 2.0, 0.5])
    x, y = exact(30, np.ones(3), np.diag(a**2), 0), exact(30, np.ones(3), np.diag(b**2), 1)
    assert frechet_distance(x, y) == pytest.approx(((a - b) ** 2).sum(), rel=1e-10)


# Two thirds of the eigenvalues under the root are 0 where there are fewer images than features: 1e-5 there at best.
@pytest.mark.parametrize(("n", "m", "d", "relative"), [(60, 50, 12, 1e-8), (12, 15, 40, 1e-5), (12, 60, 40, 1e-5)])
def test_it_is_the_formula_with_scipys_matrix_root(n: int, m: int, d: int, relative: float) -> None:
    random = np.random.default_rng(3)
    mixing = random.normal(size=(d, d))
    x, y = random.normal(size=(n, d)), random.normal(0.3, 1.5, size=(m, d)) @ mixing
    with np.errstate(all="ignore"):
        assert frechet_distance(x, y) == pytest.approx(by_sqrtm(x, y), rel=relative)


@given(st.integers(2, 12), st.integers(2, 12), st.integers(1, 8), st.integers(0, 99))
def test_it_is_a_symmetric_distance_that_follows_shifts_and_scales(n: int, m: int, d: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(n, d)), random.normal(0.5, 2, size=(m, d))
    distance = frechet_distance(x, y)
    assert distance >= 0
    assert frechet_distance(y, x) == pytest.approx(distance, rel=1e-9, abs=1e-9)
    assert frechet_distance(3 * x, 3 * y) == pytest.approx(9 * distance, rel=1e-9, abs=1e-9)
    shift = random.normal(size=d)
    assert frechet_distance(x, x + shift) == pytest.approx((shift**2).sum(), rel=1e-9, abs=1e-9)
    assert frechet_distance(x, random.permutation(x)) == pytest.approx(0, abs=1e-9)
    padded = (np.pad(features, ((0, 0), (0, 20))) for features in (x, y))  # more features than images
    assert frechet_distance(*padded) == pytest.approx(distance, rel=1e-9, abs=1e-9)


# With fewer images than features most eigenvalues under the roots are 0, and the roots of rounding errors are not.
@pytest.mark.parametrize(("n", "d", "dead", "relative"), [(20, 5, 0, 1e-11), (20, 6, 2, 1e-8), (8, 20, 0, 1e-7)])
def test_without_each_pair_it_is_the_distance_of_the_others(n: int, d: int, dead: int, relative: float) -> None:
    """Also where some features are the same in all images."""
    random = np.random.default_rng(n)
    x, y = random.normal(size=(n, d)), random.normal(0.3, 1.5, size=(n, d)) @ random.normal(size=(d, d))
    x[:, :dead] = 0
    y[:, : dead // 2] = 1
    expected = [frechet_distance(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(n)]
    assert without_each_pair(x, y) == pytest.approx(expected, rel=relative)
    assert without_each_pair(np.tile(y[:1], (n, 1)), y) == pytest.approx(
        [frechet_distance(np.tile(y[:1], (n - 1, 1)), np.delete(y, i, 0)) for i in range(n)], rel=relative
    )
