"""How much of their colours two sets of images have in common (pix2pix §4.2, Figure 7)."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from p2pbench.scoring.images import Images, batches
from p2pbench.scoring.jackknife import pseudo_values
from p2pbench.scoring.paired import NUMPY, MetricResult, over_images
from p2pbench.scoring.set_scores import SetResult, of_set
from p2pbench.system.hardware import on_all_cores

BINS = ((0, 100), (-110, 110), (-110, 110))
"""The first and the last bin of L, a and b. Bins are one unit wide with whole numbers in their middle, so that a and b
of a grey fall into one bin despite rounding. The paper does not say which bins it uses."""

COLOURS = tuple(f"hist-{channel}{of}" for of in ("", "-set") for channel in "lab")
"""The scores that :class:`Overlaps` are."""

SETTINGS: dict[str, Any] = {"space": "CIE L*a*b*, D65", "bin": 1, "library": NUMPY}
"""What is recorded with every score of colours."""

STRIP = 2**14
"""Pixels that are converted at once: few enough to stay in a core's cache."""

CODED = np.arange(256) / 255
LINEAR = np.where(CODED > 0.04045, ((CODED + 0.055) / 1.055) ** 2.4, CODED / 12.92)
"""The linear intensity of each 8-bit value of sRGB (IEC 61966-2-1)."""
TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
) / np.array([[0.95047], [1.0], [1.08883]])
"""From linear RGB to XYZ relative to the white D65 of the 2 degree observer, with scikit-image's constants."""


class Overlaps:
    """Intersections of the histograms of L, a and b (pix2pix §4.2): the sum over bins of the smaller share.

    Of each image with its target they are the scores ``hist-l``, ``hist-a`` and ``hist-b``, and of all together, as the
    paper has them, ``hist-l-set`` and so on: a :class:`paired.Measure`.
    """

    def __init__(self) -> None:
        self._ours, self._theirs = (np.zeros((3, BINS[1][1] - BINS[1][0] + 1)) for _ in range(2))
        self.per_image: list[np.ndarray] = []
        """The intersections of each image with its target, (3,), in [0, 1]."""
        self._shares: list[tuple[np.ndarray, np.ndarray]] = []
        """The histograms of each batch of outputs and of targets, (B, 3, bins), float32: 5 KB an image."""

    def add(self, fakes: np.ndarray, targets: np.ndarray) -> None:
        ours, theirs = (np.stack(on_all_cores(_shares, images)) for images in (fakes, targets))
        self.per_image.extend(_shared(ours, theirs))
        self._shares.append((ours.astype(np.float32), theirs.astype(np.float32)))
        self._ours += ours.sum(axis=0)
        self._theirs += theirs.sum(axis=0)

    def over_set(self) -> np.ndarray:
        """The intersections of all images together with all targets, (3,), in [0, 1], as in Figure 7."""
        return _shared(self._ours, self._theirs) / len(self.per_image)

    def left_out(self) -> np.ndarray:
        """:meth:`over_set` without each image and its target in turn, (N, 3); N >= 2."""
        without = [
            _shared(np.maximum(self._ours - ours, 0), np.maximum(self._theirs - theirs, 0))
            for ours, theirs in self._shares
        ]
        return np.concatenate(without) / (len(self.per_image) - 1)

    def results(self, _targets: Images, common: dict[str, Any]) -> Iterable[MetricResult]:
        """The six scores, once every batch is taken in."""
        each, n = np.stack(self.per_image), len(self.per_image)
        settings = {**SETTINGS, **common}
        left_out = self.left_out().T if n > 1 else [None] * 3
        for name, values, over_set, without in zip("lab", each.T, self.over_set(), left_out, strict=True):
            yield over_images(f"hist-{name}", values, {**settings, "over_set": float(over_set)})
            pseudo = "there is one image" if without is None else pseudo_values(float(over_set), without)
            yield of_set(f"hist-{name}-set", n, SetResult(float(over_set), {}, pseudo), settings)

    def shares(self) -> tuple[np.ndarray, np.ndarray]:
        """The histograms of all outputs together and of all targets: the share of the pixels in each bin, (3, bins)."""
        return self._ours / len(self.per_image), self._theirs / len(self.per_image)


def overlap_of_sets(fakes: Images, targets: Images) -> np.ndarray:
    """The intersections of all images together with all targets, (3,), in [0, 1]: sets of any two numbers of images.

    Args:
        fakes, targets: (N, H, W, 3) and (M, H, W, 3), uint8; each image counts as much as the others of its set.
    """
    ours, theirs = (
        np.sum([share for (batch,) in batches(images) for share in on_all_cores(_shares, batch)], axis=0) / len(images)
        for images in (fakes, targets)
    )
    return _shared(ours, theirs)


def lab(pixels: np.ndarray) -> np.ndarray:
    """sRGB, (M, 3), uint8, to L*a*b*, (3, M), float64: the values of scikit-image in a fifth of its time."""
    relative = TO_XYZ @ LINEAR.take(pixels).T
    dark = relative <= 0.008856
    line = 7.787 * relative[dark] + 16 / 116
    x, y, z = curve = np.cbrt(relative, out=relative)
    curve[dark] = line
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _shared(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return np.asarray(np.minimum(ours, theirs).sum(axis=-1))


def _shares(image: np.ndarray) -> np.ndarray:
    """The share of an image's pixels in each bin of L, a and b, (3, bins); the image is (H, W, 3), uint8."""
    pixels = image.reshape(-1, 3)
    counts = np.zeros((3, BINS[1][1] - BINS[1][0] + 1))
    for start in range(0, len(pixels), STRIP):
        for row, channel, (low, high) in zip(counts, lab(pixels[start : start + STRIP]), BINS, strict=True):
            bins = (channel + (0.5 - low)).astype(np.intp)
            row[: high - low + 1] += np.bincount(bins, minlength=high - low + 1)
    return counts / len(pixels)
