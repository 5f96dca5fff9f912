"""Sliced Wasserstein distance between the patches of two sets of images, by scale (Karras et al. 2018, §5).

No pretrained network: a random neighbourhood is described by its pixels in a level of the Laplacian pyramid. The random
numbers are keyed by the level and the image's content, so neither the order of the images nor the other set matters.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.ndimage import correlate1d

LEAST_SIDE = 16
"""Of the coarsest level, in pixels."""
SIDE = 7
PATCHES = 128
"""Of each image and level."""
DIRECTIONS = 512
"""Karras et al. average 4 times 128."""

SETTINGS = {"patch": SIDE, "patches_per_image": PATCHES, "directions": DIRECTIONS}

BLOCK = 16
"""Directions at once: what bounds the memory of the projections."""
BINOMIAL = np.array([1, 4, 6, 4, 1], dtype=np.float32) / 16
KEY_OF_DIRECTIONS = 2018


def sliced_wasserstein(fakes: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Distance at each level of the pyramid, finest first, times 1000; 0 for equal sets.

    Args:
        fakes, targets: (N, H, W, 3), uint8, the same shape, sides of 16 or more.
    Returns:
        By the level's size, as ``256x256``. In thousandths of a standard deviation: descriptors have mean 0 and
        deviation 1 in each channel, in each set. Samples of one distribution are at a distance above 0, the more the
        fewer.
    """
    sizes = level_sizes(fakes.shape[1], fakes.shape[2])
    distances = {}
    for level, (height, width) in enumerate(sizes):
        # No name holds the descriptors: at 10,000 images they are 750 MB for each set and level.
        distance = _distance(_descriptors(fakes, level, sizes), _descriptors(targets, level, sizes), level)
        distances[f"{height}x{width}"] = 1000 * distance
    return distances


def level_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """(height, width) of each level: halved, rounded up, as long as both sides have 16 pixels or more."""
    sizes = [(height, width)]
    while min(half := (-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2))) >= LEAST_SIDE:
        sizes.append(half)
    return sizes


def _distance(ours: np.ndarray, theirs: np.ndarray, level: int) -> float:
    """Mean over random directions of the Wasserstein-1 distance along them; both (M, d), the same shape."""
    directions = _random(KEY_OF_DIRECTIONS, level).standard_normal((DIRECTIONS, ours.shape[1]), dtype=np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    total = 0.0
    for start in range(0, DIRECTIONS, BLOCK):
        block = directions[start : start + BLOCK]
        along = [block @ descriptors.T for descriptors in (ours, theirs)]
        for values in along:
            values.sort(axis=1)
        along[0] -= along[1]
        total += float(np.abs(along[0]).mean(axis=1, dtype=np.float64).sum())
    return total / DIRECTIONS


def _descriptors(images: np.ndarray, level: int, sizes: list[tuple[int, int]]) -> np.ndarray:
    """Normalised neighbourhoods at one level, (N * 128, 3 * 7 * 7), float32.

    A channel that is the same everywhere becomes 0.
    """
    patches = np.empty((len(images), PATCHES, images.shape[3], SIDE * SIDE), dtype=np.float32)

    def fill(index: int) -> tuple[np.ndarray, np.ndarray]:
        found = _patches(images[index], level, sizes)
        patches[index] = found
        return found.sum(axis=(0, 2), dtype=np.float64), (found**2).sum(axis=(0, 2), dtype=np.float64)

    with ThreadPoolExecutor() as pool:
        sums, squares = (np.sum(values, axis=0) for values in zip(*pool.map(fill, range(len(images))), strict=True))
    count = len(images) * PATCHES * SIDE * SIDE
    mean = sums / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    patches -= mean.astype(np.float32)[:, None]
    patches /= np.where(deviation > 0, deviation, 1).astype(np.float32)[:, None]
    return patches.reshape(len(images) * PATCHES, -1)


def _patches(image: np.ndarray, level: int, sizes: list[tuple[int, int]]) -> np.ndarray:
    """128 neighbourhoods of ``image``, (H, W, C), at one level of its pyramid: (128, C, 49)."""
    detail = _laplacian(image, level, sizes)
    places = _random(int.from_bytes(hashlib.blake2b(image.tobytes(), digest_size=8).digest()), level)
    y, x = (places.integers(0, side - SIDE + 1, PATCHES) for side in detail.shape[1:])
    windows = np.lib.stride_tricks.sliding_window_view(detail, (SIDE, SIDE), axis=(1, 2))  # (C, H - 6, W - 6, 7, 7)
    return windows[:, y, x].swapaxes(0, 1).reshape(PATCHES, len(detail), -1)


def _laplacian(image: np.ndarray, level: int, sizes: list[tuple[int, int]]) -> np.ndarray:
    """One level of the Laplacian pyramid of ``image`` (Burt and Adelson 1983), (C, h, w), float32.

    The last level is what is left, not a difference.
    """
    smooth = np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)  # filtered faster than channels last
    for _ in range(level):
        smooth = _halved(smooth)
    return smooth if level == len(sizes) - 1 else smooth - _doubled(_halved(smooth), sizes[level])


def _halved(planes: np.ndarray) -> np.ndarray:
    columns = np.ascontiguousarray(correlate1d(planes, BINOMIAL, axis=2, mode="mirror")[:, :, ::2])
    return np.ascontiguousarray(correlate1d(columns, BINOMIAL, axis=1, mode="mirror")[:, ::2])


def _doubled(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    spread = np.zeros((len(planes), *size), dtype=np.float32)
    spread[:, ::2, ::2] = planes
    columns = correlate1d(spread, 2 * BINOMIAL, axis=2, mode="mirror")
    return np.asarray(correlate1d(columns, 2 * BINOMIAL, axis=1, mode="mirror"))


def _random(key: int, level: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([key, level], dtype=np.uint64)))
