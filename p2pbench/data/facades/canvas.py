"""Keyed dice, surfaces, and a canvas of labels, paint and light, with the camera that photographs it.

All numbers are whole, so that a pair has the same bits on every platform. The dice use the raw output of Philox, which
numpy promises not to change; the methods of its Generator may change.
"""

from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import numpy as np

from p2pbench.data.facades import CLASSES, SIDE, TABLES

Item = TypeVar("Item")
RGB = tuple[int, int, int]
Box = tuple[int, int, int, int]
"""Top, left, bottom, right; the part of a box that is outside the canvas is cut off."""

LIT = 128
"""The light in which a paint has its own colour; the maximum is twice as much."""

_PALETTE = np.array(list(CLASSES.values()), np.uint8)  # (12, 3)
_CLASS_NUMBERS = {name: number for number, name in enumerate(CLASSES)}

_NOISE: dict[str, list[tuple[int, int]]] = TABLES["noise"]
_MASONRY: dict[str, tuple[int, int, int, int, int]] = TABLES["masonry"]


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

    def near(self, colour: RGB, each: int, together: int) -> RGB:
        """A colour whose channels differ by up to ``each``, and all of them by up to ``together``."""
        by = self.between(-together, together)
        red, green, blue = (min(max(channel + by + self.between(-each, each), 0), 255) for channel in colour)
        return red, green, blue

    def surface(self, name: str) -> np.ndarray:
        """The light on a surface, (256, 256), int16, around :data:`LIT`: a window of its tile, which is larger."""
        top, left = self.below(SIDE), self.below(SIDE)
        return _tile(name)[top : top + SIDE, left : left + SIDE]


@cache
def _tile(name: str) -> np.ndarray:
    """The tile of a surface, (512, 512), int16, made once from noise."""
    tag = 100 * [*_NOISE, *_MASONRY].index(name)
    if name in _MASONRY:
        height, width, differ, joint, shift = _MASONRY[name]
        y, x = np.arange(2 * SIDE)[:, None], np.arange(1, 2 * SIDE + 1)
        x = x + y // height % 2 * shift
        stones = _noise(tag, 0, differ)[y // height, x // width]
        tile = np.where((y % height == 0) | (x % width == 0), joint, stones)
        tile = tile + _noise(tag + 1, 0, 4) + _noise(tag + 2, 16, 10)
    else:
        layers = [_noise(tag + layer, *shape) for layer, shape in enumerate(_NOISE[name])]
        tile = np.asarray(sum(layers))
    if name == "ornament":  # carved: mirrored, and repeated every eight columns
        tile = np.tile(np.concatenate([tile[:, :4], tile[:, 3::-1]], axis=1), SIDE // 4)
    return (tile + LIT).astype(np.int16)


def _noise(tag: int, radius: int, amplitude: int) -> np.ndarray:
    """Noise averaged twice over squares of side 2 * radius + 1, (512, 512), int64, within -amplitude..amplitude."""
    values = (np.random.Philox(key=tag).random_raw(4 * SIDE * SIDE) >> np.uint64(52)).astype(np.int64)
    values = values.reshape(2 * SIDE, 2 * SIDE)
    window = 2 * radius + 1
    for axis in (0, 1, 0, 1) if radius else ():
        sums = np.cumsum(np.concatenate([values, values], axis=axis), axis=axis)
        values = sums.take(range(window, window + 2 * SIDE), axis) - sums.take(range(2 * SIDE), axis)
    values -= int(values.sum()) // values.size
    return np.asarray(values * amplitude // int(abs(values).max()))


class Canvas:
    """The class, the paint and the light of each pixel."""

    def __init__(self) -> None:
        self.labels = np.zeros((SIDE, SIDE), np.uint8)
        self.paint = np.zeros((SIDE, SIDE), np.uint8)
        self.light = np.full((SIDE, SIDE), LIT, np.int16)
        self.colours: list[RGB] = []

    def mix(self, colour: RGB) -> int:
        """The number of a new paint of this colour."""
        self.colours.append(colour)
        return len(self.colours) - 1

    def fill(self, box: Box, paint: int, surface: np.ndarray | None = None, label: str = "") -> None:
        """Put a surface in front of what is there; without ``surface`` it is smooth, without ``label`` of its class."""
        inside = _inside(box)
        self.paint[inside] = paint
        self.light[inside] = LIT if surface is None else surface[inside]
        if label:
            self.label(box, label)

    def label(self, box: Box, name: str) -> None:
        """Make the pixels in the box those of a class."""
        self.labels[_inside(box)] = _CLASS_NUMBERS[name]

    def shade(self, box: Box, by: int, down: int = 1, across: int = 1) -> None:
        """Add to the light in the box, on every ``down``-th row and ``across``-th column; a shadow is negative."""
        self.light[_inside(box)][::down, ::across] += np.int16(by)

    def label_map(self) -> np.ndarray:
        """The classes in their colours, (256, 256, 3), uint8."""
        return _PALETTE[self.labels]

    def photograph(self, dice: Dice) -> np.ndarray:
        """The paint in its light as an imperfect camera sees it, (256, 256, 3), uint8."""
        warmth, veil, exposure = dice.between(-9, 9), dice.between(0, 24), dice.between(104, 142)
        gain = np.array([LIT + warmth, LIT, LIT - warmth]) * exposure // LIT
        colours = (np.array(self.colours) * (LIT - veil) + 190 * veil) // LIT * gain // LIT  # (n, 3)
        colours = np.minimum(colours, 255).astype(np.int32)
        image = colours[self.paint] * np.clip(self.light, 24, 255)[..., None] // LIT
        for channel in range(3):
            image[..., channel] += dice.surface("grain") - LIT
        return np.asarray(np.clip(image, 0, 255), np.uint8)


def _inside(box: Box) -> tuple[slice, slice]:
    top, left, bottom, right = (max(edge, 0) for edge in box)  # numpy would count negative ones from the other end
    return slice(top, bottom), slice(left, right)
