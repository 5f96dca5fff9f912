"""Images in memory: the kind that networks, scores and people want, made of the kind that a file holds.

The rules stand in :mod:`p2pbench.data.image_files`. Neither module imports torch.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from p2pbench.errors import UnsupportedImage

Images = tuple[np.ndarray, np.ndarray]
"""A and B of a pair, each (H, W, C)."""
LUMA = np.array([19595, 38470, 7471], dtype=np.int64)
"""Rec. 601 weights of red, green and blue, in 65536ths: whole numbers, the same bits everywhere."""
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Wanted:
    """The kind of image that the files of one side are to become."""

    channels: int = 3
    range: tuple[float, float] | None = None
    """The values that become black and white; None for the ends of the integer type."""
    background: str | None = None
    """The colour behind transparent pixels, as CSS names it."""


def as_wanted(raw: np.ndarray, wanted: Wanted, path: Path) -> np.ndarray:
    """``raw``, (H, W, C), read from ``path``, or half of it, as ``wanted``: (H, W, channels), uint8 or uint16.

    Raises:
        UnsupportedImage: it is of a kind that needs another setting, which is named.
    """
    if wanted.range is not None:
        raw = scaled(raw, wanted.range)
    elif raw.dtype not in (np.uint8, np.uint16):
        raise UnsupportedImage(
            f"{path} holds {raw.dtype} values: say with data.range which of them become black and white"
        )
    found = raw.shape[2]
    if found == wanted.channels:
        return raw
    if (found, wanted.channels) == (1, 3):
        return np.repeat(raw, 3, axis=2)
    if (found, wanted.channels) == (3, 1):
        return luma(raw)[..., None]
    raise UnsupportedImage(
        f"{path} has {found} channel{'s' * (found > 1)}, where data.channels asks for {wanted.channels}"
    )


def luma(image: np.ndarray) -> np.ndarray:
    """Rec. 601 luma of (..., 3), uint8 or uint16, rounded: (...), of the same type. A grey pixel keeps its value."""
    weighted: np.ndarray = (image @ LUMA + 32768) >> 16
    return weighted.astype(image.dtype)


def scaled(raw: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Values from ``limits[0]`` to ``limits[1]`` as 0 to 65535, uint16; values beyond are clipped, NaN is 0."""
    low, high = limits
    share = (np.nan_to_num(raw.astype(np.float64), nan=low) - low) / (high - low)
    return (share.clip(0, 1) * 65535).round().astype(np.uint16)


def unscaled(image: np.ndarray, limits: tuple[float, float], *, whole: bool) -> np.ndarray:
    """The inverse of :func:`scaled`; with ``whole``, rounded to 8 or 16 bits where ``limits`` lie within them."""
    low, high = limits
    values = low + image / np.iinfo(image.dtype).max * (high - low)
    if whole and low >= 0 and high <= 65535:
        return values.round().astype(np.uint8 if high <= 255 else np.uint16)
    return values.astype(np.float32)


def picture_of(raw: np.ndarray) -> np.ndarray:
    """``raw``, (H, W, C), of any type, as a picture for people, (H, W, 3), uint8: 16 bits are scaled to 8.

    Of other than 1 or 3 channels it shows the first three, or the first; other types from their least to their most.
    """
    if raw.dtype not in (np.uint8, np.uint16):
        low, high = float(np.nanmin(raw)), float(np.nanmax(raw))
        raw = scaled(raw, (low, high if high > low else low + 1))
    return as_rgb8(raw)


def as_scored(image: np.ndarray) -> np.ndarray:
    """(..., C), uint8 or uint16, as it is scored: in 8 bits, grey repeated to RGB, other channels as they are."""
    eight = image if image.dtype == np.uint8 else ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.repeat(eight, 3, axis=-1) if eight.shape[-1] == 1 else eight


def as_rgb8(image: np.ndarray) -> np.ndarray:
    """(..., C), uint8 or uint16, as a picture, (..., 3), uint8: the first three channels, or the first one."""
    eight = as_scored(image)
    return eight[..., :3] if eight.shape[-1] >= 3 else np.repeat(eight[..., :1], 3, axis=-1)


def resize(image: np.ndarray, shape: tuple[int, int], resize_filter: str) -> np.ndarray:
    """An image (H, W, C), uint8 or uint16, scaled to ``shape``, (height, width), by Pillow's antialiased filter.

    Pillow takes 8-bit RGB whole; other images go through it channel by channel, 16 bits as float32, then rounded.
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
