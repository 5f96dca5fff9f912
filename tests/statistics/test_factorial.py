"""Factorial effects on data whose effects are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pbench.statistics.factorial import factorial_effects
from p2pbench.statistics.intervals import mean_interval

FACTORS = {"generator": ["resnet6", "unet"], "objective": ["l1", "gan", "l1+cgan"], "dropout": ["on", "off"]}
BASELINE = {"generator": "unet", "objective": "l1+cgan", "dropout": "on"}
GENERATOR = {"resnet6": 0.3, "unet": 0.0}
OBJECTIVE = {"l1": 1.0, "gan": -2.0, "l1+cgan": 0.0}


def test_the_effects_of_two_by_two_by_hand() -> None:
    scores: dict[tuple[str, ...], np.ndarray] = {
        ("unet", "l1"): np.array([1.0, 2.0]),
        ("unet", "gan"): np.array([4.0, 4.0]),
        ("resnet6", "l1"): np.array([2.0, 2.0]),
        ("resnet6", "gan"): np.array([9.0, 7.0]),
    }
    factors = {"generator": ["unet", "resnet6"], "objective": ["l1", "gan"]}
    effects = factorial_effects(scores, factors, {"generator": "unet", "objective": "l1"})
    assert [(e.name, e.factors, e.per_image.tolist()) for e in effects] == [
        ("resnet6 - unet", ("generator",), [3.0, 1.5]),  # (2 + 9 - 1 - 4) / 2, (2 + 7 - 2 - 4) / 2
        ("gan - l1", ("objective",), [5.0, 3.5]),
        ("(resnet6 - unet) × (gan - l1)", ("generator", "objective"), [4.0, 3.0]),
    ]
    assert all(e.estimate == mean_interval(e.per_image) for e in effects)


def additive(n: int = 30) -> dict[tuple[str, ...], np.ndarray]:
    images = np.random.default_rng(0).normal(10, 3, n)
    return {
        combination: images + GENERATOR[combination[0]] + OBJECTIVE[combination[1]]
        for combination in itertools.product(*FACTORS.values())
    }


def test_effects_that_add_up_have_no_interaction() -> None:
    effects = {e.name: e for e in factorial_effects(additive(), FACTORS, BASELINE)}
    main = {"resnet6 - unet": 0.3, "l1 - l1+cgan": 1, "gan - l1+cgan": -2, "off - on": 0}
    assert list(effects)[:4] == list(main)
    assert len(effects) == 4 + 2 + 1 + 2
    for name, effect in effects.items():
        assert effect.per_image == pytest.approx(np.full(30, main.get(name, 0)), abs=1e-12)


def test_an_interaction_is_found_where_it_is_and_only_there() -> None:
    scores = additive()
    for combination in scores:
        if combination[:2] == ("resnet6", "gan"):
            scores[combination] = scores[combination] + 0.6
    effects = {e.name: e.estimate.value for e in factorial_effects(scores, FACTORS, BASELINE)}
    found = {name: value for name, value in effects.items() if "×" in name and abs(value) > 1e-9}
    assert found == pytest.approx({"(resnet6 - unet) × (gan - l1+cgan)": 0.6})
    assert effects["resnet6 - unet"] == pytest.approx(0.3 + 0.6 / 3)  # a main effect is a mean over the other levels
    assert effects["gan - l1+cgan"] == pytest.approx(-2 + 0.6 / 2)


def test_differences_of_images_cancel_and_leave_a_narrow_interval() -> None:
    random = np.random.default_rng(1)
    noisy = {key: values + random.normal(0, 0.1, 30) for key, values in additive().items()}
    effect = factorial_effects(noisy, FACTORS, BASELINE)[0]
    assert effect.estimate.low is not None
    assert 0.2 < effect.estimate.low < 0.3 < effect.estimate.high < 0.4  # type: ignore[operator]


@given(st.lists(st.integers(-999, 999), min_size=24, max_size=24), st.integers(-99, 99), st.integers(1, 9))
def test_effects_ignore_a_shift_and_follow_a_scale(numbers: list[int], shift: int, scale: int) -> None:
    scores = dict(zip(itertools.product(*FACTORS.values()), np.array(numbers).reshape(12, 2) / 16, strict=True))
    moved = {key: scale * values + shift for key, values in scores.items()}
    pairs = zip(factorial_effects(scores, FACTORS, BASELINE), factorial_effects(moved, FACTORS, BASELINE), strict=True)
    for before, after in pairs:
        assert after.per_image == pytest.approx(scale * before.per_image, abs=1e-9)


def test_a_factor_with_one_level_has_no_effect() -> None:
    scores: dict[tuple[str, ...], np.ndarray] = {("a", "x"): np.array([1.0, 2.0]), ("b", "x"): np.array([2.0, 5.0])}
    (effect,) = factorial_effects(scores, {"f": ["a", "b"], "g": ["x"]}, {"f": "a", "g": "x"})
    assert (effect.name, effect.per_image.tolist()) == ("b - a", [1.0, 3.0])


def test_what_is_no_full_factorial_is_refused() -> None:
    scores = additive()
    with pytest.raises(ValueError, match=r"full factorial of generator, objective, dropout; this one lacks \('unet'"):
        factorial_effects({key: v for key, v in scores.items() if key != ("unet", "gan", "off")}, FACTORS, BASELINE)
    with pytest.raises(ValueError, match=r"has no place for \('vit', 'l1', 'on'\)"):
        factorial_effects({**scores, ("vit", "l1", "on"): np.zeros(30)}, FACTORS, BASELINE)
    with pytest.raises(ValueError, match="'generator' has no baseline level 'vit': resnet6, unet"):
        factorial_effects(scores, FACTORS, {**BASELINE, "generator": "vit"})
    with pytest.raises(ValueError, match="'dropout' names a level twice: on, on"):
        factorial_effects(scores, {**FACTORS, "dropout": ["on", "on"]}, BASELINE)
    first = next(iter(scores))
    with pytest.raises(ValueError, match="the same images, got 29 and 30"):
        factorial_effects({**scores, first: scores[first][1:]}, FACTORS, BASELINE)
    with pytest.raises(ValueError, match="finite"):
        factorial_effects({**scores, first: np.full(30, np.nan)}, FACTORS, BASELINE)
