"""A picture that somebody sent, decoded with care, and a picture to send back."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from p2pbench.data.image_files import NoImage, TooLarge, read
from p2pbench.data.images import Stored, as_rgb8
from p2pbench.errors import DataError, UnsupportedImage

MAX_BYTES = 10 * 2**20
MAX_PIXELS = 2048 * 2048
NAME = Path("the picture")
"""What messages call it: the name it came with is none of the server's business."""


class Refused(Exception):
    """Why a request is not answered with a picture, and the HTTP status that says so."""

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        """After how many seconds it is worth another try."""


def decode(content: bytes) -> Stored:
    """The picture in ``content``, read as every command reads its files.

    At most ``MAX_PIXELS`` are taken, which its header says before any is decoded.

    Raises:
        Refused: 400 empty, 413 too many pixels, 415 of a kind that is not read, 422 damaged.
    """
    if not content:
        raise Refused(400, "the picture is empty: zero bytes")
    try:
        return read(NAME, content, most=MAX_PIXELS)
    except TooLarge as error:
        raise Refused(413, str(error)) from None
    except (NoImage, UnsupportedImage) as error:
        raise Refused(415, str(error)) from None
    except DataError as error:
        raise Refused(422, str(error)) from None


def encode(image: np.ndarray) -> bytes:
    """(H, W, C), uint8 or uint16, as an 8-bit RGB PNG, compressed fast rather than small."""
    stream = io.BytesIO()
    Image.fromarray(as_rgb8(image)).save(stream, "PNG", compress_level=1)
    return stream.getvalue()
