"""Pairs that need no download: ``photos``, cut from the colour photographs that come inside scikit-image.

Eight photographs (scikit-image's ``data`` package says where each is from) are cut into windows of 128x128 pixels. The
columns of each are divided, left to right, into disjoint parts for training, validation and test, so that no pixel is
in two splits: 50 overlapping windows each for training, windows side by side for the others. The condition is the
photograph in grey, or its edges; the target is the photograph. A test measures colour and texture within scenes that
training has seen other parts of: enough to tell objectives apart in minutes, but no data set of the field.
"""

from __future__ import annotations

import hashlib
import importlib.util
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from p2pbench.errors import DataError
from p2pbench.system.files import sha256_of

if TYPE_CHECKING:
    import numpy as np

RECIPE = "photos-1"
WINDOW = 128
PHOTOGRAPHS = tomllib.loads(Path(__file__).with_name("photos.toml").read_text(encoding="utf-8"))
TRAIN_GRID = (10, 5)
"""Windows per photograph for training: rows, columns."""


def photos_key(condition: str) -> str:
    """A hash of the recipe, the condition and the photographs' content; reads the files, decodes nothing.

    Raises:
        DataError: scikit-image's photographs are missing or not the ones this recipe was written for.
    """
    digest = hashlib.sha256(f"{RECIPE}:{condition}".encode())
    for name, photograph in PHOTOGRAPHS.items():
        found, expected = sha256_of(_path(name)), photograph["sha256"]
        if found != expected:
            raise DataError(
                f"{_path(name)} has SHA-256 {found[:12]}..., not {expected[:12]}...: the built-in photos would differ "
                "from everyone else's; install scikit-image 0.25 or 0.26, or use a folder of pairs as data.source"
            )
        digest.update(found.encode())
    return digest.hexdigest()


def photos_names() -> dict[str, list[str]]:
    """The names of the pairs of each split, in order, without decoding anything."""
    return {
        split: [f"{Path(name).stem}-{top}-{left}" for name in PHOTOGRAPHS for top, left in _windows(name, split)]
        for split in ("train", "val", "test")
    }


def photos_pairs(split: str, condition: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The pairs of ``split`` in the order of :func:`photos_names`: condition and photograph, (128, 128, 3), uint8."""
    for name in PHOTOGRAPHS:
        photograph = _photograph(name)
        whole = condition_of(photograph, condition)
        for top, left in _windows(name, split):
            window = (slice(top, top + WINDOW), slice(left, left + WINDOW))
            yield whole[window], photograph[window]


def _windows(name: str, split: str) -> list[tuple[int, int]]:
    """Top and left of every window of ``split``: training left of the last two columns of windows, then val, test."""
    height, width = PHOTOGRAPHS[name]["shape"]
    if split == "train":
        rows, columns = _evenly(height - WINDOW, TRAIN_GRID[0]), _evenly(width - 3 * WINDOW, TRAIN_GRID[1])
        return [(top, left) for top in rows for left in columns]
    left = width - (2 if split == "val" else 1) * WINDOW
    return [(top, left) for top in range(0, height - WINDOW + 1, WINDOW)]


def _evenly(last: int, count: int) -> list[int]:
    """``count`` whole numbers from 0 to ``last``, evenly spread; integer arithmetic, the same everywhere."""
    return [(2 * position * last + count - 1) // (2 * (count - 1)) for position in range(count)]


def _path(name: str) -> Path:
    spec = importlib.util.find_spec("skimage")  # found, not imported: that would take a second
    if spec is None or spec.origin is None:
        raise DataError("the built-in photos need scikit-image, which is not installed")
    path = Path(spec.origin).parent / "data" / name
    if not path.is_file():
        raise DataError(f"{path} is missing: this scikit-image does not carry it; reinstall scikit-image")
    return path


def _photograph(name: str) -> np.ndarray:
    import numpy as np
    from PIL import Image

    factor = PHOTOGRAPHS[name]["factor"]
    with Image.open(_path(name)) as image:
        return np.asarray(image.convert("RGB").reduce(factor))


def condition_of(photograph: np.ndarray, condition: str, sigma: float = 1.5) -> np.ndarray:
    """The photograph in grey, or its edges (``edges``: Canny's, black lines on white): (H, W, 3), of its own type.

    Args:
        photograph: (H, W, 3), uint8 or uint16.
        sigma: standard deviation, in pixels, of the Gaussian that smooths the photograph before edges are looked for.
    """
    import numpy as np

    from p2pbench.data.images import luma

    grey = luma(photograph)
    if condition == "edges":
        from skimage.feature import canny

        white = np.iinfo(grey.dtype).max
        grey = np.where(canny(grey / white, sigma=sigma), 0, white).astype(grey.dtype)
    return np.repeat(grey[..., None], 3, axis=2)
