"""Pairs that a data set holds twice, exactly or nearly, in one split or in two."""

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement

import numpy as np

from p2pbench.curation.check.fingerprint import Fingerprint
from p2pbench.curation.check.problems import Problem

MAX_BITS = 6
"""Maximum number of differing bits in the difference hashes of near duplicates, for A and for B."""
MIN_CORRELATION = 0.99
"""Minimum correlation of their thumbnails, for A and for B: the hash alone takes one regular facade or one sky for
another. JPEG leaves more than 0.999; the most similar facades of different houses reach 0.96, windows 34 pixels apart
in one sky 0.987."""
BLOCK = 128
"""Number of pairs that are compared with all others at once; against 50,000 that takes 50 MB."""


def duplicates(prints: Sequence[Fingerprint]) -> Iterator[Problem]:
    """Each pair that repeats an earlier one, shares an image with it, or is nearly the same."""
    first: dict[tuple[bytes, bytes], Fingerprint] = {}
    halves: list[dict[bytes, Fingerprint]] = [{}, {}]
    for found in prints:
        same = first.setdefault(found.content, found)
        if same is not found:
            kind = "duplicate" if same.split == found.split else "leak"
            yield Problem(kind, found.file, f"decodes to the same images as {same.file}")
            continue
        for side, name in enumerate("AB"):
            same = halves[side].setdefault(found.content[side], found)
            if same is not found and not found.blank[side]:
                yield Problem("repeated-image", found.file, f"its {name} is also the {name} of {same.file}")
    yield from near_duplicates(list(first.values()))


def near_duplicates(prints: Sequence[Fingerprint]) -> Iterator[Problem]:
    """Each pair that nearly repeats another, with the closest in every split. Blank images, all alike, are left out."""
    by_split: dict[str, list[Fingerprint]] = {}
    for found in prints:
        if not any(found.blank):
            by_split.setdefault(found.split, []).append(found)
    for one, other in combinations_with_replacement(by_split, 2):
        for i, j in _near(by_split[one], by_split[other], same=one == other):
            kind = "near-duplicate" if one == other else "near-leak"
            yield Problem(kind, by_split[other][j].file, f"looks like {by_split[one][i].file}")


def _near(one: Sequence[Fingerprint], other: Sequence[Fingerprint], *, same: bool) -> Iterator[tuple[int, int]]:
    """Each pair j of ``other`` with the pair i of ``one`` that is closest by hash, where their thumbnails agree.

    ``one`` and ``other`` may be the ``same``: then i < j.
    """
    hashes = np.stack([found.difference_hash for found in one])  # (N, 2)
    for start in range(0, len(other), BLOCK):
        block = np.stack([found.difference_hash for found in other[start : start + BLOCK]])
        bits_a, bits_b = (np.bitwise_count(block[:, None, side] ^ hashes[None, :, side]) for side in range(2))  # uint8
        distance = bits_a + bits_b
        distance[np.maximum(bits_a, bits_b) > MAX_BITS] = 255
        if same:
            distance[np.arange(len(one)) >= start + np.arange(len(block))[:, None]] = 255
        closest = distance.argmin(axis=1)
        for row in np.flatnonzero(distance.min(axis=1) < 255):
            i, j = int(closest[row]), start + int(row)
            if min(_correlations(one[i].thumbnail, other[j].thumbnail)) >= MIN_CORRELATION:
                yield i, j


def _correlations(one: np.ndarray, other: np.ndarray) -> list[float]:
    """Pearson's correlation of two pairs' thumbnails, (2, 16, 16), of A and of B; 0 where one is flat."""
    centred = [images.reshape(2, -1) - images.mean(axis=(1, 2))[:, None] for images in (one, other)]
    norms = np.linalg.norm(centred[0], axis=1) * np.linalg.norm(centred[1], axis=1)
    return [float(value) for value in (centred[0] * centred[1]).sum(axis=1) / np.maximum(norms, 1e-9)]
