"""Images as a preparation writes them: at its size, in the bits that they came with, in a format that holds them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from p2pbench.curation.prepare.recipe import Recipe
from p2pbench.data.images import Stored, Wanted, as_wanted, scaled, turned
from p2pbench.errors import UnsupportedImage


def photo_of(stored: Stored, recipe: Recipe) -> np.ndarray:
    """A photo that conditions are made from, as training reads it: (H, W, 3), uint8 or uint16.

    Raises:
        UnsupportedImage: it needs a setting, which is named, or has other channels.
    """
    return as_wanted(stored, Wanted(3, recipe.ranges[1], recipe.background))


def of_file(stored: Stored, recipe: Recipe, limits: tuple[float, float] | None) -> np.ndarray:
    """What is kept of a file: RGB of 8 bits where it has 8 bits of colour or grey, else what it holds.

    Transparency is composited on the recipe's background. Where there is none, TIFF keeps it, marked as what it is.

    Args:
        limits: the values that become black and white, in 16 bits; None to keep numbers as they are.
    """
    keeps = extra_of(stored, recipe) is not None
    raw = turned(stored.pixels, stored.turn) if keeps else stored.opaque(recipe.background)
    if limits is not None:
        return scaled(raw, limits)
    grey = raw.dtype == np.uint8 and raw.shape[2] == 1
    return np.repeat(raw, 3, axis=2) if grey else raw


def extra_of(stored: Stored, recipe: Recipe) -> str | None:
    """How TIFF calls the transparency of a file that is kept; None where it has none, or it is composited."""
    if not stored.alpha or recipe.format != "tif" or recipe.background is not None:
        return None
    return "assocalpha" if stored.premultiplied else "unassalpha"


def as_held(images: Sequence[np.ndarray], stored: Sequence[Stored], recipe: Recipe) -> list[np.ndarray]:
    """A and B as the recipe's format holds them: of one type and number of channels, but for TIFF.

    Raises:
        UnsupportedImage: the format does not hold them without loss; the one that does is named.
    """
    if recipe.format == "tif" or all(image.dtype == np.uint8 and image.shape[2] == 3 for image in images):
        return list(images)
    for image, source in zip(images, stored, strict=True):
        fits_png = image.dtype in (np.uint8, np.uint16) and image.shape[2] in (1, 3)
        if recipe.format == "jpg" or not fits_png:
            what = f"{image.dtype} values in {image.shape[2]} channel{'s' * (image.shape[2] > 1)}"
            formats = "--format png, or tif" if fits_png else "--format tif"
            raise UnsupportedImage(f"{source.path} holds {what}, which {recipe.format} does not; use {formats}")
    channels = max(image.shape[2] for image in images)
    deep = [image if image.dtype == np.uint16 else image.astype(np.uint16) * np.uint16(257) for image in images]
    return [image if image.shape[2] == channels else np.repeat(image, channels, axis=2) for image in deep]


def fitted(image: np.ndarray, recipe: Recipe, *, label: bool) -> np.ndarray:
    """``image``, (H, W, C), at the recipe's size: bicubic with antialiasing, labels by the nearest pixel."""
    if recipe.size is None or image.shape[:2] == recipe.size:
        return image
    size = recipe.size[::-1]
    resampling = Image.Resampling.NEAREST if label else Image.Resampling.BICUBIC

    def fit(whole: Image.Image) -> np.ndarray:
        stretch = recipe.fit == "stretch"
        return np.asarray(whole.resize(size, resampling) if stretch else ImageOps.fit(whole, size, resampling))

    if image.dtype == np.uint8 and image.shape[2] == 3:
        return fit(Image.fromarray(image))
    # Channel by channel, as float32, which Pillow resizes too.
    planes = np.moveaxis(image.astype(np.float32), 2, 0)
    made = np.stack([fit(Image.fromarray(np.ascontiguousarray(plane))) for plane in planes], axis=2)
    if image.dtype.kind in "ui":
        limits = np.iinfo(image.dtype)
        made = made.round().clip(limits.min, limits.max)
    return made.astype(image.dtype)


def write(path: Path, image: np.ndarray, recipe: Recipe, extra: str | None = None) -> None:
    """Write ``image``, (H, W, C), to ``path`` in the recipe's format; ``extra`` as :func:`extra_of` has it."""
    if recipe.format == "tif":
        import tifffile

        flat = image[..., 0] if image.shape[2] == 1 else image
        colours = "rgb" if image.shape[2] - (extra is not None) == 3 and image.dtype.kind == "u" else "minisblack"
        planes, extras = "contig" if flat.ndim == 3 else None, None if extra is None else [extra]
        tifffile.imwrite(
            path, flat, photometric=colours, planarconfig=planes, extrasamples=extras, compression="zlib"
        )  # fmt: skip
    elif image.dtype == np.uint16:
        import imagecodecs

        path.write_bytes(imagecodecs.png_encode(image[..., 0] if image.shape[2] == 1 else image))
    else:
        # In JPEG, colour at full resolution: at half of it, the colours of the two halves would mix at the seam. In
        # PNG, Pillow's own level 6 takes facades four times as long, for files 2 % smaller.
        jpeg = {"quality": recipe.quality, "subsampling": 0}
        encoding: dict[str, Any] = {"compress_level": 4} if recipe.quality is None else jpeg
        Image.fromarray(image).save(path, **encoding)
