"""Pictures of a few evenly spread images: the sheets that training leaves, and the sheet of ``translate``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from p2pbench.data.image_files import preview
from p2pbench.system.files import atomic

N_COMPARED, CELL, GREY = 16, 256, 128
"""The most pictures on a sheet of ``translate``, the side of each one's box in pixels, and the grey around it."""


def spread(n: int, count: int) -> list[int]:
    """``count`` of the positions 0..n-1, evenly spread; all of them where there are fewer."""
    return sorted({int(position) for position in np.linspace(0, n - 1, min(n, count)).round()})


def save_png(path: Path, image: np.ndarray) -> None:
    """Write an image (H, W, 3), uint8, whole or not at all."""
    with atomic(path) as part:
        Image.fromarray(image).save(part, format="PNG")


def write_sheet(path: Path, columns: list[np.ndarray]) -> None:
    """Write a PNG with a row for each image and a column for each array of ``columns``, (N, H, W, 3), uint8."""
    rows = np.concatenate(columns, axis=2)  # (N, H, columns * W, 3)
    save_png(path, rows.reshape(-1, *rows.shape[2:]))


def write_comparison(path: Path, translated: Sequence[tuple[Path, Path]]) -> None:
    """Write a PNG of picture files beside their translations, evenly spread; from 9 on, two pairs a row."""
    chosen = [translated[position] for position in spread(len(translated), N_COMPARED)]
    pairs = [np.concatenate([_cell(file) for file in files], axis=1) for files in chosen]
    wide = 1 if len(pairs) <= N_COMPARED // 2 else 2
    if len(pairs) % wide:
        pairs.append(np.full_like(pairs[-1], GREY))
    rows = [np.concatenate(pairs[start : start + wide], axis=1) for start in range(0, len(pairs), wide)]
    save_png(path, np.concatenate(rows))


def _cell(path: Path) -> np.ndarray:
    """The picture in ``path``, fitted into a grey box."""
    picture = Image.fromarray(preview(path))
    picture.thumbnail((CELL, CELL))
    cell = Image.new("RGB", (CELL, CELL), (GREY,) * 3)
    cell.paste(picture, ((CELL - picture.width) // 2, (CELL - picture.height) // 2))
    return np.asarray(cell)
