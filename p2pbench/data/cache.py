"""Decode once: the pairs of a split as one array of integers on disk, mapped into memory by everyone who needs it.

Keyed by the content of the data and by what was done to them, so a changed image is never answered from an old array.
Beside an array ``KEY.npy`` lies ``KEY.json``, which says what it is, and whose time of change is that of its last use.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import numpy as np
from filelock import FileLock

from p2pbench.data import building
from p2pbench.data.dataset import DataSet, open_dataset
from p2pbench.data.decoding import Place
from p2pbench.data.reading import readers
from p2pbench.errors import DataError, StorageError
from p2pbench.system.cache_dir import home
from p2pbench.system.files import NO_ARRAY, atomic, write_json
from p2pbench.system.progress import Count, no_progress

try:
    from fcntl import LOCK_SH, flock
except ImportError:  # Windows: a mapped file cannot be removed there anyway
    flock = None  # type: ignore[assignment]

DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16))


def folder() -> Path:
    """Where decoded arrays are kept."""
    return home() / "decoded"


def decoded(dataset: DataSet, split: str, progress: Count = no_progress) -> np.ndarray:
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
    path = folder() / f"{hashlib.sha256(recipe.encode()).hexdigest()[:24]}.npy"
    shape = (len(dataset.names[split]), *size, sum(config.stored))
    array = _load(path, shape)
    if array is None:
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
                _build(path, shape, dataset, split, progress)
                array = _load(path, shape)
    assert array is not None
    _take_note(path, shape, dataset, split)
    return array


def _load(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array at ``path``, mapped; None if it is absent or damaged."""
    try:
        with path.open("rb") as stream:
            if flock is not None:
                with contextlib.suppress(OSError):  # a file system without locks
                    # In use, as long as the mapping lives: it duplicates the handle. See clear() of kept.py.
                    flock(stream, LOCK_SH)
            version = np.lib.format.read_magic(stream)
            header = np.lib.format.read_array_header_1_0(stream)
            if version != (1, 0) or header[:2] != (shape, False) or header[2] not in DTYPES:
                return None
            # Copy-on-write, not read-only: torch wraps it without a copy or a warning, and the file stays as it is.
            return np.memmap(stream, header[2], "c", stream.tell(), shape)
    except NO_ARRAY:
        return None


def _build(path: Path, shape: tuple[int, ...], dataset: DataSet, split: str, progress: Count) -> None:
    for left_behind in path.parent.glob(f".{path.name}.*.part"):
        left_behind.unlink(missing_ok=True)  # by a process that was killed; this one holds the lock
    config = dataset.config
    deep = any(image.dtype == np.uint16 for image in next(readers(dataset, split))())  # of all as of the first
    dtype = np.dtype(np.uint16 if deep else np.uint8)
    with atomic(path) as part:
        with part.open("wb") as stream:
            header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            place = Place(part, stream.tell(), (shape[1], shape[2]), config.resize_filter, config.direction, deep)
        building.build(place, readers(dataset, split), shape[0], progress)
        if open_dataset(config).key != dataset.key:
            raise DataError(f"{config.source} changed while its pairs were decoded; run it again when it is at rest")


def _take_note(path: Path, shape: tuple[int, ...], dataset: DataSet, split: str) -> None:
    """Note what the array is, and that it is used now."""
    note, config = path.with_suffix(".json"), dataset.config
    with contextlib.suppress(OSError, StorageError):  # a cache that can only be read still serves
        try:
            os.utime(note)
        except FileNotFoundError:
            is_folder = dataset.found is not None and Path(config.source).expanduser().is_dir()
            source = str(Path(config.source).expanduser().resolve()) if is_folder else config.source
            write_json(note, {"source": source, "split": split, "shape": shape, "direction": config.direction})
