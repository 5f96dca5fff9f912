"""Pairs that differ from most of their set: in size, in how A and B look, or in how well A and B fit together.

What statistics find is a warning. Each rule was set on the real facades, so that it names no pair of them wrongly. On
other kinds of pairs (400 each, made by ``tests/curation/check/false_alarms.py``) they named wrongly: of grey to colour
and of edges to photo none, of photo to depth 0.5 % as swapped; of maps of flat regions and of smooth depth none. Blank
images, and flat maps as label maps, were named rightly.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image
from scipy import stats

from p2pbench.curation.check.alignment import align, edge_map, score_at
from p2pbench.curation.check.fingerprint import LABELS, Fingerprint
from p2pbench.curation.check.problems import Problem
from p2pbench.system.console import by

FEW = 4
"""Minimum pairs: fewer have no majority to differ from."""
MIN_SIDE = 32
"""Minimum side of an image: smaller ones have too few edges for their fit to say anything."""
SURE = 6.5
"""The fit from which images belong together: those of different pairs do not reach it by chance."""
NO_FIT = 2.0
"""The fit below which images fit no better than those of different pairs."""
FAR = 3.0
"""Maximum pixels that A and B may lie apart, as hand-drawn labels do."""
MAX_SUSPECTS = 1000
"""Maximum pairs for which the right mate is looked for; each is read three times more."""


def all_of(prints: Sequence[Fingerprint]) -> Iterator[Problem]:
    """What every rule of this module finds."""
    for rule in (unlike_most, blank, label_maps, swapped, ill_fitting):
        yield from rule(prints)


def unlike_most(prints: Sequence[Fingerprint]) -> Iterator[Problem]:
    """Sizes and modes that differ from those of more than half of the set."""
    ((usual_size, of_size),) = Counter(found.size for found in prints).most_common(1)
    ((usual_modes, of_modes),) = Counter(found.modes for found in prints).most_common(1)
    for found in prints:
        if 2 * of_size > len(prints) and found.size != usual_size:
            yield Problem("unusual-size", found.file, f"A and B are {by(found.size)}, in most pairs {by(usual_size)}")
        if 2 * of_modes > len(prints) and found.modes != usual_modes and len(set(found.modes.split("+"))) > 1:
            yield Problem("mode-mismatch", found.file, f"A+B are {found.modes}, in most pairs {usual_modes}")


def blank(prints: Sequence[Fingerprint]) -> Iterator[Problem]:
    for found in prints:
        sides = [name for name, is_blank in zip("AB", found.blank, strict=True) if is_blank]
        if sides:
            yield Problem("blank", found.file, f"{' and '.join(sides)} {'is' if len(sides) == 1 else 'are'} blank")


def label_maps(prints: Sequence[Fingerprint]) -> Iterator[Problem]:
    """Sides that hold label maps, all of one small palette: resizing mixes their colours, and ids are nearly black."""
    for side, name in enumerate("AB"):
        sets = [found.colours[side] for found in prints]
        if len(prints) < FEW or None in sets:
            continue
        palette = frozenset[int]().union(*(colours for colours in sets if colours is not None))
        if not 3 <= len(palette) <= LABELS:  # two are a drawing, black on white
            continue
        filters = "[nearest, bilinear]" if side == 0 else "[bilinear, nearest]"
        said = f"{name} holds label maps, of {len(palette)} colours: resized they mix, but for {filters}"
        yield Problem("label-maps", ".", f"{said} as data.resize_filter")
        if all(colour % 0x010101 == 0 for colour in palette) and (top := max(palette) & 255) <= LABELS:
            yield Problem(
                "label-ids", ".",
                f"{name} holds the numbers 0 to {top} as grey levels, nearly black: data.range=[0, {top}] for that side"
            )  # fmt: skip


def swapped(prints: Sequence[Fingerprint]) -> Iterator[Problem]:
    """Pairs whose A looks as the others' B and the reverse.

    A statistic tells A from B if its difference keeps away from zero in all but a few pairs: the 5th percentile of its
    magnitude is at least a fifth of the median, where a statistic that says nothing has less than a tenth. In a small
    set that happens by chance, so the signs must agree too (sign test, p < 0.05), or in five of six with a wide gap.
    """
    seen = [found for found in prints if not any(found.blank)]
    if len(seen) < FEW:
        return
    difference = np.stack([found.look[0] - found.look[1] for found in seen])  # (N, 4)
    size = np.abs(difference)
    typical = np.maximum(np.median(size, axis=0), 1e-6)
    ratio = np.percentile(size, 5, axis=0) / typical
    opposite = np.minimum((difference > 0).sum(axis=0), (difference < 0).sum(axis=0))
    agreed = 2 * stats.binom.cdf(opposite, len(seen), 0.5) < 0.05
    telling = (ratio >= 0.2) & agreed | (ratio >= 0.5) & (6 * opposite <= len(seen))
    if not telling.any():
        return
    direction = np.sign(np.median(difference, axis=0))
    agreement = np.clip(difference * direction / typical, -1, 1)[:, telling].mean(axis=1)
    for index in np.flatnonzero(agreement < -0.5):
        yield Problem("swapped", seen[index].file, "its A looks like the B of most pairs, and its B like their A")


def ill_fitting(prints: Sequence[Fingerprint]) -> Iterator[Problem]:
    """Misaligned, mispaired and unrelated images, by how well the edges of A and B fit."""
    seen = [found for found in prints if not any((*found.blank, *found.smooth)) and min(found.size) >= MIN_SIDE]
    if len(seen) < FEW:
        return
    shifts = np.array([found.shift[:2] for found in seen])
    dy, dx = (int(shift) for shift in np.median(shifts, axis=0).round())
    away = np.hypot(*(shifts - (dy, dx)).T)
    peaks = np.array([found.shift.score for found in seen])
    fit = np.where(away <= 2, peaks, [found.unshifted_score for found in seen])
    if (away <= 2).mean() > 0.5 and np.hypot(dy, dx) > FAR:
        yield Problem("misaligned", ".", f"most pairs: {_apart(dy, dx)}")
    unrelated = list(_unrelated(seen, fit))
    yield from unrelated
    for index in np.flatnonzero((away > FAR) & (peaks >= SURE)):
        found = seen[index]
        if found.split in {problem.file for problem in unrelated}:
            continue  # a photograph's left half may well fit its right half somewhere
        at_typical = score_at(*found.read(), dy, dx) if (dy, dx) != (0, 0) else found.unshifted_score
        if found.shift.score >= 1.6 * at_typical:
            yield Problem("misaligned", found.file, _apart(found.shift.dy - dy, found.shift.dx - dx))
    yield from _mispaired(seen, fit)


def _apart(dy: int, dx: int) -> str:
    parts = [f"{abs(dy)} px {'down' if dy > 0 else 'up'}"] * (dy != 0)
    parts += [f"{abs(dx)} px {'right' if dx > 0 else 'left'}"] * (dx != 0)
    return f"B lies {' and '.join(parts)} of where it should"


def _unrelated(seen: Sequence[Fingerprint], fit: np.ndarray) -> Iterator[Problem]:
    """Splits in which A and B fit no better than strangers; or not well, and go on into each other at the seam."""
    for split in dict.fromkeys(found.split for found in seen):
        members = np.array([found.split == split for found in seen])
        if members.sum() < FEW:
            continue
        typical = np.median(fit[members])
        seams = [found.seam for found in seen if found.split == split and found.seam is not None]
        if typical < 5.0 and seams and np.median(seams) < 1.5:
            yield Problem("plain-photos", split, "left and right half go on into each other and share no edges")
        elif typical < NO_FIT:
            yield Problem("unrelated", split, "in most pairs A fits B no better than the B of another pair would")


def _mispaired(seen: Sequence[Fingerprint], fit: np.ndarray) -> Iterator[Problem]:
    """Pairs that do not fit, where A fits the B of another such pair, or where nearly all others fit well."""
    suspects = [int(index) for index in np.flatnonzero(fit < 4.0)[:MAX_SUSPECTS]]
    named: set[int] = set()
    for index, other, score in _better_mates(seen, suspects):
        if score >= max(SURE, 1.6 * fit[index]):
            named.add(index)
            yield Problem("mispaired", seen[index].file, f"its A fits the B of {seen[other].file}")
    if np.percentile(fit, 10) >= SURE:
        for index in map(int, np.flatnonzero(fit < NO_FIT)):
            if index not in named and seen[index].shift.score < SURE:
                yield Problem("mispaired", seen[index].file, "its A and B have no edges in common, as the others do")


def _better_mates(seen: Sequence[Fingerprint], suspects: Sequence[int]) -> Iterator[tuple[int, int, float]]:
    """For each suspect the other suspect whose B looks most like its A, by small edge maps, and how well it fits."""
    if len(suspects) < 2:
        return
    small = np.stack([[_small_edges(image) for image in seen[index].read()] for index in suspects])  # (N, 2, 1024)
    small -= small.mean(axis=0)  # what all have in common tells none from another
    small /= np.linalg.norm(small, axis=2, keepdims=True) + 1e-9
    likeness = small[:, 0] @ small[:, 1].T
    np.fill_diagonal(likeness, -1)
    for index, position in zip(suspects, likeness.argmax(axis=1), strict=True):
        other = suspects[int(position)]
        if seen[index].size == seen[other].size:
            yield index, other, align(seen[index].read()[0], seen[other].read()[1])[1]


def _small_edges(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(edge_map(image)).resize((32, 32), Image.Resampling.BOX)).ravel()
