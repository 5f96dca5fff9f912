"""What each factor of a full grid does on average, and what two of them do together."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from p2pbench.statistics.intervals import Estimate, finite, mean_interval


class Effect(NamedTuple):
    """A contrast of a grid: a main effect (one factor) or an interaction (two)."""

    name: str
    """``unet - resnet6``, or ``(unet - resnet6) × (l1 - gan)``."""
    factors: tuple[str, ...]
    per_image: np.ndarray
    """The contrast on each image, (n,): what :func:`sign_flip_p` and :func:`cohens_dz` take."""
    estimate: Estimate
    """Its mean over images with its t interval."""


def factorial_effects(
    scores: Mapping[tuple[str, ...], np.ndarray], factors: Mapping[str, Sequence[str]], baseline: Mapping[str, str]
) -> list[Effect]:
    """The main effects and the two-way interactions of a full factorial grid, image by image.

    A main effect is a level's mean minus the baseline level's, both over all combinations of the other factors. An
    interaction is the difference that one factor makes under a level of another, minus the one that it makes under
    that factor's baseline level; zero where effects add up.

    Args:
        scores: for each combination of levels, in the order of ``factors``, the score of each test image (averaged over
            seeds), (n,), finite, the same images in the same order.
        factors: for each factor its levels.
        baseline: for each factor the level that the others are compared with.
    Returns:
        Main effects in the order of factors and levels, then interactions. A factor with one level has none.
    Raises:
        ValueError: a combination is missing or unknown, a level is named twice, a baseline is no level, or the scores
            differ in number or are not finite.
    """
    grid = _stacked(scores, factors, baseline)
    names = list(factors)
    base = [list(factors[name]).index(baseline[name]) for name in names]
    others = [[index for index in range(len(factors[name])) if index != base[i]] for i, name in enumerate(names)]
    effects = []
    for i, name in enumerate(names):
        means = _marginal(grid, [i])  # (levels, n)
        for level in others[i]:
            effects.append(_effect({name: (factors[name][level], baseline[name])}, means[level] - means[base[i]]))
    for i, j in itertools.combinations(range(len(names)), 2):
        means = _marginal(grid, [i, j])  # (levels of i, levels of j, n)
        gains = means - means[base[i]]
        interactions = gains - gains[:, [base[j]]]
        for first, second in itertools.product(others[i], others[j]):
            levels = {
                names[i]: (factors[names[i]][first], baseline[names[i]]),
                names[j]: (factors[names[j]][second], baseline[names[j]]),
            }
            effects.append(_effect(levels, interactions[first, second]))
    return effects


def _stacked(
    scores: Mapping[tuple[str, ...], np.ndarray], factors: Mapping[str, Sequence[str]], baseline: Mapping[str, str]
) -> np.ndarray:
    """The scores as (levels of the first factor, ..., levels of the last, n)."""
    for name, levels in factors.items():
        if len(set(levels)) < len(levels):
            raise ValueError(f"factor {name!r} names a level twice: {', '.join(levels)}")
        if baseline.get(name) not in levels:
            raise ValueError(f"factor {name!r} has no baseline level {baseline.get(name)!r}: {', '.join(levels)}")
    combinations = list(itertools.product(*factors.values()))
    missing = [combination for combination in combinations if combination not in scores]
    extra = [combination for combination in scores if combination not in set(combinations)]
    if missing or extra:
        what = f"lacks {missing[0]}" if missing else f"has no place for {extra[0]}"
        raise ValueError(f"effects need a full factorial of {', '.join(factors)}; this one {what}")
    columns = [finite(scores[combination], 1) for combination in combinations]
    counts = sorted({len(column) for column in columns})
    if len(counts) > 1:
        raise ValueError(f"every combination needs the same images, got {' and '.join(map(str, counts))}")
    return np.array(columns).reshape(*(len(levels) for levels in factors.values()), counts[0])


def _marginal(grid: np.ndarray, kept: list[int]) -> np.ndarray:
    means: np.ndarray = grid.mean(axis=tuple(axis for axis in range(grid.ndim - 1) if axis not in kept))
    return means


def _effect(compared: Mapping[str, tuple[str, str]], per_image: np.ndarray) -> Effect:
    parts = [f"{level} - {base}" for level, base in compared.values()]
    name = parts[0] if len(parts) == 1 else " × ".join(f"({part})" for part in parts)
    return Effect(name, tuple(compared), per_image, mean_interval(per_image))
