"""A row of the table of kinds of image file, and what its rows are made with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 20, 24
ORIENTATION = 274


@dataclass(frozen=True)
class Row:
    """A kind of file."""

    name: str
    """It ends with the file's suffix."""
    write: Callable[[Path], Any]
    right: np.ndarray | Callable[[Path], np.ndarray]
    """What the file holds, upright, (H, W, C) in its own type; or what reads that from it."""
    refused: str | None = None
    """What the refusal says; None where the file is read."""
    transparent: bool = False
    """Whether its last channel is transparency, so that it is read where all channels, or a background, are asked for.
    """

    def made(self, folder: Path) -> Path:
        path = folder / f"x.{self.name.rsplit('.', maxsplit=1)[1]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.write(path)
        return path

    def expected(self, path: Path) -> np.ndarray:
        right = self.right if isinstance(self.right, np.ndarray) else self.right(path)
        return right[..., None] if right.ndim == 2 else right


def noise(channels: int | None, dtype: type = np.uint8) -> np.ndarray:
    """(HEIGHT, WIDTH, channels), or (HEIGHT, WIDTH) for None."""
    random = np.random.default_rng(7)
    shape = (HEIGHT, WIDTH) if channels is None else (HEIGHT, WIDTH, channels)
    if np.dtype(dtype).kind == "f":
        return random.uniform(-5, 5, shape).astype(dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    return random.integers(low, high, shape, dtype=dtype, endpoint=True)


NOTHING = np.zeros((0, 0, 0))


def pillow(path: Path, mode: str | None = None) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert(mode) if mode else image)


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Written out from the EXIF standard: what the stored first row and first column are."""
    rows, columns = image.shape[:2]
    swapped = orientation >= 5
    out = np.empty((columns, rows, *image.shape[2:]) if swapped else image.shape, image.dtype)
    for y in range(rows):
        for x in range(columns):
            up, left = {
                1: (y, x), 2: (y, columns - 1 - x), 3: (rows - 1 - y, columns - 1 - x), 4: (rows - 1 - y, x),
                5: (x, y), 6: (x, rows - 1 - y), 7: (columns - 1 - x, rows - 1 - y), 8: (columns - 1 - x, y),
            }[orientation]  # fmt: skip
            out[up, left] = image[y, x]
    return out


def pillow_upright(orientation: int, path: Path) -> np.ndarray:
    return upright(pillow(path), orientation)


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[ORIENTATION] = orientation
    return found


def saved(image: np.ndarray | Image.Image, path: Path, **options: Any) -> None:
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
