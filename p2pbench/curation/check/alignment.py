"""How far B is shifted against A, and how certain that is: the phase correlation of their edges.

A and B of a pair seldom share colours, but they share edges. The correlation surface of their edge maps, in units of
its own standard deviation, peaks at the shift; elsewhere, and for images that have nothing to do with each other, it
is noise. On facades (606 pairs, 256x256) own mates reach 9.5 in the median, the images of different pairs 4.2, at most
6.0, at any shift, and 1.2, at most 4.3, within two pixels of none.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import fft, ndimage

WORKING_SIZE = 256
"""Side in pixels: larger images are reduced by a whole factor until their longer side is less than twice this."""

SMOOTH = 0.4
"""The deviation of edges, over their mean, below which an image has none. Photographs have 0.6 and more, maps of smooth
depth 0.3 and less (tests/curation/check/false_alarms.py)."""


class Shift(NamedTuple):
    """B's content lies ``dy`` pixels below and ``dx`` to the right of A's; ``score`` is the height of the peak."""

    dy: int
    dx: int
    score: float


def edge_map(image: np.ndarray) -> np.ndarray:
    """Strength of the edges of ``image``, (H, W, 3) or grey, uint8, over its mean, less 1: (h, w), float32.

    It is all 0 if the image is blank.
    """
    grey = Image.fromarray(image).convert("L").reduce(reduction(image))
    dy, dx = np.gradient(np.asarray(grey, np.float32)) if min(grey.size) > 1 else np.zeros((2, 1, 1), np.float32)
    strength = np.hypot(dy, dx)
    # Cut off, so that a few hard edges do not hide all others.
    strength = np.minimum(strength, 4 * strength.mean())
    relative = strength / max(float(strength.mean()), 1e-6)
    return np.asarray(relative - relative.mean())


def is_smooth(edges: np.ndarray) -> bool:
    """Whether an image has no edges to fit, by its :func:`edge_map`, as a depth map of few objects has none."""
    return bool(edges.std() < SMOOTH)


def reduction(image: np.ndarray) -> int:
    """The factor by which ``image`` is reduced before its edges are looked at."""
    factor: int = max(image.shape[:2]) // WORKING_SIZE
    return max(1, factor)


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The correlation of two edge maps at every cyclic shift of b against a, (h, w), in standard deviations.

    The cross spectrum is divided by the root of its magnitude: between plain correlation, whose peak is as broad as the
    structures in the image, and full whitening, which lets the noise of empty frequencies speak as loud as the edges.
    It found the shift of more facades (82 % within 2 pixels) than either (74 %, 78 %).
    """
    cross = np.conj(fft.rfft2(a)) * fft.rfft2(b)
    cross /= np.sqrt(np.abs(cross)) + 1e-9
    smooth = ndimage.fourier_gaussian(cross, 1.0, n=a.shape[1])  # edges of A and B may lie a pixel apart
    surface: np.ndarray = fft.irfft2(smooth, s=a.shape)
    deviation = surface.std()
    return surface / deviation if deviation > 0 else surface


def peak(surface: np.ndarray) -> Shift:
    """The shift with the highest correlation, each part from -size/2 to size/2."""
    position = np.unravel_index(surface.argmax(), surface.shape)
    dy, dx = ((int(p) + n // 2) % n - n // 2 for p, n in zip(position, surface.shape, strict=True))
    return Shift(dy, dx, float(surface.max()))


def score_near(surface: np.ndarray, dy: int, dx: int, radius: int = 2) -> float:
    """The highest correlation within ``radius`` pixels of the shift (dy, dx)."""
    around = np.arange(-radius, radius + 1)
    return float(surface.take(dy + around, 0, mode="wrap").take(dx + around, 1, mode="wrap").max())


def align(a: np.ndarray, b: np.ndarray) -> tuple[Shift, float]:
    """The shift of B against A, both (H, W, 3) or grey, uint8, in their pixels; and the score of no shift at all."""
    return align_edges(edge_map(a), edge_map(b), reduction(a))


def align_edges(a: np.ndarray, b: np.ndarray, factor: int) -> tuple[Shift, float]:
    """What :func:`align` gives, of the edge maps of images that were reduced by ``factor``."""
    surface = correlation(a, b)
    found = peak(surface)
    return Shift(found.dy * factor, found.dx * factor, found.score), score_near(surface, 0, 0)


def score_at(a: np.ndarray, b: np.ndarray, dy: int, dx: int) -> float:
    """How well B fits A at the shift (dy, dx), in pixels of the images."""
    factor = reduction(a)
    return score_near(correlation(edge_map(a), edge_map(b)), round(dy / factor), round(dx / factor))
