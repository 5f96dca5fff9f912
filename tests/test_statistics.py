"""Intervals against simulation and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from p2pbench.statistics import mean_interval, paired_difference

values = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40)


@given(values)
def test_the_interval_is_students(sample: list[float]) -> None:
    found = mean_interval(np.array(sample))
    spread = np.std(sample, ddof=1) / len(sample) ** 0.5
    if spread < 1e-6:  # scipy has no interval without spread
        return
    low, high = stats.t.interval(0.95, len(sample) - 1, np.mean(sample), spread)
    assert found == pytest.approx((np.mean(sample), low, high, len(sample)), rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("n", [5, 30, 100])
def test_coverage_on_simulated_data(n: int) -> None:
    random = np.random.default_rng(0)
    draws = random.normal(3.0, 2.0, size=(2000, n))
    covered = sum(e.low <= 3.0 <= e.high for e in map(mean_interval, draws))  # type: ignore[operator]
    assert 0.935 <= covered / 2000 <= 0.965  # three standard errors of 2000 draws at 0.95


def test_one_value_has_no_interval_and_none_no_mean() -> None:
    assert mean_interval(np.array([2.0])) == (2.0, None, None, 1)
    with pytest.raises(ValueError, match="finite"):
        mean_interval(np.array([]))
    with pytest.raises(ValueError, match="finite"):
        mean_interval(np.array([1.0, np.inf]))


def test_paired_differences_see_what_unpaired_ones_do_not() -> None:
    random = np.random.default_rng(0)
    baseline = random.normal(0, 10, 50)
    better = baseline + 0.5 + random.normal(0, 0.1, 50)
    difference = paired_difference(better, baseline)
    assert difference.low is not None
    assert 0 < difference.low < 0.5 < difference.high  # type: ignore[operator]
    with pytest.raises(ValueError, match="equal numbers"):
        paired_difference(baseline, baseline[:3])


@given(values)
def test_a_difference_to_oneself_is_zero(sample: list[float]) -> None:
    assert paired_difference(np.array(sample), np.array(sample))[:3] == (0.0, 0.0, 0.0)
