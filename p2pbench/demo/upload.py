"""A picture that somebody sent, decoded with care, and a picture to send back."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from p2pbench.data.image_files import pixels_of
from p2pbench.data.images import as_rgb8
from p2pbench.errors import DataError

MAX_BYTES = 10 * 2**20
MAX_PIXELS = 2048 * 2048
FORMATS = ("PNG", "JPEG", "WEBP")
NAME = Path("the picture")
"""What messages call it: the name it came with is none of the server's business."""


class Refused(Exception):
    """Why a request is not answered with a picture, and the HTTP status that says so."""

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        """After how many seconds it is worth another try."""


def decode(content: bytes, background: str) -> np.ndarray:
    """The picture in ``content``, (H, W, C), uint8, or uint16 of a grey PNG; on ``background`` where transparent.

    Only PNG, JPEG and WebP are looked at, and only up to ``MAX_PIXELS``, which their header says before any is decoded.

    Raises:
        Refused: 400 empty, 413 too many pixels, 415 another kind of file, 422 damaged or of a kind that is not read.
    """
    if not content:
        raise Refused(400, "the picture is empty: zero bytes")
    try:
        opened = Image.open(io.BytesIO(content), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refused(413, f"the picture is far larger than {MAX_PIXELS:,} pixels; scale it down first") from None
    except Exception:  # whatever a damaged header leads Pillow to
        raise Refused(415, "this is no picture that is read here; send a PNG, JPEG or WebP file") from None
    with opened as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise Refused(
                413, f"the picture is {width}x{height}; at most {MAX_PIXELS:,} pixels are taken: scale it down first"
            )
        if image.format == "PNG" and content[24:25] == b"\x10" and image.mode != "I;16":
            raise Refused(422, "the picture has 16 bits of colour, of which 8 would be cut off; send 8 bits")
        try:
            return pixels_of(image, NAME, background)
        except DataError as error:
            raise Refused(422, str(error)) from None
        except Exception:
            raise Refused(422, "the picture is damaged and cannot be decoded") from None


def encode(image: np.ndarray) -> bytes:
    """(H, W, C), uint8 or uint16, as an 8-bit RGB PNG, compressed fast rather than small."""
    stream = io.BytesIO()
    Image.fromarray(as_rgb8(image)).save(stream, "PNG", compress_level=1)
    return stream.getvalue()
