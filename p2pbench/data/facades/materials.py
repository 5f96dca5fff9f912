"""Surfaces: how the light on brick, plaster, glass or leaves varies. Tiles of whole numbers, made once from noise."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from p2pbench.data.facades import SIDE

Tile = npt.NDArray[np.int64]

LIT = 128
"""The light under which a colour looks as it is; twice as much is the most, so that colour times light fits 16 bits."""

_NOISE = {
    # Each a sum of layers: radius over which noise is averaged, amplitude.
    "plaster": ((0, 4), (2, 8), (20, 10)),
    "stained": ((0, 5), (4, 14), (28, 24)),
    "clouds": ((36, 24), (10, 10)),
    "glass": ((8, 58), (2, 20)),
    "leaves": ((1, 64), (5, 40)),
    "goods": ((3, 60), (1, 50)),
    "ornament": ((1, 76),),
}

_MASONRY = {
    # Height and width of a stone, how much stones differ, light of a joint, shift of every second course.
    "brick": (3, 9, 12, -9, 4),
    "pale joints": (4, 10, 9, 13, 5),
    "ashlar": (11, 24, 8, -26, 12),
    "rustic": (8, 999, 4, -40, 0),
    "blocks": (26, 38, 5, -16, 0),
    "roof tiles": (4, 5, 12, -30, 2),
    "slate": (3, 8, 9, -15, 4),
    "paving": (4, 16, 8, -10, 7),
}

NAMES = (*_NOISE, *_MASONRY, "grain")


def material(name: str, top: int, left: int) -> np.ndarray:
    """A window, (256, 256), int16, of the tile of a material, which is twice as high and wide. Around LIT; grain: 0."""
    return _tile(name)[top : top + SIDE, left : left + SIDE]


@cache
def _tile(name: str) -> np.ndarray:
    tag = 100 * NAMES.index(name)
    if name == "grain":
        return ((_noise(tag, 0, 8) + _noise(tag + 1, 0, 8)) // 2).astype(np.int16)
    if name in _MASONRY:
        tile = _masonry(tag, *_MASONRY[name]) + _noise(tag + 1, 0, 4) + _noise(tag + 2, 16, 10)
    else:
        tile = np.zeros((2 * SIDE, 2 * SIDE), np.int64)
        for layer, (radius, amplitude) in enumerate(_NOISE[name]):
            tile += _noise(tag + layer, radius, amplitude)
    if name == "ornament":  # carved: the same to the left and to the right, every eight columns
        tile = np.tile(np.concatenate([tile[:, :4], tile[:, 3::-1]], axis=1), SIDE // 4)
    return (tile + LIT).astype(np.int16)


def _masonry(tag: int, height: int, width: int, differ: int, joint: int, shift: int) -> Tile:
    y, x = np.arange(2 * SIDE)[:, None], np.arange(1, 2 * SIDE + 1)
    x = x + y // height % 2 * shift
    stones = _noise(tag, 0, differ)[y // height, x // width]
    return np.where((y % height == 0) | (x % width == 0), joint, stones)


def _noise(tag: int, radius: int, amplitude: int) -> Tile:
    """Noise averaged twice over squares of side 2 * radius + 1, (512, 512), int64, within -amplitude..amplitude."""
    values = (np.random.Philox(key=tag).random_raw(4 * SIDE * SIDE) >> np.uint64(52)).astype(np.int64)
    values = values.reshape(2 * SIDE, 2 * SIDE)
    window = 2 * radius + 1
    for axis in (0, 1, 0, 1) if radius else ():
        sums = np.cumsum(np.concatenate([values, values], axis=axis), axis=axis)
        values = sums.take(range(window, window + 2 * SIDE), axis) - sums.take(range(2 * SIDE), axis)
    values -= int(values.sum()) // values.size
    return values * amplitude // int(abs(values).max())
