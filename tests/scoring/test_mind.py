"""MIND: its formula written out, a shift, and what is left without each pair."""

from __future__ import annotations

import numpy as np
import pytest

from p2pbench.scoring import mind as module
from p2pbench.scoring.mind import mind


def written_out(x: np.ndarray, y: np.ndarray) -> float:
    d = x.shape[1]
    directions = np.random.Generator(np.random.Philox(key=np.uint64(2605))).standard_normal((1000, d))
    gaps = []
    for direction in directions:
        unit = direction / np.sqrt((direction**2).sum())
        gaps.append(((np.sort(x @ unit) - np.sort(y @ unit)) ** 2).mean())
    return float(3 * d * np.mean(gaps))


def test_it_is_its_formula_and_exact_without_each_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_VALUES", 300 * 7)  # blocks that do not divide the directions
    random = np.random.default_rng(0)
    x, y = random.normal(size=(7, 4)), random.normal(0.3, 2, size=(7, 4))
    x[2] = x[5]  # a tie
    found = mind(x, y)
    assert found.value == pytest.approx(written_out(x, y), rel=1e-10)
    without = [written_out(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(7)]
    assert found.left_out == pytest.approx(without, rel=1e-10)


def test_a_shift_scores_three_times_its_square() -> None:
    x = np.random.default_rng(1).normal(size=(20, 32))
    shift = np.full(32, 0.5)
    assert mind(x + shift, x).value == pytest.approx(3 * 0.25 * 32, rel=0.15)  # 1,000 directions
    assert mind(x, x).value == 0
