"""Means over seeds and images: closed forms, laws, and that what is predicted of them comes true in simulation."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from p2pbench.statistics.intervals import mean_interval
from p2pbench.statistics.trainings import (
    Spread,
    over_trainings,
    power,
    seeds_needed,
    smallest_difference,
)

sixteenths = st.integers(-1600, 1600).map(lambda whole: whole / 16)
"""Values whose sums are exact, so that a law needs no excuse for rounding."""
matrices = st.tuples(st.integers(3, 6), st.integers(2, 9)).flatmap(
    lambda shape: st.lists(sixteenths, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]).map(
        lambda numbers: np.array(numbers).reshape(shape)
    )
)


def drawn(random: np.random.Generator, spread: Spread, seeds: int, images: int) -> np.ndarray:
    """The scores of one study whose true mean is zero."""
    of_seeds = random.normal(0, spread.seeds**0.5, (seeds, 1))
    return of_seeds + random.normal(0, spread.images**0.5, images) + random.normal(0, spread.rest**0.5, (seeds, images))


def test_the_interval_of_a_matrix_by_hand() -> None:
    scores = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])[:, None] + np.array([9.0, 11.0])
    # MS of seeds 2 * 10 / 4 = 5, of images 5 * 2 / 1 = 10, of the rest 0
    half = stats.t.ppf(0.975, 15**2 / (5**2 / 4 + 10**2 / 1)) * (15 / 10) ** 0.5
    found = over_trainings(scores)
    assert (found.value, found.low, found.high) == pytest.approx((10, 10 - half, 10 + half))
    assert found.spread() == pytest.approx((2.5, 2.0, 0.0))


def test_below_five_seeds_it_is_the_wider_of_two() -> None:
    scores = np.array([-1.0, 0.0, 1.0])[:, None] + np.array([9.0, 11.0])
    # crossed: MS of seeds 2, of images 6; over the seeds' means alone: sd 1, 2 degrees of freedom
    crossed = stats.t.ppf(0.975, 8**2 / (2**2 / 2 + 6**2 / 1)) * (8 / 6) ** 0.5
    over_seeds = stats.t.ppf(0.975, 2) * (1 / 3) ** 0.5
    assert over_trainings(scores).half_width() == pytest.approx(max(crossed, over_seeds))
    flat = np.array([-1.0, 0.0, 1.0])[:, None] + np.array([-1.0, 1.0, 0.0, 0.0])[None] / 1e3
    assert over_trainings(flat).half_width() == pytest.approx(over_seeds, rel=1e-3)


@given(st.lists(sixteenths, min_size=5, max_size=40))
def test_with_one_source_of_spread_it_is_students(sample: list[float]) -> None:
    column = np.array(sample)
    expected = pytest.approx(mean_interval(column)[:3], rel=1e-9, abs=1e-9)
    for scores in (np.tile(column[:, None], 4), np.tile(column, (5, 1))):
        found = over_trainings(scores)
        assert (found.value, found.low, found.high) == expected


@given(matrices, st.integers(-99, 99), st.sampled_from([0.25, 2.0, 8.0]), st.randoms(use_true_random=False))
def test_it_follows_shift_and_scale_and_ignores_the_order(
    scores: np.ndarray, shift: int, scale: float, random: Random
) -> None:
    found, moved = over_trainings(scores), over_trainings(scale * scores + shift)
    half = found.half_width()
    assert half is not None
    assert (moved.value, moved.half_width()) == pytest.approx((scale * found.value + shift, scale * half), abs=1e-6)
    rows, columns = list(range(scores.shape[0])), list(range(scores.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    again = over_trainings(scores[rows][:, columns])
    assert (again.value, again.half_width()) == pytest.approx((found.value, half), rel=1e-9, abs=1e-9)


@given(matrices, st.floats(0.01, 50))
def test_the_tests_say_what_the_intervals_say(scores: np.ndarray, margin: float) -> None:
    found = over_trainings(scores)
    half, narrow = found.half_width(), found.half_width(0.9)
    assert half is not None and narrow is not None
    near = 1e-6 * (1 + half)
    for p, distance in (
        (found.p(), abs(found.value) - half),
        (found.p_beyond(margin), abs(found.value) - half - margin),
        (found.p_within(margin), margin - abs(found.value) - narrow),
    ):
        assert p is not None and 0 <= p <= 1
        if abs(distance) > near:
            assert (p < 0.05) == (distance > 0)


def test_few_seeds_one_image_and_no_spread() -> None:
    scores = np.arange(12.0).reshape(3, 4)
    two = over_trainings(scores[:2])
    assert two[:3] == (3.5, 2, 4)
    assert two.reason == "2 seeds: other trainings need 3 or more"
    assert (two.low, two.p(), two.p_within(1), two.spread()) == (None, None, None, None)
    assert over_trainings(scores[:1]).reason == "1 seed: other trainings need 3 or more"
    assert over_trainings(scores[:, :1]).reason == "one image has no interval"
    same = over_trainings(np.zeros((3, 4)))
    assert (same.low, same.high, same.p(), same.p_within(0.1)) == (0, 0, 1, 0)
    constant = over_trainings(np.full((5, 30), 0.1) - 0.3)
    assert constant.low == pytest.approx(-0.2)
    assert constant.p() == 0


def test_a_matrix_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"non-empty array of 2 dimensions, got shape \(3,\)"):
        over_trainings(np.zeros(3))
    with pytest.raises(ValueError, match=r"finite; 1 of 12 are not, the first at \[1, 2\]"):
        over_trainings(np.where(np.arange(12).reshape(3, 4) == 6, np.nan, 0))


@pytest.mark.parametrize(("seeds", "images", "share"), [(3, 30, 0.1), (5, 106, 0.5), (10, 30, 0.0)])
def test_what_is_predicted_comes_true(seeds: int, images: int, share: float) -> None:
    """Coverage, power and the error of equivalence by 600 studies; tests/calibration has more of both."""
    spread = Spread(share, (1 - share) / 2, (1 - share) / 2)
    shown = smallest_difference(spread, seeds, images)
    assert power(shown, spread, seeds, images) == pytest.approx(0.8, abs=1e-3)
    random = np.random.default_rng(seeds)
    found = [over_trainings(drawn(random, spread, seeds, images)) for _ in range(600)]
    covered = np.mean([abs(f.value) <= (f.half_width() or 0) for f in found])
    achieved = np.mean([abs(f.value + shown) > (f.half_width() or 0) for f in found])
    wrong = np.mean([(f._replace(value=f.value + shown).p_within(shown) or 0) < 0.05 for f in found])
    assert 0.92 <= covered <= 0.985
    assert achieved == pytest.approx(0.8, abs=0.05)  # 3 standard errors of 600
    assert wrong <= 0.08


def test_more_seeds_show_more_and_the_fewest_that_do_are_found() -> None:
    spread = Spread(0.02, 0.05, 0.5)
    shown = [smallest_difference(spread, seeds, 100) for seeds in (3, 5, 10, 50)]
    assert shown == sorted(shown, reverse=True)
    assert smallest_difference(spread, 5, 100, 0.05 / 4) > shown[1]
    needed = seeds_needed(0.2, spread, 100)
    assert needed is not None and needed > 3
    assert power(0.2, spread, needed + 1, 100) > 0.8 > power(0.2, spread, needed - 2, 100)
    assert seeds_needed(1e-3, spread, 100) is None
    assert seeds_needed(0, spread, 100) is None
    assert seeds_needed(5.0, spread, 100) == 3


@pytest.mark.parametrize("difference", [0.15, 0.3, 0.6])
@pytest.mark.parametrize("spread", [Spread(0.0, 0.1, 1.0), Spread(0.05, 0.05, 0.1), Spread(0.5, 0.0, 0.0)])
def test_the_fewest_seeds_are_those_that_a_search_from_below_finds(difference: float, spread: Spread) -> None:
    enough = (n for n in range(3, 101) if power(difference, spread, n, 30, 0.0125, draws=1000) >= 0.8)
    assert seeds_needed(difference, spread, 30, 0.0125) == next(enough, None)
