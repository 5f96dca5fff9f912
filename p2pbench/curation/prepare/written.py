"""Images as a preparation writes them: at its size, in the bits that they came with, in a format that holds them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from p2pbench.curation.prepare.recipe import Recipe
from p2pbench.data.image_files import as_eight
from p2pbench.data.images import Stored, turned
from p2pbench.errors import UnsupportedImage


def of_file(stored: Stored, recipe: Recipe) -> np.ndarray:
    """What is kept of a file: RGB of 8 bits where it has 8 bits of colour or grey, else what it holds.

    TIFF keeps a channel of transparency, as data.
    """
    if stored.alpha and recipe.format == "tif":
        return turned(stored.pixels, stored.turn)
    plain = stored.pixels.dtype == np.uint8 and (stored.alpha or stored.pixels.shape[2] in (1, 3))
    return as_eight(stored) if plain else stored.opaque(None)


def as_held(images: Sequence[np.ndarray], stored: Sequence[Stored], recipe: Recipe) -> list[np.ndarray]:
    """A and B as the recipe's format holds them: of one type and number of channels, but for TIFF.

    Raises:
        UnsupportedImage: the format does not hold them without loss; the one that does is named.
    """
    if recipe.format == "tif" or all(image.dtype == np.uint8 and image.shape[2] == 3 for image in images):
        return list(images)
    for image, source in zip(images, stored, strict=True):
        if recipe.format == "jpg" or image.dtype not in (np.uint8, np.uint16) or image.shape[2] not in (1, 3):
            what = f"{image.dtype} values in {image.shape[2]} channel{'s' * (image.shape[2] > 1)}"
            raise UnsupportedImage(f"{source.path} holds {what}, which {recipe.format} does not; use --format tif")
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


def write(path: Path, image: np.ndarray, recipe: Recipe) -> None:
    """Write ``image``, (H, W, C), to ``path`` in the recipe's format."""
    if recipe.format == "tif":
        import tifffile

        flat = image[..., 0] if image.shape[2] == 1 else image
        colours = "rgb" if image.shape[2] == 3 and image.dtype.kind == "u" else "minisblack"
        planes = "contig" if flat.ndim == 3 else None
        tifffile.imwrite(path, flat, photometric=colours, planarconfig=planes, compression="zlib")
    elif image.dtype == np.uint16:
        import imagecodecs

        path.write_bytes(imagecodecs.png_encode(image[..., 0] if image.shape[2] == 1 else image))
    else:
        # In JPEG, colour at full resolution: at half of it, the colours of the two halves would mix at the seam. In
        # PNG, Pillow's own level 6 takes facades four times as long, for files 2 % smaller.
        jpeg = {"quality": recipe.quality, "subsampling": 0}
        encoding: dict[str, Any] = {"compress_level": 4} if recipe.quality is None else jpeg
        Image.fromarray(image).save(path, **encoding)
