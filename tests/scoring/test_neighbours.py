"""Precision, recall, density and coverage in loops over pairs of images, whole and without each pair."""

from __future__ import annotations

import numpy as np
import pytest

from p2pbench.scoring import neighbours
from p2pbench.scoring.neighbours import density_and_coverage, within_reach

K = 3


def sets(n: int, d: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(n)
    return random.normal(size=(n, d)), random.normal(0.7, 1.3, size=(n, d))


def reach(centres: np.ndarray) -> list[float]:
    """The distance of each to its K-th nearest other."""
    return [sorted(np.linalg.norm(np.delete(centres, i, 0) - c, axis=1))[K - 1] for i, c in enumerate(centres)]


def share(points: np.ndarray, centres: np.ndarray) -> float:
    radii = reach(centres)
    return float(
        np.mean([any(np.linalg.norm(p - c) <= r for c, r in zip(centres, radii, strict=True)) for p in points])
    )


def naeem(fakes: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Equations 3 and 4 of the paper."""
    radii = reach(targets)
    in_ball = [[np.linalg.norm(f - t) < r for f in fakes] for t, r in zip(targets, radii, strict=True)]
    return float(np.sum(in_ball) / (K * len(fakes))), float(np.mean([any(row) for row in in_ball]))


@pytest.mark.parametrize("n", [5, 17])
def test_all_are_their_definition_and_exact_without_each_pair(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "ROWS", 6)  # blocks that do not divide the set
    fakes, targets = sets(n)
    precision, recall = within_reach(targets, fakes, K), within_reach(fakes, targets, K)
    density, coverage = density_and_coverage(fakes, targets, K)
    found = [precision, recall, density, coverage]

    def loops(f: np.ndarray, t: np.ndarray) -> list[float]:
        return [share(f, t), share(t, f), *naeem(f, t)]

    assert [score.value for score in found] == pytest.approx(loops(fakes, targets))
    without = [loops(np.delete(fakes, i, 0), np.delete(targets, i, 0)) for i in range(n)]
    for score, expected in zip(found, np.array(without).T, strict=True):
        assert score.left_out == pytest.approx(expected)


def test_samples_of_one_law_have_the_density_and_the_coverage_that_the_paper_derives() -> None:
    n, k = 60, 5
    expected = 1 - np.prod([(n - i) / (2 * n - i) for i in range(1, k + 1)])
    random = np.random.default_rng(0)
    samples = random.normal(size=(60, 2, n, 4))
    found = [density_and_coverage(fakes, targets, k) for fakes, targets in samples]
    values = np.array([[density.value, coverage.value] for density, coverage in found])
    errors = values.std(axis=0) / np.sqrt(60)
    assert np.abs(values.mean(axis=0) - [1, expected]) == pytest.approx([0, 0], abs=4 * errors.max())
    assert errors.max() < 0.02


def test_too_few_or_too_many_images_have_no_leave_outs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert within_reach(*sets(4), K).left_out is None
    monkeypatch.setattr(neighbours, "MOST_LEFT_OUT", 16)
    assert within_reach(*sets(17), K).left_out is None
    assert density_and_coverage(*sets(17), K)[1].left_out is None
