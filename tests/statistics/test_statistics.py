"""Intervals against simulation, closed forms and another implementation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from simulated_coverage import image_coverage

from p2pbench.statistics.intervals import (
    Estimate,
    bca_limits,
    image_interval,
    mean_interval,
    sd_over_seeds,
)


def bca_interval(sample: np.ndarray) -> Estimate:
    low, high = bca_limits(np.asarray(sample, dtype=float)[None])
    return Estimate(float(np.mean(sample)), float(low[0]), float(high[0]), len(sample))


values = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40)
sixteenths = st.integers(-1600, 1600).map(lambda whole: whole / 16)
"""Values whose sums are exact, so that a law needs no excuse for rounding."""
samples = st.lists(sixteenths, min_size=2, max_size=40)


@given(values)
def test_the_interval_is_students(sample: list[float]) -> None:
    found = mean_interval(np.array(sample))
    spread = np.std(sample, ddof=1) / len(sample) ** 0.5
    if spread < 1e-6:  # scipy has no interval without spread
        return
    low, high = stats.t.interval(0.95, len(sample) - 1, np.mean(sample), spread)
    assert found == pytest.approx((np.mean(sample), low, high, len(sample)), rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("population", ["normal", "skewness 1", "skewness 2"])
def test_intervals_over_images_cover(population: str) -> None:
    found = image_coverage(population, 100, 1000)
    for below, above in found.values():
        assert 0.93 <= 1 - below - above <= 0.97


def test_with_few_images_only_t_covers_and_with_a_long_tail_bca_misses_on_both_sides_alike() -> None:
    few = image_coverage("normal", 8, 1000)
    assert 0.93 <= 1 - sum(few["t"]) <= 0.97
    assert 1 - sum(few["BCa"]) < 0.91  # why the rule has t there
    skewed = image_coverage("skewness 2", 100, 1000)
    assert skewed["t"][1] > 3 * skewed["t"][0]
    assert skewed["BCa"][1] < 2.5 * skewed["BCa"][0]


@pytest.mark.parametrize(("n", "sigma"), [(30, 0.5), (106, 1.0)])
def test_bca_is_scipys_but_for_the_draws(n: int, sigma: float) -> None:
    sample = np.random.default_rng(0).lognormal(0, sigma, n)
    theirs = stats.bootstrap((sample,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1))
    low, high = theirs.confidence_interval
    # so near for 10,000 draws; the percentile bootstrap is further away
    assert bca_interval(sample) == pytest.approx((sample.mean(), low, high, n), abs=0.02 * (high - low))


def test_bca_draws_the_same_for_ever() -> None:
    found = bca_interval(np.arange(1.0, 31.0) ** 2)
    assert found == pytest.approx((315.1666666666667, 223.55601518279317, 421.74832806043366, 30), rel=1e-12)


def test_the_rule_is_t_but_for_many_images_with_a_long_tail() -> None:
    random = np.random.default_rng(0)
    skewed, normal = random.lognormal(0, 1, 100), random.normal(size=100)
    assert image_interval(skewed) == (bca_interval(skewed), "BCa")
    assert image_interval(-skewed) == (bca_interval(-skewed), "BCa")
    assert image_interval(skewed[:99]) == (mean_interval(skewed[:99]), "t")
    assert image_interval(normal) == (mean_interval(normal), "t")
    assert image_interval(np.full(200, 0.1)) == (mean_interval(np.full(200, 0.1)), "t")


def test_one_value_has_no_interval_and_none_no_mean() -> None:
    assert mean_interval(np.array([2.0])) == (2.0, None, None, 1)
    with pytest.raises(ValueError, match="non-empty array of 1 dim"):
        mean_interval(np.array([]))
    for bad in (np.inf, -np.inf, np.nan):
        with pytest.raises(ValueError, match=r"finite; 1 of 3 are not, the first at \[1\]"):
            mean_interval(np.array([1.0, bad, 2.0]))


@pytest.mark.parametrize("interval", [mean_interval, bca_interval])
@given(sample=samples, shift=st.integers(-99, 99), scale=st.sampled_from([0.25, 2.0, 8.0]), data=st.data())
def test_intervals_follow_shift_and_scale_and_ignore_the_order(
    interval: Callable[[np.ndarray], Estimate], sample: list[float], shift: int, scale: float, data: st.DataObject
) -> None:
    found = interval(np.array(sample))
    expected = tuple(scale * number + shift for number in found[:3] if number is not None)
    moved = interval(scale * np.array(sample) + shift)
    assert moved[:3] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    shuffled = interval(np.array(data.draw(st.permutations(sample))))
    assert shuffled[:3] == pytest.approx(found[:3], rel=1e-9, abs=1e-9)
    assert found.low is not None
    assert found.high is not None
    assert found.low - 1e-9 <= found.value <= found.high + 1e-9


@given(st.floats(-1e6, 1e6), st.integers(2, 60))
def test_values_without_spread_have_an_interval_without_width(value: float, n: int) -> None:
    assert bca_interval(np.full(n, value))[:3] == pytest.approx((value, value, value), rel=1e-12)


def test_values_that_differ_in_their_last_bit_have_an_interval() -> None:
    for n in (2, 3, 10, 49, 100, 199):  # the mean's rounding can be larger than the spread
        sample = np.full(n, 0.1)
        sample[0] = np.nextafter(0.1, 1)
        assert bca_interval(sample)[:3] == pytest.approx((0.1, 0.1, 0.1), rel=1e-12)


def test_the_spread_over_seeds() -> None:
    assert sd_over_seeds(np.array([1.0, 2.0, 3.0])) == 1.0
    assert sd_over_seeds(np.array([1.0])) is None
    with pytest.raises(ValueError, match="finite"):
        sd_over_seeds(np.array([1.0, np.nan]))
