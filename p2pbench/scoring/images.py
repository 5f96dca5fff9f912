"""Sets of images that need not be in memory: read, translated or mapped batch by batch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114])
"""Rec. 601's weights of red, green and blue."""

BATCH_PIXELS = 2**21
"""Pixels of one batch, which bounds the memory of a pass: 32 images of 256x256, fewer of larger ones."""


class Images(Protocol):
    """Images of one size, (N, H, W, C), uint8: an array, or an object that gives slices of one."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


@dataclass(frozen=True)
class LazyImages:
    """Images that are computed each time they are asked for."""

    shape: tuple[int, ...]
    """(N, H, W, C)."""
    make: Callable[[int, int], np.ndarray]
    """Gives the images from one row up to, but not including, another."""

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        start, stop, _ = rows.indices(len(self))
        return self.make(start, stop)


def batches(*sets: Images) -> Iterator[tuple[np.ndarray, ...]]:
    """The same rows of each of ``sets``, which have one size, batch by batch, in order."""
    n, height, width = sets[0].shape[:3]
    size = max(1, min(32, BATCH_PIXELS // (height * width)))
    for start in range(0, n, size):
        yield tuple(images[start : start + size] for images in sets)
