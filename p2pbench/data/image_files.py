"""Image files: what they hold, in its own type, and how images are written.

Nothing is converted silently. These are the rules:

- Read are 8-bit RGB, grey, black-and-white and palette images; 16-bit grey and RGB (PNG, TIFF); TIFF and ``.npy``
  arrays of any number of channels. A photograph is turned as its EXIF orientation says.
- Transparency is composited on ``data.background``; without that, only images that are opaque throughout are read.
- Grey is repeated where RGB is wanted, RGB weighted by Rec. 601 where grey is wanted; any other difference in channels
  is refused.
- 8 and 16 bits span the whole range of their type, unless ``data.range`` says which values become black and white.
  Values beyond are clipped. Other types (floating point, 32 bits) need ``data.range``. With a range, and where either
  side has 16 bits, images are kept in 16 bits.
- CMYK is refused, because its colours depend on a profile. So are signed, complex and other arrays without
  ``data.range``.
"""

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, UnidentifiedImageError

from p2pbench.data.images import Wanted, as_wanted, picture_of, unscaled
from p2pbench.errors import DataError, UnsupportedImage
from p2pbench.system.files import NO_ARRAY, atomic

MAX_PIXELS = 89_478_485
"""Maximum pixels of one image: 9,459 squared, a quarter of a GiB as RGB, where Pillow begins to warn. A small file may
claim to hold more than any memory does; what it claims is looked at before anything is decoded."""
ORIENTATION = 274
"""The EXIF tag that says how a camera was held."""

# Above its limit Pillow warns, and above twice the limit it refuses; here both refuse, in one line.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


class NeedsBackground(UnsupportedImage):
    """An image is transparent, and ``data.background`` does not say what lies behind it."""


def read_image(path: Path) -> np.ndarray:
    """An 8-bit image as RGB, (H, W, 3), uint8.

    Raises:
        UnsupportedImage: it is an image of another kind. DataError: it cannot be read. Both name the file.
    """
    try:
        raw = read_array(path, None)
    except NeedsBackground:
        raise UnsupportedImage(f"{path} has transparency: flatten it onto a background first") from None
    image = as_wanted(raw, Wanted(), path)
    if image.dtype != np.uint8:
        raise UnsupportedImage(f"{path} has more than 8 bits a channel, which would be cut off; convert it first")
    return image


def preview(path: Path) -> np.ndarray:
    """Any image as a picture for people, (H, W, 3), uint8, on white where it is transparent; see :func:`picture_of`.

    Raises:
        UnsupportedImage, DataError: as :func:`read_image`.
    """
    return picture_of(read_array(path, "white"))


def read_array(path: Path, background: str | None) -> np.ndarray:
    """What the file holds, (H, W, C), in its own type, upright and opaque.

    Raises:
        UnsupportedImage, DataError: as :func:`read_image`.
    """
    if path.suffix.lower() == ".npy":
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: it claims no more than the file holds
        except NO_ARRAY as error:
            raise DataError(f"{path} cannot be read as an image: {error}") from None
        if not isinstance(array, np.ndarray):
            array.close()
            raise UnsupportedImage(f"{path} is an .npz archive: save one array with numpy.save")
        return _with_channels(array, path)
    if path.suffix.lower() in (".tif", ".tiff") and not _is_plain_tiff(path):
        return _read_tiff(path)
    with opened(path) as image:
        if _png_bits(path, image) == 16:
            _check_mode(image, path)
            if "transparency" in image.info:
                raise UnsupportedImage(f"{path} has 16 bits and transparency: flatten it onto a background first")
            if image.mode != "I;16":
                return _turned(_read_deep_png(path), image.getexif().get(ORIENTATION, 1))
        return pixels_of(image, path, background)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """The image at ``path``, opened by Pillow and not yet decoded.

    Raises:
        DataError: it cannot be read, in the block too, or claims to be larger than :data:`MAX_PIXELS`.
    """
    # A stream of ours: Pillow leaves a file open that it cannot read.
    with _readable(path), path.open("rb") as stream, Image.open(stream) as image:
        if image.width * image.height > MAX_PIXELS:
            raise _too_large(path)
        yield image


def pixels_of(image: Image.Image, path: Path, background: str | None) -> np.ndarray:
    """What an image that Pillow has opened holds, (H, W, C), uint8 or uint16, upright and opaque.

    ``path`` is for messages. A PNG with 16 bits of colour is not for this function: Pillow cuts it to 8.

    Raises:
        UnsupportedImage, DataError: as :func:`read_image`.
    """
    with _readable(path):
        _check_mode(image, path)
        # Pillow turns a TIFF itself, when it is loaded.
        turn = 1 if image.format == "TIFF" else image.getexif().get(ORIENTATION, 1)
        if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA"):
            return _turned(_opaque(path, image.convert("RGBA"), background), turn)
        mode = {"1": "L", "P": "RGB"}.get(image.mode, image.mode)
        plain = image if mode == image.mode else image.convert(mode)  # convert() would copy the image even then
        return _turned(_with_channels(np.asarray(plain), path), turn)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What the block raises because the image at ``path`` is damaged becomes a :class:`DataError`."""
    try:
        yield
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(path) from None
    except Exception as error:  # Pillow raises whatever a damaged file leads it to
        raise DataError(f"{path} cannot be read as an image: {error}") from None


def _too_large(path: Path) -> DataError:
    return DataError(
        f"{path} holds, or claims to hold, more than {MAX_PIXELS:,} pixels: scale it down, or cut it into parts"
    )


def _check_mode(image: Image.Image, path: Path) -> None:
    if image.mode == "CMYK":
        raise UnsupportedImage(f"{path} is CMYK, whose colours depend on a profile: convert it to RGB first")
    if image.mode not in ("1", "L", "P", "RGB", "RGBA", "LA", "PA", "I;16"):
        raise UnsupportedImage(f"{path} is an image of mode {image.mode}, which is not read; convert it first")


def _with_channels(array: np.ndarray, path: Path) -> np.ndarray:
    if array.dtype.kind not in "buif":
        raise UnsupportedImage(f"{path} holds values of type {array.dtype}; images are numbers")
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or 0 in array.shape:
        raise UnsupportedImage(f"{path} holds an array of shape {array.shape}; images are (H, W) or (H, W, channels)")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _read_tiff(path: Path) -> np.ndarray:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            if page.imagewidth * page.imagelength > MAX_PIXELS:
                raise _too_large(path)
            array = page.asarray()
            planar = page.axes.startswith("S")
            colours, extra = tifffile.PHOTOMETRIC(page.photometric).name, [int(kind) for kind in page.extrasamples]
            turn = int(page.tags.valueof(ORIENTATION, default=1))
            pages = len(file.pages)
    except DataError:
        raise
    except Exception as error:  # tifffile raises whatever a damaged file leads it to
        raise DataError(f"{path} cannot be read as an image: {error}") from None
    if pages > 1:
        raise UnsupportedImage(f"{path} has {pages} pages: write its channels into one, or one image a file")
    if colours not in ("MINISBLACK", "RGB"):
        raise UnsupportedImage(
            f"{path} is a TIFF of mode {colours}, which is not read; convert it to RGB or grey first"
        )
    if colours == "RGB" and set(extra) & {1, 2}:  # alpha, of either kind
        raise UnsupportedImage(f"{path} has 16 bits and transparency: flatten it onto a background first")
    return _turned(_with_channels(np.moveaxis(array, 0, -1) if planar else array, path), turn)


def _is_plain_tiff(path: Path) -> bool:
    """Whether a TIFF holds one 8-bit image, as other files do; Pillow reads no other TIFF whole."""
    with _readable(path):
        try:
            with path.open("rb") as stream, Image.open(stream) as image:
                tags = image.getexif()
                bits, signs = (_flat(tags.get(tag, default)) for tag, default in ((258, 8), (339, 1)))
                channels = 1 if image.mode == "P" else len(image.getbands())
                whole = tags.get(277, 1) == channels and getattr(image, "n_frames", 1) == 1
                plain = max(bits) <= 8 and set(signs) == {1} and whole
                return plain and image.mode in ("1", "L", "P", "RGB", "RGBA", "LA", "CMYK")
        except UnidentifiedImageError:
            return False


def _flat(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (int(value),)


def _png_bits(path: Path, image: Image.Image) -> int:
    """The bits a channel of a PNG, which Pillow silently cuts to 8 where it has colour; 8 for other files."""
    if image.format != "PNG":
        return 8
    with path.open("rb") as stream:
        return stream.read(25)[24]  # signature, length, IHDR, width, height, bit depth


def _read_deep_png(path: Path) -> np.ndarray:
    """A PNG with 16 bits a channel in colour, which Pillow would cut to 8."""
    import png

    try:
        with path.open("rb") as stream:
            width, height, rows, about = png.Reader(file=stream).read()
            pixels = np.vstack([np.asarray(row, dtype=np.uint16) for row in rows])
    except (png.Error, zlib.error) as error:
        raise DataError(f"{path} cannot be read as an image: {error}") from None
    if about["alpha"] or about.get("transparent"):
        raise UnsupportedImage(f"{path} has 16 bits and transparency: flatten it onto a background first")
    return pixels.reshape(height, width, about["planes"])


def _opaque(path: Path, image: Image.Image, background: str | None) -> np.ndarray:
    """RGBA composited on ``background``, (H, W, 3), uint8; without one, only if nothing is transparent."""
    if background is None:
        if image.getchannel("A").getextrema() != (255, 255):
            raise NeedsBackground(f"{path} has transparency: say what lies behind it, as in data.background=white")
        return np.asarray(image.convert("RGB"))
    behind = Image.new("RGBA", image.size, ImageColor.getrgb(background))
    return np.asarray(Image.alpha_composite(behind, image).convert("RGB"))


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """``pixels``, (H, W, C), of a photo with this EXIF orientation, 1 to 8, turned upright."""
    turned = {
        2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1], 5: pixels.swapaxes(0, 1), 6: np.rot90(pixels, -1),
        7: pixels.swapaxes(0, 1)[::-1, ::-1], 8: np.rot90(pixels),
    }.get(orientation, pixels)  # fmt: skip
    return np.ascontiguousarray(turned)


def write_like(like: Path, image: np.ndarray, folder: Path, limits: tuple[float, float] | None) -> Path:
    """Write ``image``, (H, W, C), uint8 or uint16, to ``folder`` under the name of ``like``.

    Its values are those of the files that were trained on: ``limits`` (``data.range``) are undone. The output for an
    array (``.npy``) is an array. Other outputs are PNG, or TIFF where Pillow's PNG cannot hold them: 16 bits of colour,
    other than 1 or 3 channels, values below 0 or above 65535.
    """
    if limits is not None:
        image = unscaled(image, limits, whole=like.suffix.lower() != ".npy")
    if like.suffix.lower() == ".npy":
        path = folder / f"{like.stem}.npy"
        with atomic(path) as part, part.open("wb") as stream:
            np.save(stream, image)
    elif image.dtype.kind == "u" and (image.shape[2] == 1 or (image.shape[2] == 3 and image.dtype == np.uint8)):
        path = folder / f"{like.stem}.png"
        with atomic(path) as part:
            # Level 1 takes a quarter of the time of Pillow's default and makes files 6 % larger (photographs, 256x256).
            Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(part, "PNG", compress_level=1)
    else:
        import tifffile

        path = folder / f"{like.stem}.tif"
        with atomic(path) as part:
            photometric = "rgb" if image.shape[2] == 3 else "minisblack"
            planes, layout = (image, "contig") if image.shape[2] > 1 else (image[..., 0], None)
            tifffile.imwrite(part, planes, photometric=photometric, planarconfig=layout)
    return path
