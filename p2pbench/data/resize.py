"""Scale an image, without torch: pairs are decoded by processes that do not need it."""

from __future__ import annotations

import numpy as np
from PIL import Image

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def resize(image: np.ndarray, shape: tuple[int, int], resize_filter: str) -> np.ndarray:
    """An image (H, W, C), uint8 or uint16, scaled to ``shape``, (height, width), by Pillow's antialiased filter.

    RGB at once; other numbers of channels, and 16 bits, one channel at a time, 16 bits through float32 and rounded.
    """
    if image.shape[:2] == shape:
        return image
    size, how = shape[::-1], FILTERS[resize_filter]
    if image.dtype == np.uint8 and image.shape[2] == 3:
        return np.asarray(Image.fromarray(image).resize(size, how))
    exact = image if image.dtype == np.uint8 else image.astype(np.float32)
    channels = [
        np.asarray(Image.fromarray(np.ascontiguousarray(exact[..., channel])).resize(size, how))
        for channel in range(image.shape[2])
    ]
    scaled = np.stack(channels, axis=2)
    return scaled if image.dtype == np.uint8 else scaled.round().clip(0, 65535).astype(np.uint16)
