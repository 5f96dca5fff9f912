"""Sets of images that need not be in memory: read, translated or mapped batch by batch."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from p2pbench.data.image_files import read
from p2pbench.data.images import Wanted, as_scored, as_wanted

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


def digest(images: Images) -> str:
    """A hash of the pixels: two scores are of one thing where their targets have the same."""
    found = hashlib.sha256()
    for (batch,) in batches(images):
        found.update(np.ascontiguousarray(batch).data)
    return found.hexdigest()[:16]


def scored(path: Path, wanted: Wanted) -> np.ndarray:
    """An image file as it is scored, (H, W, C), uint8: what training would make of it, in 8 bits, grey as RGB.

    Raises:
        UnsupportedImage: it needs another setting, which is named. DataError: it cannot be read.
    """
    return as_scored(as_wanted(read(path), wanted))


def of_files(files: Sequence[Path], shape: tuple[int, ...], wanted: Wanted) -> LazyImages:
    """The images in ``files``, all (H, W, C), a ``shape``, as :func:`scored` reads them when they are asked for."""

    def rows(start: int, stop: int) -> np.ndarray:
        with ThreadPoolExecutor() as pool:
            return np.stack(list(pool.map(partial(scored, wanted=wanted), files[start:stop])))

    return LazyImages((len(files), *shape), rows)


TO_UINT8 = {
    "f": "of values in [0, 1] that is (images * 255).round().clip(0, 255).astype(numpy.uint8)",
    "b": "of true and false that is images * numpy.uint8(255)",
    "i": "of values from 0 to 255 that is images.clip(0, 255).astype(numpy.uint8)",
}
"""By the kind of a dtype, how an array becomes one that is scored."""
FROM_16 = "of 16 bits that is ((images.astype(numpy.uint32) + 128) // 257).astype(numpy.uint8)"


def of_caller(images: Any, what: str) -> np.ndarray:
    """A caller's ``images`` as scores take them, (N, H, W, 3), uint8: grey, (N, H, W, 1), is repeated to RGB.

    Args:
        what: what the caller calls them, for messages.
    Raises:
        ValueError: they are something else; says what, and how they become what is taken.
    """
    rule = "scores take (N, H, W, 3), or (N, H, W, 1) for grey, uint8"
    if not isinstance(images, np.ndarray):
        way = "numpy.stack(images) of images of one size" if isinstance(images, list | tuple) else "numpy.asarray(...)"
        raise ValueError(f"{what} is a {type(images).__name__}: {rule}, one array, as {way} gives")
    shape = images.shape
    if images.ndim != 4 or 0 in shape:
        hint = ""
        if images.ndim == 3:
            hint = "; one image is image[None]" if shape[2] in (1, 3) else "; of grey images give images[..., None]"
        raise ValueError(f"{what} has the shape {shape}: {rule}{hint}")
    if shape[3] not in (1, 3):
        hint = f"; {shape[3]} channels are another kind of image"
        if shape[1] in (1, 3):
            hint = "; where the channels come first, give numpy.moveaxis(images, 1, -1)"
        elif shape[3] == 4:
            hint = "; RGBA is composited on a background first, or images[..., :3] taken where it is opaque"
        raise ValueError(f"{what} has the shape {shape}: {rule}{hint}")
    if images.dtype != np.uint8:
        hint = TO_UINT8.get(images.dtype.kind, TO_UINT8["i"])
        raise ValueError(f"{what} is {images.dtype}: {rule}; {hint if images.dtype != np.uint16 else FROM_16}")
    return as_scored(images)
