"""Between 8-bit images and what networks see, in both directions; resizing. No other module converts images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor  # not imported to run: pairs are decoded by processes that need no torch

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def to_network(images: Tensor) -> Tensor:
    """uint8 0..255 to float32 in [-1, 1], any shape."""
    return images.float().mul_(1 / 127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Float in [-1, 1] to uint8 0..255, rounded to the nearest, any shape; values outside are clipped."""
    return images.float().add(1.0).mul_(127.5).round_().clamp_(0, 255).byte()


def resize(image: np.ndarray, size: int, resize_filter: str) -> np.ndarray:
    """An image (H, W, 3), uint8, scaled to (size, size, 3) by Pillow's antialiased filter."""
    if image.shape[:2] == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), FILTERS[resize_filter]))
