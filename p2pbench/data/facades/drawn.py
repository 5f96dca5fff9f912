"""Pairs that need no download, in any number: ``drawn``, label maps and facades rendered from them, keyed by a seed.

A is the elevation, B its label map, in the classes and colours of the CMP facades, as pix2pix has them. The labels
say exactly what stands where. Colours, surfaces, weather, light, what glass reflects and the trees before a wall are
drawn for each pair and have no label, so that L1 alone has to blur. Pair ``i`` of a split depends on (seed, split, i)
alone: not on the number of pairs, nor on the order they are drawn in, nor on the platform.

This module only names pairs and imports neither numpy nor torch; :mod:`p2pbench.data.facades.house` draws them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2pbench.errors import DataError

if TYPE_CHECKING:
    import numpy as np

RECIPE = "drawn-2"
"""Changes with every change of a pixel, so that no decoded array and no run of another recipe is taken for this one."""

MOST = 1_000_000
"""Maximum training pairs of a source: half a terabyte decoded at 286x286, and names of six digits."""

HELD_OUT = 100
"""Pairs in each of the validation and test splits, however many there are for training."""

_STREAMS = {"train": 1, "val": 2, "test": 3}


@dataclass(frozen=True)
class Drawn:
    """Everything that decides the pairs of a drawn set."""

    n_train: int = 400
    seed: int = 0


def parse(source: str) -> Drawn | None:
    """The set that ``drawn``, ``drawn:N`` or ``drawn:N:SEED`` names; None for a source of another kind.

    Raises:
        DataError: it begins like one of these and is none.
    """
    if source != "drawn" and not source.startswith("drawn:"):
        return None
    found = re.fullmatch(r"drawn(?::([0-9]{1,7})(?::([0-9]{1,10}))?)?", source)
    if found:
        drawn = Drawn(*(int(number) for number in found.groups() if number is not None))
        if 1 <= drawn.n_train <= MOST and drawn.seed < 2**32:
            return drawn
    raise DataError(
        f"data.source is {source!r}: a drawn set is drawn, drawn:N or drawn:N:SEED, with 1 to {MOST:,} training pairs "
        f"and a seed from 0 to {2**32 - 1}, as in drawn:5000 or drawn:5000:7 (a folder of this name is ./{source})"
    )


def drawn_key(drawn: Drawn) -> str:
    """A hash of the recipe, the number of pairs and the seed: all that decides the pixels."""
    return hashlib.sha256(f"{RECIPE}:{drawn.n_train}:{drawn.seed}".encode()).hexdigest()


def drawn_names(drawn: Drawn) -> dict[str, list[str]]:
    """The names of the pairs of each split, in order; draws nothing."""
    counts = {"train": drawn.n_train, "val": HELD_OUT, "test": HELD_OUT}
    return {split: [f"{split}-{index:06d}" for index in range(count)] for split, count in counts.items()}


def draw(drawn: Drawn, split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """The photograph and the label map of pair ``index`` of ``split``, each (256, 256, 3), uint8."""
    from p2pbench.data.facades.house import render  # imports numpy, which a plan does without

    labels, photograph = render(drawn.seed, _STREAMS[split] << 32 | index)
    return photograph, labels
