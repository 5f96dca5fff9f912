"""Image files: what they hold, in its own type. Every command reads its images here, so that all read them alike.

A file is known by its content, not by its name. Nothing is converted silently. These are the rules:

- Read are 8-bit RGB, grey, black-and-white and palette images (PNG, JPEG, WebP, BMP, GIF, JPEG 2000, PGM and PPM,
  TIFF); 16-bit grey and RGB (PNG, JPEG 2000, TIFF; PGM for grey); PFM, TIFF and ``.npy`` arrays of numbers, TIFF and
  ``.npy`` of any number of channels. TIFF may be tiled, big-endian or BigTIFF, in any codec that tifffile and
  imagecodecs decode.
- A photograph is turned as its EXIF orientation says. The halves of a side-by-side file are split as they lie in it,
  then turned one by one.
- Transparency is composited on ``data.background``; without that, only images that are opaque throughout are read.
  Where ``data.channels`` asks for all of an image's channels, the last is data and not transparency.
- Grey is repeated where RGB is wanted, RGB weighted by Rec. 601 where grey is wanted; any other difference in channels
  is refused.
- An array of (n, H, W) with n up to 4 is channels first; where it may be, it is refused.
- 8 and 16 bits span the whole range of their type, unless ``data.range`` says which values become black and white.
  Values beyond are clipped. Other types (floating point, 32 bits) need ``data.range``. With a range, and where either
  side has 16 bits, images are kept in 16 bits.
- Refused are CMYK, because its colours depend on a profile; files of several frames or pages, but for the reduced
  copies that a TIFF may hold; 16 bits of colour in PPM; TIFF of more than 8 bits in other colours than RGB and grey.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from p2pbench.data.images import MOST_SURE, Stored, picture_of, turned
from p2pbench.errors import DataError, UnsupportedImage

MAX_PIXELS = 89_478_485
"""Maximum pixels of one image: 9,459 squared, a quarter of a GiB as RGB, where Pillow begins to warn. A small file may
claim to hold more than any memory does; what it claims is looked at before anything is decoded."""
ORIENTATION = 274
"""The EXIF tag that says how a camera was held."""
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "JPEG2000", "PPM", "TIFF")
"""The formats that Pillow is asked for. Others would start programs (EPS), or lose bits or frames in silence."""

# Above its limit Pillow warns, and above twice the limit it refuses; here both refuse, in one line.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def preview(path: Path) -> np.ndarray:
    """Any image as a picture for people, (H, W, 3), uint8, on white where it is transparent; see :func:`picture_of`.

    Raises:
        UnsupportedImage, DataError: as :func:`read`.
    """
    return picture_of(read(path).opaque("white"))


def read(path: Path, content: bytes | None = None, *, most: int = MAX_PIXELS) -> Stored:
    """What an image file holds, in its own type.

    Args:
        path: the file, or what messages call the ``content`` of one.
        most: the most pixels that it may have; what it claims is looked at before anything is decoded.
    Raises:
        UnsupportedImage: it is an image of a kind that is not read. DataError: it cannot be read. Both name the file.
    """
    # A stream of ours: Pillow leaves a file open that it cannot read.
    with _readable(path, most), path.open("rb") if content is None else io.BytesIO(content) as stream:
        start = stream.read(8)
        stream.seek(0)
        if not start:
            raise DataError(f"{path} cannot be read as an image: it is empty, zero bytes")
        if start.startswith((b"\x93NUMPY", b"PK\x03\x04")) or path.suffix.lower() == ".npy":
            return _of_array(path, stream, mapped=content is None)
        if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _of_tiff(path, stream, most)
        with Image.open(stream, formats=FORMATS) as image:
            _check_size(path, image.width, image.height, most)
            return _of_picture(path, image, stream)


class NoImage(DataError):
    """A file is none of the formats that are read."""


class TooLarge(DataError):
    """An image has, or claims to have, more pixels than are read."""


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """The image at ``path``, opened by Pillow and not yet decoded.

    Raises:
        DataError: it cannot be read, in the block too, or claims to be larger than :data:`MAX_PIXELS`.
    """
    with _readable(path, MAX_PIXELS), path.open("rb") as stream, Image.open(stream, formats=FORMATS) as image:
        _check_size(path, image.width, image.height, MAX_PIXELS)
        yield image


@contextmanager
def _readable(path: Path, most: int) -> Iterator[None]:
    """What the block raises because the image at ``path`` is damaged becomes a :class:`DataError`."""
    try:
        yield
    except DataError:
        raise
    except UnidentifiedImageError:
        kinds = "PNG, JPEG, WebP, BMP, GIF, JPEG 2000, PPM, TIFF and .npy"
        raise NoImage(f"{path} cannot be read as an image: it is none of {kinds}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooLarge(_too_large(path, most)) from None
    except Exception as error:  # Pillow raises whatever a damaged file leads it to
        raise DataError(f"{path} cannot be read as an image: {error}") from None


def _check_size(path: Path, width: int, height: int, most: int) -> None:
    if width * height > most:
        raise TooLarge(f"{_too_large(path, most)} (it says {width}x{height})")


def _too_large(path: Path, most: int) -> str:
    return f"{path} holds, or claims to hold, more than {most:,} pixels: scale it down, or cut it into parts"


# ---- what Pillow reads


def _of_picture(path: Path, image: Image.Image, stream: BinaryIO) -> Stored:
    """An image that Pillow has opened, from its own ``stream``."""
    frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1  # a phone's photo, and its preview
    if frames > 1:
        raise UnsupportedImage(f"{path} has {frames} frames: save each as a file")
    turn = int(image.getexif().get(ORIENTATION, 1))
    deep = _deep_colours(path, image, stream)
    if deep is not None:
        return Stored(path, deep, alpha=deep.shape[2] in (2, 4), turn=turn)
    if image.mode == "CMYK":
        raise UnsupportedImage(f"{path} is CMYK, whose colours depend on a profile: convert it to RGB first")
    if image.format == "PPM" and image.mode in ("I", "F"):  # PGM of 16 bits, PFM
        return Stored(path, np.asarray(image)[..., None].astype(np.uint16 if image.mode == "I" else np.float32))
    if image.mode not in ("1", "L", "P", "RGB", "RGBA", "LA", "PA", "I;16"):
        raise UnsupportedImage(f"{path} is an image of mode {image.mode}, which is not read; convert it first")
    if "transparency" in image.info and image.mode != "I;16":
        image = image.convert("RGBA")
    mode = {"1": "L", "P": "RGB", "PA": "RGBA"}.get(image.mode, image.mode)
    plain = image if mode == image.mode else image.convert(mode)  # convert() would copy the image even then
    return Stored(path, _with_channels(np.asarray(plain), path), alpha=mode in ("LA", "RGBA"), turn=turn)


def _deep_colours(path: Path, image: Image.Image, stream: BinaryIO) -> np.ndarray | None:
    """The pixels of an image of 16 bits that Pillow would cut to 8, (H, W, C), uint16; None for another image."""
    if image.format not in ("PNG", "JPEG2000", "PPM"):
        return None
    stream.seek(0)
    content = stream.read()
    if image.format == "PPM":
        found = re.match(rb"P[36](?:\s|#.*\n)+\d+(?:\s|#.*\n)+\d+(?:\s|#.*\n)+(\d+)", content)
        if found and int(found[1]) > 255:
            raise UnsupportedImage(f"{path} is a PPM of 16 bits, of which 8 would be cut off: save it as PNG or TIFF")
        return None
    if image.format == "PNG":
        # The bits stand in byte 24: signature, length, IHDR, width, height, bit depth.
        if content[24] < 16 or (image.mode == "I;16" and "transparency" not in image.info):
            return None
        import imagecodecs  # takes long: where it is needed alone

        return _with_channels(imagecodecs.png_decode(content), path)
    # The bits of the first component, less 1, with the sign in front: ISO 15444-1, A.5.1.
    bits = content[content.index(b"\xff\x4f\xff\x51") + 42]
    if bits & 127 <= 7:
        return None
    import imagecodecs

    return _with_channels(imagecodecs.jpeg2k_decode(content), path)


# ---- arrays


def _of_array(path: Path, stream: BinaryIO, *, mapped: bool) -> Stored:
    # Mapped, it claims no more than the file holds.
    array = np.load(path if mapped else stream, mmap_mode="r" if mapped else None, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        array.close()
        raise UnsupportedImage(f"{path} is an .npz archive: save one array with numpy.save")
    return Stored(path, _with_channels(array, path))


def _with_channels(array: np.ndarray, path: Path) -> np.ndarray:
    """``array`` as (H, W, C), in this machine's byte order."""
    if array.dtype.kind not in "buif":
        raise UnsupportedImage(f"{path} holds values of type {array.dtype}; images are numbers")
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or 0 in array.shape:
        raise UnsupportedImage(f"{path} holds an array of shape {array.shape}; images are (H, W) or (H, W, channels)")
    if array.shape[0] <= MOST_SURE < array.shape[2]:
        array = np.moveaxis(array, 0, -1)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


# ---- TIFF


def _of_tiff(path: Path, stream: BinaryIO, most: int) -> Stored:
    """A TIFF: by Pillow where it holds one 8-bit image as other files do, else by tifffile, which reads it whole."""
    import tifffile

    with tifffile.TiffFile(stream) as file:
        page = file.pages.first
        _check_size(path, page.imagewidth, page.imagelength, most)
        turn = int(page.tags.valueof(ORIENTATION, default=1))
        extra = [int(kind) for kind in page.extrasamples]
        plain = _of_plain_tiff(path, stream, turn) if ASSOCIATED not in extra else None
        if plain is not None:
            return plain
        # Subfile type 1 (tag 254): a reduced copy of another page.
        pages = sum(isinstance(one, tifffile.TiffPage) and not one.is_reduced for one in file.pages)
        if pages > 1:
            raise UnsupportedImage(
                f"{path} has {pages} pages: save each as a file; or, if they are channels, as one page with all of them"
            )
        colours, codec = (known(number).name for known, number in (
            (tifffile.PHOTOMETRIC, page.photometric), (tifffile.COMPRESSION, page.compression)
        ))  # fmt: skip
        if colours not in ("MINISBLACK", "RGB"):
            raise UnsupportedImage(
                f"{path} is a TIFF of mode {colours}, which is not read; convert it to RGB or grey first"
            )
        try:
            array = page.asarray()
        except Exception as error:  # tifffile and its codecs raise whatever a damaged file leads them to
            raise DataError(
                f"{path} cannot be read as an image: {error} (a TIFF with {codec} compression: unless the file is "
                "damaged, save it without compression, or with deflate, as tiffcp -c zip does)"
            ) from None
        pixels = _with_channels(np.moveaxis(array, 0, -1) if page.axes.startswith("S") else array, path)
    alpha = len(extra) == 1 and extra[0] in (ASSOCIATED, UNASSOCIATED)
    return Stored(path, pixels, alpha=alpha, turn=turn, premultiplied=extra == [ASSOCIATED])


ASSOCIATED, UNASSOCIATED = 1, 2
"""The two kinds of alpha among a TIFF's extra samples: colours are multiplied by the first."""


def _of_plain_tiff(path: Path, stream: BinaryIO, turn: int) -> Stored | None:
    """A TIFF of one image of up to 8 bits, unsigned; None for others, which Pillow does not read, or not whole."""
    stream.seek(0)
    try:
        with Image.open(stream, formats=["TIFF"]) as image:
            tags = image.getexif()
            bits, signs = (_flat(tags.get(tag, default)) for tag, default in ((258, 8), (339, 1)))
            channels = 1 if image.mode == "P" else len(image.getbands())
            whole = tags.get(277, 1) == channels and getattr(image, "n_frames", 1) == 1
            plain = max(bits) <= 8 and set(signs) == {1} and whole
            if not plain or image.mode not in ("1", "L", "P", "RGB", "RGBA", "LA", "CMYK"):
                return None
            found = _of_picture(path, image, stream)
    except UnsupportedImage:
        raise
    except Exception:  # a codec that Pillow lacks, or a damaged file: tifffile says what is wrong
        return None
    # Pillow turns a TIFF when it decodes it: here it lies as in the file again.
    return replace(found, pixels=turned(found.pixels, {6: 8, 8: 6}.get(turn, turn)), turn=turn)


def _flat(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (int(value),)
