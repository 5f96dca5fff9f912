"""What a grid says of its comparisons: the primary score, the pairs of variants, the margins. Imports no torch."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from p2pbench.config.metrics import METRICS
from p2pbench.config.plugins import is_reference
from p2pbench.errors import ConfigError, unknown

NAMED_CONTRASTS = ("baseline", "previous")


def read_primary(value: Any, path: Path) -> tuple[str, ...]:
    """The scores of which the first that can decide answers the question; none for the report's own choice."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or len(set(map(str, names))) < len(names):
        raise ConfigError(f"{path}: primary is {value!r}: give a list of scores, each once, as in primary: [lpips]")
    for name in names:
        _check_score("primary", name, path)
    return tuple(names)


def read_margins(value: Any, path: Path) -> dict[str, float]:
    """The smallest differences that matter, by score and in its unit, where they are not those of ``METRICS``."""
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: margins is {value!r}: give a number a score, as in margins: {{lpips: 0.01}}")
    for name, margin in value.items():
        _check_score("margins", name, path)
        if type(margin) not in (int, float) or not 0 < margin < math.inf:
            raise ConfigError(f"{path}: margins: {name}: {margin!r} is no smallest difference; give a number above 0")
    return {name: float(margin) for name, margin in value.items()}


def check_contrasts(value: Any, variants: Sequence[str], path: Path) -> None:
    """Refuse ``contrasts`` that do not say which of ``variants``, all labels of the grid, are compared."""
    if value in NAMED_CONTRASTS:
        return
    if not isinstance(value, list) or not value or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise ConfigError(
            f"{path}: contrasts is {value!r}: give {' or '.join(NAMED_CONTRASTS)}, or pairs of variants, as in "
            "contrasts: [[l1+cgan, l1], [cgan, gan]], the first of each against the second"
        )
    for pair in value:
        for variant in pair:
            if variant not in variants:
                raise ConfigError(f"{path}: contrasts: {unknown('variant', variant, variants)}")
    if len({frozenset(pair) for pair in value}) < len(value) or any(first == second for first, second in value):
        raise ConfigError(f"{path}: contrasts: a pair is of two variants, and each pair is named once; got {value!r}")


def _check_score(key: str, name: Any, path: Path) -> None:
    if not isinstance(name, str) or not (name in METRICS or is_reference(name)):
        raise ConfigError(f"{path}: {key}: {unknown('score', name, METRICS)}; or module:function for your own")
