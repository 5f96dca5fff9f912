"""The paired kernel distance is its double sum, exact without each pair, and not fooled by outputs tied to targets."""

from __future__ import annotations

import numpy as np
import pytest

from p2pbench.scoring import kernel_distance
from p2pbench.scoring.jackknife import pseudo_values
from p2pbench.scoring.kernel_distance import paired_kernel_distance


def double_sum(x: np.ndarray, y: np.ndarray) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((np.dot(a, b) / len(a) + 1) ** 3)

    n = len(x)
    others = [(i, j) for i in range(n) for j in range(n) if i != j]
    return sum(
        kernel(x[i], x[j]) + kernel(y[i], y[j]) - kernel(x[i], y[j]) - kernel(x[j], y[i]) for i, j in others
    ) / len(others)


def test_it_is_the_double_sum_and_so_is_what_is_left_without_each_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_distance, "ROWS", 4)  # blocks that do not divide the set
    random = np.random.default_rng(0)
    x, y = random.normal(size=(9, 5)), random.normal(0.5, 2, size=(9, 5))
    found = paired_kernel_distance(x, y)
    assert found.value == pytest.approx(double_sum(x, y), rel=1e-10)
    without = [double_sum(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(9)]
    assert found.left_out == pytest.approx(without, rel=1e-10)
    # A U-statistic is unbiased, and so the mean of its pseudo-values is the statistic itself.
    assert pseudo_values(found.value, found.left_out).mean() == pytest.approx(found.value, rel=1e-10)


def test_outputs_tied_to_their_own_targets_do_not_pass_as_closer_to_the_law() -> None:
    """Of two variants the one that copies its targets' deviations, with too little spread, is further from their law.

    Features of 64 dimensions, 40 images, 200 samples. With the terms i = i the usual statistic prefers it.
    """
    random, n, d = np.random.default_rng(1), 40, 64
    differences = []
    for _ in range(200):
        targets, noise = random.normal(size=(2, n, d))
        tied, free = 0.5 * targets, noise  # of variance 0.25, and of the very law of the targets
        paired = paired_kernel_distance(tied, targets).value - paired_kernel_distance(free, targets).value
        own = 2 / n * (((tied * targets).sum(1) / d + 1) ** 3 - ((free * targets).sum(1) / d + 1) ** 3).mean()
        differences.append((paired, paired - own))
    paired, usual = np.array(differences).T
    # What the kernel's expectation is: E (x·y/d + 1)³ = 1 + 3 E(x·y/d)², and E(x·y)² = d times both variances.
    truth = 3 * (0.25**2 - 2 * 0.25 + 1) / d
    error = paired.std() / np.sqrt(200)
    assert paired.mean() == pytest.approx(truth, abs=4 * error)
    assert error < truth / 4
    assert usual.mean() < -0.05
