"""Jackknife pseudo-values (Tukey 1958), which make a score of a whole set comparable image by image.

Where a score has no value for an image, n times the score of all n images less n - 1 times that of all but one stands
for the one that is left out: an output and its target leave together. A mean's pseudo-values are the images' values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

GROUPS = 10
"""The number of groups that are left out in turn where leaving out image by image would take too long."""


class LeftOut(NamedTuple):
    """A score of two sets, and what it is without each pair."""

    value: float
    left_out: np.ndarray
    """(n,), float64: without output i and target i."""


def pseudo_values(whole: float, left_out: np.ndarray) -> np.ndarray:
    """g whole - (g - 1) left_out, for a score that is ``left_out``, (g,), without each of g images or groups: (g,)."""
    units = len(left_out)
    return np.asarray(units * whole - (units - 1) * left_out)


def groups(n: int) -> list[np.ndarray]:
    """Positions 0..n-1 dealt out in turn to ten groups, or to n where there are fewer; the same for every variant."""
    return [np.arange(group, n, GROUPS) for group in range(min(GROUPS, n))]


def described(units: int, n: int) -> str:
    """What is left out in turn, for the settings of a score of ``n`` images with ``units`` pseudo-values."""
    return "images" if units == n else f"{units} groups of images"


def none(why: str) -> str:
    """What stands in the settings of a score that has no pseudo-values."""
    return f"none: {why}"


def jackknife_table(names: Sequence[str], pseudo: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Pseudo-values as ``jackknife.csv`` holds them: a row a unit, named in the column ``unit``, and a column a score.

    Args:
        names: of the n images.
        pseudo: by score, (n,), of the images, or fewer, of groups of them, which are called ``group 0`` and so on.
    """
    import pandas as pd

    n = len(names)
    n_groups = max((len(values) for values in pseudo.values() if len(values) != n), default=0)
    units = [*names, *(f"group {group}" for group in range(n_groups))]
    table = pd.DataFrame({"unit": units})
    for score, values in pseudo.items():
        first = 0 if len(values) == n else n
        table[score] = np.nan
        table.loc[first : first + len(values) - 1, score] = values
    return table


def pseudo_values_in(table: pd.DataFrame, n: int) -> dict[str, np.ndarray]:
    """What :func:`jackknife_table` made ``table`` of, for ``n`` images; empty where it is none of so many images."""
    if "unit" not in table or len(table) < n:
        return {}
    found = {}
    for score in table.columns.drop("unit"):
        values = table[score].to_numpy(dtype=float)
        of_groups = np.isnan(values[:n]).all()
        found[str(score)] = values[n:][~np.isnan(values[n:])] if of_groups else values[:n]
    return found
