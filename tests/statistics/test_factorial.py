"""Effects of factorial grids: by hand, by their laws, and where combinations are one training."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pbench.statistics.factorial import factorial_contrasts

FACTORS = {"generator": ["unet", "resnet"], "objective": ["l1", "gan", "l1+gan"]}
BASELINE = {"generator": "unet", "objective": "l1"}
COMBINATIONS = list(itertools.product(*FACTORS.values()))


def effects(values: Mapping[Any, float]) -> dict[str, float]:
    found = factorial_contrasts({levels: levels for levels in values}, FACTORS, BASELINE)
    return {c.name: sum(weight * values[levels] for levels, weight in c.weights.items()) for c in found}


def test_the_effects_of_two_by_three_by_hand() -> None:
    found = effects(dict(zip(COMBINATIONS, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0], strict=True)))
    assert found == pytest.approx(
        {
            "resnet - unet": (8 + 16 + 32 - 1 - 2 - 4) / 3,
            "gan - l1": (2 + 16 - 1 - 8) / 2,
            "l1+gan - l1": (4 + 32 - 1 - 8) / 2,
            "(resnet - unet) × (gan - l1)": (16 - 2) - (8 - 1),
            "resnet - unet at gan": 14,
            "resnet - unet at l1": 7,
            "gan - l1 at resnet": 8,
            "gan - l1 at unet": 1,
            "(resnet - unet) × (l1+gan - l1)": (32 - 4) - (8 - 1),
            "resnet - unet at l1+gan": 28,
            "l1+gan - l1 at resnet": 24,
            "l1+gan - l1 at unet": 3,
        }
    )


def test_each_contrast_adds_up_to_nothing_and_says_what_it_is() -> None:
    found = factorial_contrasts({levels: levels for levels in COMBINATIONS}, FACTORS, BASELINE)
    assert [c.kind for c in found] == ["main"] * 3 + (["interaction"] + ["simple"] * 4) * 2
    for contrast in found:
        assert sum(contrast.weights.values()) == pytest.approx(0)
        assert set(contrast.factors) <= set(FACTORS)


@given(st.lists(st.integers(-99, 99), min_size=6, max_size=6), st.integers(-99, 99), st.integers(1, 9))
def test_effects_ignore_a_shift_and_follow_a_scale(numbers: list[int], shift: int, scale: int) -> None:
    values = dict(zip(COMBINATIONS, map(float, numbers), strict=True))
    before, after = effects(values), effects({levels: scale * value + shift for levels, value in values.items()})
    assert after == pytest.approx({name: scale * value for name, value in before.items()})


def test_effects_that_add_up_have_no_interaction() -> None:
    values = {(g, o): 3.0 * (g == "resnet") + len(o) for g, o in COMBINATIONS}
    found = effects(values)
    assert [value for name, value in found.items() if "×" in name] == pytest.approx([0, 0])


def test_what_is_one_training_is_no_effect() -> None:
    """Without a GAN term two discriminators are one training: what lies between them dilutes nothing."""
    factors = {"discriminator": ["patch70", "patch16"], "objective": ["l1", "l1+gan", "gan"]}
    baseline = {"discriminator": "patch70", "objective": "l1+gan"}
    trained: dict[tuple[str, ...], Any] = {
        (d, o): "l1" if o == "l1" else (d, o) for d, o in itertools.product(*factors.values())
    }
    found = {c.name: c for c in factorial_contrasts(trained, factors, baseline)}
    assert set(found["patch16 - patch70"].weights) == set(
        itertools.product(factors["discriminator"], ["l1+gan", "gan"])
    )
    assert sorted(found["patch16 - patch70"].weights.values()) == [-0.5, -0.5, 0.5, 0.5]
    assert len(found["l1 - l1+gan"].weights) == 4
    assert [name for name in found if "×" in name] == ["(patch16 - patch70) × (gan - l1+gan)"]


def test_a_factor_with_one_level_has_no_effect() -> None:
    factors = {"generator": ["unet"], "objective": ["l1", "gan"]}
    trained = {levels: levels for levels in itertools.product(*factors.values())}
    assert [c.name for c in factorial_contrasts(trained, factors, BASELINE)] == ["gan - l1"]


def test_a_missing_combination_takes_out_what_needs_it_and_nothing_else() -> None:
    """As where a grid excludes it; main effects are over the combinations that have both levels."""
    whole = {levels: levels for levels in COMBINATIONS}
    gone = next(levels for levels in COMBINATIONS if not set(levels) & set(BASELINE.values()))
    less = {levels: run for levels, run in whole.items() if levels != gone}
    before = {(c.kind, c.name): c.weights for c in factorial_contrasts(whole, FACTORS, BASELINE)}
    after = {(c.kind, c.name): c.weights for c in factorial_contrasts(less, FACTORS, BASELINE)}
    assert {name for kind, name in before if kind == "main"} == {name for kind, name in after if kind == "main"}
    assert after == {
        key: weights if gone not in weights else after[key] for key, weights in before.items() if key in after
    }
    lost = {key for key in before if key not in after}
    assert {key for key, weights in before.items() if key[0] == "interaction" and gone in weights} == {
        key for key in lost if key[0] == "interaction"
    }
    for weights in after.values():
        assert gone not in weights
        assert abs(sum(weights.values())) < 1e-12


def test_what_is_no_factorial_is_refused() -> None:
    trained = {levels: levels for levels in COMBINATIONS}
    with pytest.raises(ValueError, match="no place for"):
        factorial_contrasts({**trained, ("unet", "wgan"): "x"}, FACTORS, BASELINE)
    with pytest.raises(ValueError, match="names a level twice"):
        factorial_contrasts(trained, {**FACTORS, "generator": ["unet", "unet"]}, BASELINE)
    with pytest.raises(ValueError, match="no baseline level"):
        factorial_contrasts(trained, FACTORS, {"generator": "unet", "objective": "no"})


def test_weights_apply_to_matrices_of_seeds_and_images() -> None:
    random = np.random.default_rng(0)
    scores = {levels: random.normal(size=(3, 5)) for levels in COMBINATIONS}
    contrast = factorial_contrasts({levels: levels for levels in COMBINATIONS}, FACTORS, BASELINE)[0]
    total = sum(weight * scores[levels] for levels, weight in contrast.weights.items())
    by_hand = np.mean([scores["resnet", o] - scores["unet", o] for o in FACTORS["objective"]], axis=0)
    np.testing.assert_allclose(total, by_hand)
