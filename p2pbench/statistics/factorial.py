"""What each factor of a full grid does on average, what two of them do together, and what one does at a level."""

import itertools
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

Levels = tuple[str, ...]
"""A combination: a level of each factor, in the factors' order."""


class Contrast(NamedTuple):
    """A weighted sum of combinations: what a factor does (a main or a simple effect), or two (an interaction)."""

    name: str
    """``unet - resnet6``, ``(unet - resnet6) × (l1 - gan)``, or ``unet - resnet6 at l1``."""
    factors: tuple[str, ...]
    kind: Literal["main", "interaction", "simple"]
    weights: dict[Levels, float]
    """Of the combinations that it is made of; they add up to 0."""


def factorial_contrasts(
    trained: Mapping[Levels, Hashable], factors: Mapping[str, Sequence[str]], baseline: Mapping[str, str]
) -> list[Contrast]:
    """The main effects, two-way interactions and simple effects of a factorial grid, from which some may be missing.

    A main effect is a level's mean minus the baseline level's, over the combinations of the other factors that have
    both. An interaction is the difference that one factor makes under a level of another, minus the one that it makes
    under that factor's baseline level; zero where effects add up. A simple effect is what a factor does at one level of
    another.
    Where two combinations are one training, as two discriminators are without a GAN term, what lies between them is
    zero by construction and no effect: it is left out of means, and so are interactions with it. Interactions and
    simple effects that need a combination which is missing are left out too.

    Args:
        trained: for each combination what was trained there: equal for combinations that are one training.
        factors: for each factor its levels.
        baseline: for each factor the level that the others are compared with.
    Returns:
        Main effects in the order of factors and levels, then each interaction followed by its simple effects.
    Raises:
        ValueError: a combination is unknown, a level is named twice, or a baseline is no level.
    """
    _check(trained, factors, baseline)
    names = list(factors)
    contrasts = [
        Contrast(f"{level} - {baseline[name]}", (name,), "main", weights)
        for name in names
        for level in _others(factors, baseline, name)
        if (weights := _difference(trained, _fixing(factors, {}), name, level, baseline[name]))
    ]
    for first, second in itertools.combinations(names, 2):
        for one, two in itertools.product(_others(factors, baseline, first), _others(factors, baseline, second)):
            contrasts += _joint(trained, factors, (first, one, baseline[first]), (second, two, baseline[second]))
    return contrasts


def _others(factors: Mapping[str, Sequence[str]], baseline: Mapping[str, str], name: str) -> list[str]:
    return [level for level in factors[name] if level != baseline[name]]


def _fixing(factors: Mapping[str, Sequence[str]], fixed: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The combinations with the levels of ``fixed``."""
    for levels in itertools.product(*([fixed[name]] if name in fixed else own for name, own in factors.items())):
        yield dict(zip(factors, levels, strict=True))


def _difference(
    trained: Mapping[Levels, Hashable], among: Iterator[dict[str, str]], name: str, level: str, base: str
) -> dict[Levels, float]:
    """``level`` minus ``base`` of one factor, over the combinations ``among`` in which they are two trainings."""
    pairs = [
        (tuple(levels.values()), tuple({**levels, name: base}.values())) for levels in among if levels[name] == level
    ]
    kept = [(one, other) for one, other in pairs if {one, other} <= trained.keys() and trained[one] != trained[other]]
    weights: dict[Levels, float] = {}
    for one, other in kept:
        weights |= {one: 1 / len(kept), other: -1 / len(kept)}
    return weights


def _joint(
    trained: Mapping[Levels, Hashable],
    factors: Mapping[str, Sequence[str]],
    first: tuple[str, str, str],
    second: tuple[str, str, str],
) -> list[Contrast]:
    """The interaction of two factors' levels with its simple effects; none where one of these is nothing."""
    corners = itertools.product(first[1:], second[1:])
    fixed = [dict(zip((first[0], second[0]), levels, strict=True)) for levels in corners]
    if any(tuple(levels.values()) not in trained for at in fixed for levels in _fixing(factors, at)):
        return []
    simple = []
    for (name, level, base), (other, *levels) in ((first, second), (second, first)):
        for at in levels:
            weights = _difference(trained, _fixing(factors, {other: at}), name, level, base)
            simple.append(Contrast(f"{level} - {base} at {at}", (name, other), "simple", weights))
    if any(len(contrast.weights) < len(simple[0].weights) or not contrast.weights for contrast in simple):
        return []
    weights = {**simple[0].weights, **{levels: -weight for levels, weight in simple[1].weights.items()}}
    name = f"({first[1]} - {first[2]}) × ({second[1]} - {second[2]})"
    return [Contrast(name, (first[0], second[0]), "interaction", weights), *simple]


def _check(
    trained: Mapping[Levels, Hashable], factors: Mapping[str, Sequence[str]], baseline: Mapping[str, str]
) -> None:
    for name, levels in factors.items():
        if len(set(levels)) < len(levels):
            raise ValueError(f"factor {name!r} names a level twice: {', '.join(levels)}")
        if baseline.get(name) not in levels:
            raise ValueError(f"factor {name!r} has no baseline level {baseline.get(name)!r}: {', '.join(levels)}")
    combinations = list(itertools.product(*factors.values()))
    extra = [combination for combination in trained if combination not in set(combinations)]
    if extra:
        raise ValueError(f"effects need a factorial of {', '.join(factors)}; this one has no place for {extra[0]}")
