"""The fingerprint of a pair: two kilobytes, enough to compare it with all the others without its images."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageStat

from p2pbench.curation.check.alignment import Shift, align_edges, edge_map, is_smooth, reduction
from p2pbench.data.images import Images

BLANK = 2.0
"""An image is blank if no channel's standard deviation reaches this many of 255 levels; a line on white paper does."""


LABELS = 64
"""Maximum colours of a set of label maps. Cityscapes has 35; photographs, and JPEG of labels, have thousands."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    split: str
    file: str
    """The file of the pair, that of A if there are two, relative to the data set's folder."""
    modes: str
    """The modes in which the files are stored, as in ``L+RGB``."""
    size: tuple[int, int]
    """Width and height of A and of B."""
    content: tuple[bytes, bytes]
    """A hash of the pixels of A and of B."""
    difference_hash: np.ndarray
    """:func:`difference_hash` of A and of B, (2,), uint64."""
    thumbnail: np.ndarray
    """A and B in grey, (2, 16, 16), uint8."""
    look: np.ndarray
    """:func:`look_of` A and of B, (2, 4), float32."""
    colours: tuple[frozenset[int] | None, frozenset[int] | None]
    """The colours of A and of B where there are few, as :func:`few_colours` gives them."""
    blank: tuple[bool, bool]
    smooth: tuple[bool, bool]
    """Whether A and B have no edges that could fit."""
    shift: Shift
    unshifted_score: float
    """How well the edges of A and B fit without a shift, in the units of :mod:`p2pbench.curation.check.alignment`."""
    seam: float | None
    """How much the two halves of a side-by-side file differ where they meet, against columns nearby; see `seam_of`."""
    read: Callable[[], Images]
    """Reads the pair again, for the few pairs that need a second look."""


def take(split: str, file: str, modes: str, images: Images, read: Callable[[], Images], joined: bool) -> Fingerprint:
    """The fingerprint of A and B, which are halves of one file if ``joined``."""
    a, b = images
    greys = _grey(a), _grey(b)  # once for all that looks at them
    edges = edge_map(greys[0]), edge_map(greys[1])
    shift, unshifted_score = align_edges(*edges, reduction(a))
    thumbnail = np.stack([_cells(grey, 16, 16) for grey in greys])
    return Fingerprint(
        split=split,
        file=file,
        modes=modes,
        size=(a.shape[1], a.shape[0]),
        content=(content_of(a), content_of(b)),
        difference_hash=np.array([difference_hash(grey) for grey in greys], np.uint64),
        thumbnail=thumbnail,
        look=np.stack([look_of(a, greys[0]), look_of(b, greys[1])]),
        colours=(few_colours(a), few_colours(b)),
        blank=(is_blank(a, thumbnail[0]), is_blank(b, thumbnail[1])),
        smooth=(is_smooth(edges[0]), is_smooth(edges[1])),
        shift=shift,
        unshifted_score=unshifted_score,
        seam=seam_of(a, b) if joined else None,
        read=read,
    )


def content_of(image: np.ndarray) -> bytes:
    """A hash of size and pixels, 16 bytes: equal for two files that decode to the same image."""
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).digest()[:16]


def difference_hash(image: np.ndarray) -> np.uint64:
    """Sixty-four bits, each whether the grey image gets brighter from one of 9x8 cells to the next (dHash, N. Krawetz).

    Brighter means three levels at least: in the flat parts of label maps the noise of JPEG would decide otherwise.
    """
    cells = _cells(image, 9, 8).astype(np.int16)
    return np.packbits(np.diff(cells, axis=1) > 2).view(np.uint64)[0]  # type: ignore[no-any-return]


def _grey(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).convert("L"))


def _cells(image: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).convert("L").resize((width, height), Image.Resampling.BOX))


def look_of(image: np.ndarray, grey: np.ndarray | None = None) -> np.ndarray:
    """Four statistics by which photographs, drawings and label maps are told apart, (4,), float32.

    They are the entropy of the colours in bits (of 16 levels a channel, so that JPEG does not add many), the mean
    saturation, the mean step between neighbouring pixels and the mean brightness, the last three in levels of 255.
    ``grey`` is the image in grey, (H, W), where it is known.
    """
    every = reduction(image)  # of a large image some pixels tell as much
    red, green, blue = np.ascontiguousarray(image[::every, ::every].transpose(2, 0, 1))
    colour = (red >> 4).astype(np.intp) << 8 | (green & 0xF0).astype(np.intp) | blue >> 4
    share = np.bincount(colour.ravel()) / red.size
    share = share[share > 0]
    saturation = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    levels = (_grey(image) if grey is None else grey)[::every, ::every].astype(np.float32)
    step = np.abs(np.diff(levels, axis=0)).mean() if len(levels) > 1 else 0.0
    return np.array([-(share * np.log2(share)).sum(), saturation.mean(), step, levels.mean()], np.float32)


def few_colours(image: np.ndarray) -> frozenset[int] | None:
    """The colours of ``image``, each as red * 65536 + green * 256 + blue; None where there are more than LABELS."""
    for every in (8 * reduction(image), reduction(image)):  # a photograph shows at the first look
        red, green, blue = image[::every, ::every].astype(np.int32).transpose(2, 0, 1)
        found = np.unique(red << 16 | green << 8 | blue)
        if len(found) > LABELS:
            return None
    return frozenset(found.tolist())


def is_blank(image: np.ndarray, thumbnail: np.ndarray) -> bool:
    """Whether it is of one colour, or nearly; ``thumbnail``, which varies less than the image, clears most at once."""
    return float(thumbnail.std()) < BLANK and max(ImageStat.Stat(Image.fromarray(image)).stddev) < BLANK


def seam_of(a: np.ndarray, b: np.ndarray) -> float:
    """The step from A's last column to B's first, over the median step between the eight columns on either side.

    About 1 within a photograph, 11 (median) between a facade and its labels.
    """
    columns = np.concatenate([a[:, -9:], b[:, :9]], axis=1).astype(np.float32)
    steps = np.abs(np.diff(columns, axis=1)).mean(axis=(0, 2))
    middle = a[:, -9:].shape[1] - 1
    return float((steps[middle] + 0.5) / (np.median(np.delete(steps, middle)) + 0.5)) if len(steps) > 1 else np.inf
