"""The pictures a run leaves: sheets while it trains, and test pairs for reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from p2pbench.system.files import atomic

N_SHEET = 4
N_UNTRAINED = 8
N_KEPT = 128
"""Test pairs whose output a finished run keeps: every one of the paper's smaller test sets, so that a report may choose
the best and the worst when it is made. Of facades at 128x128 they take 9 MB, beside 40 MB of the generator."""
N_REDRAWN, REDRAWS = 4, 3
"""Of so many test pairs so many more outputs are kept, with other noise."""


def spread(n: int, count: int) -> list[int]:
    """``count`` of the positions 0..n-1, evenly spread; all where there are fewer. The rule that chooses samples."""
    return sorted({int(position) for position in np.linspace(0, n - 1, min(n, count)).round()})


def write_sheet(path: Path, columns: list[np.ndarray]) -> None:
    """A PNG with one row an image and one column an array of ``columns``, each (N, S, S, 3), uint8."""
    rows = np.concatenate(columns, axis=2)  # (N, S, columns * S, 3)
    save_png(path, rows.reshape(-1, *rows.shape[2:]))


def save_png(path: Path, image: np.ndarray) -> None:
    """Write an image (H, W, 3), uint8, whole or not at all."""
    with atomic(path) as part:
        Image.fromarray(image).save(part, format="PNG")
