"""Sliced Wasserstein distance between the patches of two sets of images, by scale (Karras et al. 2018, §5).

No pretrained network: a random neighbourhood is described by its pixels in a level of the Laplacian pyramid. The random
numbers are keyed by the level and the image's content, so neither the order of the images nor the other set matters.
"""

import hashlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from p2pbench.scoring.images import Images
from p2pbench.scoring.jackknife import groups, pseudo_values
from p2pbench.scoring.paired import NUMPY, MetricResult
from p2pbench.scoring.set_scores import SetResult, of_set
from p2pbench.system.hardware import available_cores, on_all_cores

LEAST_SIDE = 16
"""The smallest side of the coarsest level, in pixels."""
SIDE = 7
PATCHES = 128
"""The most patches of each image and level."""
DIRECTIONS = 512
"""Karras et al. average 4 times 128."""
DIRECTIONS_LEFT_OUT = 64
"""Those along which it is measured without each group: 1.5 times the distance's time where all would take 9 times. On
the facades the pseudo-values correlate with those along all by 0.91 to 0.96."""

MOST_DESCRIPTORS = 2**16
"""The most descriptors of one set and level, which bounds the memory: 128 patches of 512 images, or fewer of more."""

BLOCK = 128
"""Directions that are projected on at once, which bounds the memory of the projections."""
KEY_OF_DIRECTIONS = 2018
BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16
"""The filter by which Burt and Adelson smooth before they leave out every other sample."""


class Sliced:
    """The distance between two sets that come batch by batch: a :class:`paired.Measure`."""

    def __init__(self, n: int, height: int, width: int) -> None:
        """The distance of sets of ``n`` images each, whose sides have 16 pixels or more."""
        self.sizes = level_sizes(height, width)
        self.patches = min(PATCHES, max(1, MOST_DESCRIPTORS // n))
        """The number of patches of each image and level."""
        self._ours, self._theirs = (
            [np.empty((n, self.patches, 3, SIDE * SIDE), dtype=np.float32) for _ in self.sizes] for _ in range(2)
        )
        self._filled = 0

    @property
    def settings(self) -> dict[str, int]:
        return {"patch": SIDE, "patches_per_image": self.patches, "directions": DIRECTIONS}

    def add(self, fakes: np.ndarray, targets: np.ndarray) -> None:
        """Take in a batch; both (B, H, W, 3), uint8."""

        def fill(kept: list[np.ndarray], row: int, image: np.ndarray) -> None:
            for level, found in enumerate(_patches(image, self.sizes, self.patches)):
                kept[level][row] = found

        rows = range(self._filled, self._filled + len(fakes))
        for kept, images in ((self._ours, fakes), (self._theirs, targets)):
            on_all_cores(partial(fill, kept), rows, images)
        self._filled += len(fakes)

    def distances(self) -> tuple[dict[str, float], np.ndarray]:
        """The distance at each level of the pyramid, finest first. It uses up the patches: call it once.

        Returns:
            Distances by the level's size, such as ``256x256``, in thousandths of a standard deviation: descriptors have
            mean 0 and deviation 1 in each channel, in each set. Equal sets are at distance 0; samples of one
            distribution are above 0, the more the smaller they are. And the mean over levels without each of the ten
            :func:`groups` of images, (10,), fewer for fewer images: what leaving them out changes is measured along
            the first 64 directions alone.
        """
        found, left_out = {}, []
        for level, (height, width) in enumerate(self.sizes):
            ours, theirs = (sets.pop(0) for sets in (self._ours, self._theirs))
            changes = _changes(ours, theirs, level)
            found[f"{height}x{width}"] = distance = 1000 * _distance(_normalised(ours), _normalised(theirs), level)
            left_out.append(distance + 1000 * changes)
        return found, np.mean(left_out, axis=0)

    def result(self) -> SetResult:
        """The score ``swd``, the mean over levels. It uses up the patches too."""
        by_level, left_out = self.distances()
        value = float(np.mean(list(by_level.values())))
        own = {**self.settings, "levels": by_level, "library": NUMPY}
        return SetResult(value, own, pseudo_values(value, left_out))

    def results(self, _targets: Images, common: dict[str, Any]) -> Iterable[MetricResult]:
        yield of_set("swd", self._filled, self.result(), common)


def level_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """(height, width) of each level: halved, rounded up, as long as both sides have 16 pixels or more."""
    sizes = [(height, width)]
    while min(half := (-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2))) >= LEAST_SIDE:
        sizes.append(half)
    return sizes


def _distance(ours: np.ndarray, theirs: np.ndarray, level: int) -> float:
    """Mean over random directions of the Wasserstein-1 distance along them; both (M, d), the same shape."""
    directions = _directions(level, ours.shape[1])

    def gaps(along_ours: np.ndarray, along_theirs: np.ndarray) -> float:
        along_ours.sort(axis=1)
        along_theirs.sort(axis=1)
        along_ours -= along_theirs
        return float(np.abs(along_ours, out=along_ours).mean(axis=1, dtype=np.float64).sum())

    total = 0.0
    for start in range(0, DIRECTIONS, BLOCK):
        block = directions[start : start + BLOCK]  # a product has threads of its own; the sorting has not
        shares = (np.array_split(block @ descriptors.T, available_cores()) for descriptors in (ours, theirs))
        total += sum(on_all_cores(gaps, *shares))
    return total / DIRECTIONS


def _changes(ours: np.ndarray, theirs: np.ndarray, level: int) -> np.ndarray:
    """By how much the distance along the first 64 directions differs without each group of images: (groups,).

    Args:
        ours, theirs: neighbourhoods (N, P, C, 49), float32, as they come. Instead of them the directions are
            normalised, for the images that are left.
    """
    n, patches, channels, size = ours.shape
    directions = _directions(level, channels * size)[:DIRECTIONS_LEFT_OUT]
    by_channel = directions.reshape(-1, channels, size)

    def along(of: np.ndarray, moments: np.ndarray, there: np.ndarray) -> np.ndarray:
        mean, deviation = _mean_and_deviation(moments[:, there].sum(axis=1), there.sum() * patches * size)
        scaled = by_channel / deviation[:, None]
        values = scaled.reshape(len(scaled), -1) @ of.reshape(n * patches, -1).T
        values -= (scaled.sum(axis=2) @ mean)[:, None]
        return np.sort(values[:, np.repeat(there, patches)], axis=1)

    sets = [(of, np.stack([of.sum((1, 3), np.float64), (of**2).sum((1, 3), np.float64)])) for of in (ours, theirs)]

    def distance(there: np.ndarray) -> float:
        one, other = (along(of, moments, there) for of, moments in sets)
        return float(np.abs(one - other).mean(dtype=np.float64))

    whole = distance(np.ones(n, dtype=bool))
    others = [~np.isin(np.arange(n), group) for group in groups(n)]
    return np.array(on_all_cores(distance, others)) - whole


def _directions(level: int, size: int) -> np.ndarray:
    """The unit vectors of a level, (512, size), float32."""
    directions = _random(KEY_OF_DIRECTIONS, level).standard_normal((DIRECTIONS, size), dtype=np.float32)
    return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))


def _mean_and_deviation(moments: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each channel, float32 each, from sums of values and of squares, (2, C); a deviation of 0 becomes 1."""
    mean = moments[0] / count
    deviation = np.sqrt(np.maximum(moments[1] / count - mean**2, 0))
    return mean.astype(np.float32), np.where(deviation > 0, deviation, 1).astype(np.float32)


def _normalised(patches: np.ndarray) -> np.ndarray:
    """Neighbourhoods (N, P, C, 49), float32, with mean 0 and deviation 1 in each channel, in place: (N * P, C * 49).

    A channel that is the same everywhere becomes 0.
    """
    moments = np.zeros((2, patches.shape[2]))
    for found in patches:
        moments += found.sum(axis=(0, 2), dtype=np.float64), (found**2).sum(axis=(0, 2), dtype=np.float64)
    mean, deviation = _mean_and_deviation(moments, patches.size // patches.shape[2])
    patches -= mean[:, None]
    patches /= deviation[:, None]
    return patches.reshape(patches.shape[0] * patches.shape[1], -1)


def _patches(image: np.ndarray, sizes: list[tuple[int, int]], count: int) -> Iterator[np.ndarray]:
    """``count`` neighbourhoods of ``image``, (H, W, C), at each level of its pyramid, finest first: (count, C, 49)."""
    key = int.from_bytes(hashlib.blake2b(image.tobytes(), digest_size=8).digest())
    for level, detail in enumerate(_laplacian(image, sizes)):
        random = _random(key, level)
        y, x = (random.integers(0, side - SIDE + 1, PATCHES)[:count] for side in detail.shape[1:])
        windows = np.lib.stride_tricks.sliding_window_view(detail, (SIDE, SIDE), axis=(1, 2))  # (C, h - 6, w - 6, 7, 7)
        yield windows[:, y, x].swapaxes(0, 1).reshape(count, len(detail), -1)


def _laplacian(image: np.ndarray, sizes: list[tuple[int, int]]) -> Iterator[np.ndarray]:
    """The Laplacian pyramid of ``image`` (Burt and Adelson 1983), finest level first: (C, h, w), float32.

    The last level is what is left, not a difference.
    """
    smooth = np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)  # filtered faster than channels last
    for size in sizes[:-1]:
        coarser = _halved(smooth)
        yield smooth - _doubled(coarser, size)
        smooth = coarser
    yield smooth


def _halved(planes: np.ndarray) -> np.ndarray:
    """Every other sample of smoothed planes, (C, h, w)."""
    return _smoothed(_smoothed(planes, BINOMIAL, 1)[:, ::2], BINOMIAL, 2)[:, :, ::2]


def _doubled(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Planes with zeros between the samples, smoothed by twice the filter along both axes: (C, *size)."""
    rows = np.zeros((len(planes), size[0], planes.shape[2]), dtype=np.float32)
    rows[:, ::2] = planes
    spread = np.zeros((len(planes), *size), dtype=np.float32)
    spread[:, :, ::2] = _smoothed(rows, 2 * BINOMIAL, 1)
    return _smoothed(spread, 2 * BINOMIAL, 2)


def _smoothed(planes: np.ndarray, taps: np.ndarray, axis: int) -> np.ndarray:
    """Planes filtered along one axis; the border is mirrored about the outermost sample."""
    from scipy.ndimage import correlate1d  # half a second, in every job

    return np.asarray(correlate1d(planes, taps, axis, mode="mirror"))


def _random(key: int, level: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([key, level], dtype=np.uint64)))
