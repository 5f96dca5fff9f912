"""Decode once: the pairs of a split as one uint8 array on disk, mapped into memory by everyone who needs it.

Keyed by the content of the data and by what was done to them, so a changed image is never answered from an old array.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from filelock import FileLock

from p2pbench.data.dataset import DataSet
from p2pbench.data.reading import Reader, readers
from p2pbench.data.resize import resize
from p2pbench.errors import DataError, StorageError
from p2pbench.files import atomic
from p2pbench.home import home

Progress = Callable[[int, int], None]
"""Called with (pairs done, pairs in all)."""
DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16))


def decoded(dataset: DataSet, split: str, progress: Progress | None = None) -> np.ndarray:
    """The pairs of ``split``, (N, H, W, C + C'), uint8 or uint16: the condition's channels, then the target's.

    They are as large as ``load_size`` for training with jitter, which crops at random, and as ``crop_size`` for
    everything else. The array is mapped from the cache; a first call decodes and writes it.

    Raises:
        DataError: an image that cannot be read (named). Nothing is left in the cache then.
        StorageError: the cache cannot be written.
    """
    config = dataset.config
    size = config.load_shape if split == "train" and config.jitter else config.crop_shape
    how = (config.resize_filter, config.direction, config.stored, config.range, config.background)
    recipe = f"3:{dataset.key}:{split}:{size}:{how}"
    path = home() / "decoded" / f"{hashlib.sha256(recipe.encode()).hexdigest()[:24]}.npy"
    shape = (len(dataset.names[split]), *size, sum(config.stored))
    array = _load(path, shape)
    if array is not None:
        return array
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"))
        lock.acquire()
    except OSError as error:
        raise StorageError(
            f"{path.parent} cannot be written: {error.strerror}; set P2PBENCH_HOME to a folder that can"
        ) from None
    with lock:
        array = _load(path, shape)  # another process may have made it meanwhile
        if array is None:
            _build(path, shape, dataset, split, size, progress)
            array = _load(path, shape)
    assert array is not None
    return array


def _load(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    try:
        # Copy-on-write, not read-only: torch wraps it without a copy or a warning, and the file stays as it is.
        array: np.ndarray = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None  # absent or damaged: made again
    return array if array.shape == shape and array.dtype in DTYPES else None


def _build(
    path: Path,
    shape: tuple[int, ...],
    dataset: DataSet,
    split: str,
    size: tuple[int, int],
    progress: Progress | None,
) -> None:
    for left_behind in path.parent.glob(f".{path.name}.*.part"):
        left_behind.unlink(missing_ok=True)  # by a process that was killed; this one holds the lock
    with atomic(path) as part, part.open("wb") as stream:
        # Written, not mapped: a full disk is an error here, where a mapped write would kill the process.
        for done, pair in enumerate(_resized(dataset, split, size), start=1):
            if done == 1:
                dtype = pair.dtype
                header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
            if pair.dtype != dtype:
                bits = [8 * kind.itemsize for kind in (pair.dtype, dtype)]
                raise DataError(
                    f"{dataset.names[split][done - 1]!r} has {bits[0]} bits a channel, those before it {bits[1]}: "
                    "nothing is converted silently; convert one kind, or give data.range"
                )
            stream.write(pair.tobytes())
            if progress is not None:
                progress(done, shape[0])


def _resized(dataset: DataSet, split: str, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Each pair as (height, width, C + C'): condition, then target."""
    config = dataset.config

    def read(reader: Reader) -> np.ndarray:
        a, b = (resize(image, size, config.resize_filter) for image in reader())
        if a.dtype != b.dtype:  # 8 bits beside 16: 255 becomes 65535
            a, b = (image if image.dtype == np.uint16 else image.astype(np.uint16) * 257 for image in (a, b))
        return np.concatenate([a, b] if config.direction == "AtoB" else [b, a], axis=2)

    pending = readers(dataset, split)
    with ThreadPoolExecutor() as pool:  # Pillow decodes and resizes outside the interpreter's lock
        while window := list(itertools.islice(pending, 256)):
            yield from pool.map(read, window)
