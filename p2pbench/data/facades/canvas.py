"""Keyed dice, a canvas of labels, paint and light, and the camera that makes a photograph of it.

Everything is whole numbers, so that a pair has the same bits on every platform; and the dice use the raw output of
Philox, which numpy promises not to change, where the methods of its Generator may.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import numpy as np

from p2pbench.data.facades import CLASSES, SIDE
from p2pbench.data.facades.materials import LIT, material

Item = TypeVar("Item")
RGB = tuple[int, int, int]

_PALETTE = np.array(list(CLASSES.values()), dtype=np.uint8).T.copy()  # (3, 12)


class Dice:
    """Whole numbers that depend on the key and on how many were drawn before."""

    def __init__(self, seed: int, stream: int) -> None:
        self._bits = np.random.Philox(key=np.array([seed, stream], dtype=np.uint64))
        self._drawn: list[int] = []

    def below(self, n: int) -> int:
        """One of 0..n-1."""
        if not self._drawn:
            self._drawn = self._bits.random_raw(512).tolist()
        return self._drawn.pop() * n >> 64

    def between(self, low: int, high: int) -> int:
        """One of low..high, both included."""
        return low + self.below(high - low + 1)

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent

    def choose(self, items: Sequence[Item]) -> Item:
        return items[self.below(len(items))]

    def material(self, name: str) -> np.ndarray:
        """The light on a surface of a material, (256, 256), int16: a window of its tile."""
        return material(name, self.below(SIDE), self.below(SIDE))

    def near(self, colour: RGB, each: int, together: int) -> RGB:
        """A colour whose channels differ by up to ``each``, and all of them by up to ``together``."""
        by = self.between(-together, together)
        red, green, blue = (channel + by + self.between(-each, each) for channel in colour)
        return red, green, blue


class Canvas:
    """For each pixel its class, its paint and its light, each (256, 256). A box is top, left, bottom, right; what of it
    is outside the canvas is cut off."""

    def __init__(self) -> None:
        self.labels = np.zeros((SIDE, SIDE), np.uint8)
        self.paint = np.zeros((SIDE, SIDE), np.uint8)
        self.light = np.full((SIDE, SIDE), LIT, np.int16)
        self.colours: list[RGB] = []

    def mix(self, colour: RGB) -> int:
        """The number of a new paint of this colour; values outside 0..255 are clipped."""
        red, green, blue = (min(max(channel, 0), 255) for channel in colour)
        self.colours.append((red, green, blue))
        return len(self.colours) - 1

    def fill(
        self,
        top: int,
        left: int,
        bottom: int,
        right: int,
        paint: int,
        texture: np.ndarray | None = None,
        label: int | None = None,
    ) -> None:
        """Put a surface in front of what is there; the texture is a :meth:`Dice.material`, none is smooth."""
        box = _box(top, left, bottom, right)
        self.paint[box] = paint
        self.light[box] = LIT if texture is None else texture[box]
        if label is not None:
            self.labels[box] = label

    def shade(self, top: int, left: int, bottom: int, right: int, by: int) -> None:
        """Add to the light in the box: a shadow is negative."""
        self.light[_box(top, left, bottom, right)] += by

    def stripes(self, top: int, left: int, bottom: int, right: int, by: int, down: int = 1, across: int = 1) -> None:
        """Add to the light of every ``down``-th row and ``across``-th column of the box."""
        self.light[_box(top, left, bottom, right)][::down, ::across] += by

    def copy(self, top: int, left: int, bottom: int, right: int) -> list[np.ndarray]:
        """What the box holds, for :meth:`restore`; the box begins within the canvas."""
        return [layer[top:bottom, left:right].copy() for layer in self._layers()]

    def restore(self, top: int, left: int, before: list[np.ndarray], where: np.ndarray) -> None:
        """Put back what a copied box held, at the pixels where ``where`` is true."""
        height, width = before[0].shape
        for layer, old in zip(self._layers(), before, strict=True):
            np.copyto(layer[top : top + height, left : left + width], old, where=where[:height, :width])

    def _layers(self) -> tuple[np.ndarray, ...]:
        return self.labels, self.paint, self.light

    def label_map(self) -> np.ndarray:
        """The classes in their colours, (256, 256, 3), uint8."""
        image = np.empty((SIDE, SIDE, 3), np.uint8)
        labels = self.labels.astype(np.intp)  # what take() would convert to for each channel
        for channel in range(3):
            image[..., channel] = _PALETTE[channel].take(labels)
        return image

    def photograph(self, dice: Dice) -> np.ndarray:
        """The paint in its light, as a camera that is not perfect sees it, (256, 256, 3), uint8."""
        warmth, veil, exposure = dice.between(-9, 9), dice.between(0, 24), dice.between(104, 142)
        soft, quiet = dice.chance(60), dice.choose((0, 1, 1))
        gain = np.array([LIT + warmth, LIT, LIT - warmth]) * exposure // LIT
        colours = (np.array(self.colours) * (LIT - veil) + 190 * veil) // LIT * gain // LIT  # (n, 3)
        colours = np.minimum(colours, 255).T.astype(np.uint16).copy()
        light = np.clip(self.light, np.int16(24), np.int16(255)).astype(np.uint16)
        paint = self.paint.astype(np.intp)
        image = np.empty((SIDE, SIDE, 3), np.uint8)
        for channel in range(3):
            values = colours[channel].take(paint) * light >> 7  # by LIT
            if soft:
                values = _softened(values)
            values = values.view(np.int16) + (dice.material("grain") >> quiet)
            image[..., channel] = np.clip(values, np.int16(0), np.int16(255))
        return image


def _box(top: int, left: int, bottom: int, right: int) -> tuple[slice, slice]:
    if top < 0 or left < 0 or bottom < 0 or right < 0:  # numpy would count these from the other end
        return slice(max(top, 0), max(bottom, 0)), slice(max(left, 0), max(right, 0))
    return slice(top, bottom), slice(left, right)


def _softened(values: np.ndarray) -> np.ndarray:
    """Through the binomial filter of 3x3: a lens that is not sharp. The border stays as it is."""
    across = values.copy()
    across[:, 1:-1] = (values[:, :-2] + (values[:, 1:-1] << 1) + values[:, 2:] + 2) >> 2
    both = across.copy()
    both[1:-1] = (across[:-2] + (across[1:-1] << 1) + across[2:] + 2) >> 2
    return both


@cache
def corners(kind: str, rise: int, width: int) -> np.ndarray:
    """What of a box lies outside the arch, gable or hipped roof that stands in it; bool, (rise, width)."""
    row, column = np.arange(rise)[:, None], np.arange(width)
    if kind == "hip":
        return np.minimum(column, column[::-1]) < rise - 1 - row
    across = abs(2 * column + 1 - width)  # twice the distance from the middle
    if kind == "gable":
        return across * rise > width * (row + 1)
    half = [math.isqrt(rise * rise - y * y) for y in range(rise - 1, -1, -1)]  # an ellipse, with ``rise`` for its width
    return across * rise > np.array(half)[:, None] * width
