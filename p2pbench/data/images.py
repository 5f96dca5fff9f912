"""Images in memory: the kind that networks, scores and people want, made of the kind that a file holds.

The rules stand in :mod:`p2pbench.data.image_files`. Neither module imports torch.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor

from p2pbench.errors import DataError, UnsupportedImage

Images = tuple[np.ndarray, np.ndarray]
"""A and B of a pair, each (H, W, C)."""
LUMA = np.array([19595, 38470, 7471], dtype=np.int64)
"""Rec. 601 weights of red, green and blue, in 65536ths: whole numbers, the same bits everywhere."""
FILTERS = {name: Image.Resampling[name.upper()] for name in ("bilinear", "bicubic", "nearest")}


@dataclass(frozen=True)
class Wanted:
    """The kind of image that the files of one side are to become."""

    channels: int = 3
    range: tuple[float, float] | None = None
    """The values that become black and white; None for the ends of the integer type."""
    background: str | None = None
    """The colour behind transparent pixels, as CSS names it."""


class NeedsBackground(UnsupportedImage):
    """An image is transparent, and no setting says what lies behind it, nor that its last channel is data."""


@dataclass(frozen=True)
class Stored:
    """What an image file holds, before a setting says what of it is wanted."""

    path: Path
    """Its file, for messages."""
    pixels: np.ndarray
    """(H, W, C), in the file's own type, as they lie in it: not turned."""
    alpha: bool = False
    """Whether the last channel is transparency, unless it is wanted as data."""
    turn: int = 1
    """The EXIF orientation, 1 to 8: how a camera was held."""
    premultiplied: bool = False
    """Whether the colours are multiplied by the transparency, as some TIFF have them."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, upright."""
        rows, columns = self.pixels.shape[:2]
        return (rows, columns) if self.turn in (5, 6, 7, 8) else (columns, rows)

    def halves(self) -> "tuple[Stored, Stored]":
        """A and B of a side-by-side file: split as they lie in it, so that each half is turned by itself.

        Raises:
            DataError: there is no middle.
        """
        width = self.pixels.shape[1]
        if width % 2:
            raise DataError(f"{self.path} is {width} pixels wide: a side-by-side pair has an even width")
        left, right = self.pixels[:, : width // 2], self.pixels[:, width // 2 :]
        return replace(self, pixels=left), replace(self, pixels=right)

    def opaque(self, background: str | None) -> np.ndarray:
        """The image upright and opaque, (H, W, C), in the file's own type.

        Raises:
            UnsupportedImage: it is transparent somewhere and there is no ``background``, or it may be channels first.
        """
        if self.channels_first:
            raise UnsupportedImage(f"{self.path} has the shape {self.pixels.shape}: {CHANNELS_FIRST}")
        return turned(_composited(self, background) if self.alpha else self.pixels, self.turn)

    @property
    def channels_first(self) -> bool:
        """Whether its shape looks like (channels, H, W), of more than the four channels that tell it for sure."""
        rows, columns, channels = self.pixels.shape
        return bool(channels > MOST_SURE and rows < min(columns, channels))


MOST_SURE = 4
"""An array of (n, H, W) is channels first where n is at most this: nobody has images of so few rows."""
CHANNELS_FIRST = (
    "channels first? Images are (H, W, channels): save numpy.moveaxis(array, 0, -1), or, if the last axis is the "
    "channels, say so with data.channels"
)


def as_wanted(image: Stored, wanted: Wanted) -> np.ndarray:
    """``image`` as ``wanted``, upright: (H, W, channels), uint8 or uint16.

    A last channel of transparency is data where ``wanted`` asks for that many channels.

    Raises:
        UnsupportedImage: it is of a kind that needs another setting, which is named.
    """
    path, found = image.path, image.pixels.shape[2]
    raw = turned(image.pixels, image.turn) if found == wanted.channels else image.opaque(wanted.background)
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


def _composited(image: Stored, background: str | None) -> np.ndarray:
    """The colours of ``image``, whose last channel is transparency, on ``background``; not turned."""
    pixels, path = image.pixels, image.path
    colours, alpha = pixels[..., :-1], pixels[..., -1]
    if pixels.dtype not in (np.uint8, np.uint16):
        raise UnsupportedImage(
            f"{path} has transparency of a type ({pixels.dtype}) that is not composited; flatten it onto a background, "
            f"or, where it is data, read it with data.channels=[{pixels.shape[2]}, {pixels.shape[2]}]"
        )
    white = np.iinfo(pixels.dtype).max
    if background is None:
        if (alpha == white).all():
            return colours
        raise NeedsBackground(
            f"{path} has transparency: say what lies behind it, as in data.background=white; or, where its last "
            f"channel is data, as near infrared is, read all of them with data.channels=[{pixels.shape[2]}, "
            f"{pixels.shape[2]}]"
        )
    if pixels.dtype == np.uint8:
        modes = ("La", "RGBa") if image.premultiplied else ("LA", "RGBA")
        size, mode = (pixels.shape[1], pixels.shape[0]), modes[pixels.shape[2] // 4]
        above = Image.frombytes(mode, size, np.ascontiguousarray(pixels).tobytes()).convert("RGBA")
        behind = Image.new("RGBA", above.size, ImageColor.getrgb(background))
        return np.asarray(Image.alpha_composite(behind, above).convert("RGB"))
    behind16 = np.array(ImageColor.getrgb(background)[:3], np.uint64) * 257
    share = alpha[..., None].astype(np.uint64)
    weight = white if image.premultiplied else share
    blended = (colours * weight + behind16 * (white - share) + white // 2) // white
    return blended.clip(0, white).astype(np.uint16)


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """``pixels``, (H, W, C), of a photo with this EXIF orientation, 1 to 8, turned upright."""
    upright = {
        2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1], 5: pixels.swapaxes(0, 1), 6: np.rot90(pixels, -1),
        7: pixels.swapaxes(0, 1)[::-1, ::-1], 8: np.rot90(pixels),
    }.get(orientation, pixels)  # fmt: skip
    return np.ascontiguousarray(upright)


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
