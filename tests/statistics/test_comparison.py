"""Tests and corrections against enumeration, hand values, laws and simulation."""

from __future__ import annotations

import itertools
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_coverage import false_positives

from p2pbench.statistics.comparison import holm, sign_flip_p

sixteenths = st.integers(-1600, 1600).map(lambda whole: whole / 16)
p_values = st.lists(st.floats(0, 1), max_size=20)


def by_enumeration(differences: np.ndarray) -> float:
    sums = [abs(sum(pattern)) for pattern in itertools.product(*((d, -d) for d in differences.tolist()))]
    return float(np.mean(np.array(sums) >= abs(differences.sum())))


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([3.0], 1),
        ([1.0, 2.0, 3.0], 2 / 8),
        ([-1.0, -2.0, -3.0], 2 / 8),
        ([1.0, 2.0, -3.0], 1),
        ([1.0, 2.0, 3.0, -0.5], 4 / 16),  # sums of 5.5 or more: all of one sign but, perhaps, the smallest
        ([0.1, 0.2, 0.3], 2 / 8),
        ([0.0, 0.0, 0.0, 0.0], 1),
        ([1.0] * 13, 2 / 2**13),
    ],
)
def test_with_few_differences_the_p_value_is_exact(differences: list[float], p: float) -> None:
    assert sign_flip_p(np.array(differences)) == p


@given(st.lists(sixteenths, min_size=1, max_size=8).map(np.array))
def test_the_exact_p_value_is_that_of_every_pattern(differences: np.ndarray) -> None:
    assert sign_flip_p(differences) == by_enumeration(differences)


def test_drawn_patterns_come_near_every_pattern() -> None:
    random = np.random.default_rng(0)
    for effect in (0.0, 0.3, 0.8):
        differences = random.normal(effect, 1, 14)
        exact = by_enumeration(differences)
        error = (exact * (1 - exact) / 10_000) ** 0.5
        assert sign_flip_p(differences) == pytest.approx(exact, abs=4 * error + 1e-4)
    assert sign_flip_p(np.full(14, 2.0)) == pytest.approx(2 / 2**14, abs=5e-4)
    assert sign_flip_p(np.full(50, 2.0)) == 1 / 10_001  # the least there is


@pytest.mark.parametrize(("population", "n"), [("normal", 8), ("normal", 30), ("normal", 106), ("skewness 2", 106)])
def test_the_test_finds_nothing_where_nothing_is(population: str, n: int) -> None:
    assert 0.03 <= false_positives(population, n, 1000) <= 0.07


@given(
    st.lists(sixteenths, min_size=1, max_size=20).map(np.array),
    st.sampled_from([-4.0, -1.0, 0.25, 3.0]),
    st.randoms(use_true_random=False),
)
def test_neither_scale_nor_direction_nor_order_changes_p(differences: np.ndarray, scale: float, random: Random) -> None:
    p = sign_flip_p(differences)
    assert 0 < p <= 1
    assert sign_flip_p(scale * differences) == p
    order = list(range(len(differences)))
    random.shuffle(order)
    assert sign_flip_p(differences[order]) == p


@pytest.mark.parametrize("n", [5, 40])
def test_many_rows_at_once_are_the_same_as_one_by_one(n: int) -> None:
    rows = np.random.default_rng(0).normal(0.3, 1, (2, 3, n))
    found = sign_flip_p(rows)
    assert found.shape == (2, 3)
    assert found.ravel().tolist() == [float(sign_flip_p(row)) for row in rows.reshape(6, n)]


def test_p_values_are_the_same_for_ever() -> None:
    differences = np.sin(np.arange(106.0)) + 0.1
    assert sign_flip_p(differences) == 1212 / 10_001


def test_what_is_no_difference_is_refused() -> None:
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="finite"):
            sign_flip_p(np.array([1.0, bad]))
    for empty in (np.array([]), np.array(1.0)):
        with pytest.raises(ValueError, match="non-empty"):
            sign_flip_p(empty)


def test_holm_by_hand() -> None:
    # in order: 4 * 0.005, 3 * 0.01, 2 * 0.03, and 1 * 0.04, which may not be below the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.7, 0.6]) == pytest.approx([1, 1])
    assert holm([0.2]) == pytest.approx([0.2])
    assert holm([]).shape == (0,)
    assert holm([0.03, 0.005], family=4) == pytest.approx([0.09, 0.02])  # as with two of 1 beside them
    with pytest.raises(ValueError, match="a family of 1 tests has no 2 p-values"):
        holm([0.03, 0.005], family=1)
    for bad in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"lie in \[0, 1\], got"):
            holm([0.5, bad])


@given(p_values, st.randoms(use_true_random=False))
def test_holm_raises_p_keeps_its_order_and_follows_a_permutation(p: list[float], random: Random) -> None:
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    order = list(range(len(p)))
    random.shuffle(order)
    assert holm([p[i] for i in order]).tolist() == adjusted[order].tolist()
    assert holm(p, len(p) + 2).tolist() == holm([*p, 1, 1])[: len(p)].tolist()
