"""Scale an image, without torch: pairs are decoded by processes that do not need it."""

from __future__ import annotations

import numpy as np
from PIL import Image

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def resize(image: np.ndarray, shape: tuple[int, int], resize_filter: str) -> np.ndarray:
    """An image (H, W, 3), uint8, scaled to ``shape``, (height, width), by Pillow's antialiased filter."""
    if image.shape[:2] == shape:
        return image
    return np.asarray(Image.fromarray(image).resize(shape[::-1], FILTERS[resize_filter]))
