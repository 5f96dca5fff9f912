"""What image files hold, for tests that look at what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from p2pbench.data.image_files import read
from p2pbench.data.images import Images, Wanted, as_wanted
from p2pbench.data.pairs import Pair, read_wanted


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3), uint8 or uint16, as training reads it unless settings say more."""
    return as_wanted(read(path), Wanted())


def read_pair(pair: Pair) -> Images:
    """A and B, as :func:`read_image`."""
    return read_wanted(pair, (Wanted(), Wanted()))


def read_array(path: Path, background: str | None) -> np.ndarray:
    """(H, W, C), in the file's own type, upright and opaque."""
    return read(path).opaque(background)
