"""The cache of decoded pairs: a split as one array of integers on disk, which every process maps into its memory.

An array is keyed by the content of the data and by what was done to them, so that a changed image is never answered
from an old array. Beside ``KEY.npy`` lies ``KEY.json``: what the array is; its time of change is that of the last use.
"""

import datetime
import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from p2pbench.data.dataset import DataSet, open_dataset, readers, trained_on
from p2pbench.data.decoding import write_array
from p2pbench.errors import DataError, StorageError
from p2pbench.system.cache_dir import home
from p2pbench.system.files import Locked, atomic, locked, write_json
from p2pbench.system.progress import Count, no_progress


def folder() -> Path:
    """Where decoded arrays are cached."""
    return home() / "decoded"


def decoded(dataset: DataSet, split: str, progress: Count = no_progress) -> np.ndarray:
    """The pairs of ``split``, (N, H, W, C + C'), uint8 or uint16: the condition's channels, then the target's.

    Their size is ``load_size`` for training with jitter, which crops at random, and ``crop_size`` for everything else.
    The array is mapped from the cache; a first call decodes the pairs and writes it.

    Raises:
        DataError: an image cannot be read; the message names it. Nothing is left in the cache then.
        StorageError: the cache cannot be written.
    """
    config = dataset.config
    size = config.load_shape if split == "train" and config.jitter else config.crop_shape
    how = (config.resize_filter, config.direction, config.stored, config.range, config.background)
    recipe = f"4:{dataset.key}:{split}:{size}:{how}"
    path = folder() / f"{hashlib.sha256(recipe.encode()).hexdigest()[:24]}.npy"
    shape = (len(dataset.names[split]), *size, sum(config.stored))
    array = _load(path, shape)
    if array is None:
        with locked(path.with_suffix(".lock")):
            array = _load(path, shape)  # another process may have made it meanwhile
            if array is None:
                _build(path, shape, dataset, split, progress)
                array = _load(path, shape)
    assert array is not None
    _note_use(path, shape, dataset, split)
    return array


def training_pairs(dataset: DataSet, progress: Count = no_progress) -> np.ndarray:
    """The pairs of ``train`` that are trained on, as :func:`decoded` gives them; in memory where they are not all.

    Raises:
        ConfigError: there are fewer than ``data.train_size``.
    """
    pairs, chosen = decoded(dataset, "train", progress), trained_on(dataset)
    return pairs if len(chosen) == len(pairs) else pairs[chosen]


def _load(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array at ``path``, mapped; None if it is absent or damaged."""
    try:
        # Copy-on-write, not read-only: torch wraps it without a copy or a warning, and the file stays as it is.
        array = np.lib.format.open_memmap(path, mode="c")
    except Exception:
        return None
    whole = array.shape == shape and array.dtype in (np.uint8, np.uint16) and array.flags.c_contiguous
    return array if whole else None


def _build(path: Path, shape: tuple[int, ...], dataset: DataSet, split: str, progress: Count) -> None:
    for left_behind in path.parent.glob(f".{path.name}.*.part"):
        left_behind.unlink(missing_ok=True)  # a process that was killed left it; this one holds the lock
    deep = any(image.dtype == np.uint16 for image in next(readers(dataset, split))())  # the first decides for all
    with atomic(path) as part:
        write_array(part, readers(dataset, split), shape, dataset.config, deep, progress)
        if open_dataset(dataset.config).key != dataset.key:
            source = dataset.config.source
            raise DataError(f"{source} changed while its pairs were decoded; run it again when it is at rest")


def _note_use(path: Path, shape: tuple[int, ...], dataset: DataSet, split: str) -> None:
    """Write beside the array what it is, or touch that note, for the array is used now."""
    note, config = path.with_suffix(".json"), dataset.config
    with suppress(OSError, StorageError):  # a read-only cache still serves
        try:
            os.utime(note)
        except FileNotFoundError:
            is_folder = dataset.found is not None and Path(config.source).expanduser().is_dir()
            source = str(Path(config.source).expanduser().resolve()) if is_folder else config.source
            write_json(note, {"source": source, "split": split, "shape": shape, "direction": config.direction})


# ---- what the cache holds, and how it is emptied


def cached_arrays() -> list[dict[str, Any]]:
    """The decoded arrays, the most recently used first.

    Each with ``source``, ``split``, ``pairs``, ``size`` and ``direction``, unknown (None) where the note beside it is
    lost; ``bytes``; ``last_use``, when it was last opened; and ``file``.
    """
    found = []
    for path in folder().glob("*.npy"):
        note = path.with_suffix(".json")
        try:
            stat = path.stat()
        except OSError:
            continue  # removed meanwhile
        try:
            about, used = json.loads(note.read_text()), note.stat().st_mtime
        except (OSError, ValueError):
            about, used = {}, stat.st_mtime
        about = about if isinstance(about, dict) else {}
        shape = about.get("shape", [None])
        row = {
            "source": about.get("source"),
            "split": about.get("split"),
            "pairs": shape[0],
            "size": shape[1:3],
            "direction": about.get("direction"),
            "bytes": stat.st_size,
            "last_use": datetime.datetime.fromtimestamp(used, datetime.UTC).isoformat(timespec="seconds"),
            "file": str(path),
        }
        found.append((-used, path, row))
    return [row for _, _, row in sorted(found, key=lambda array: array[:2])]


def clear(source: str | None = None, older_days: float | None = None) -> tuple[list[dict[str, Any]], int]:
    """Remove decoded arrays, and all that killed processes have left. They are made again when they are needed.

    A process that has an array mapped keeps it: on Linux and macOS a file lives on, without a name, until then.

    Args:
        source: only the arrays of this data set, a name or a folder.
        older_days: only the arrays that were not used for so many days.
    Returns:
        The arrays that were removed; and the bytes of what was left half-written, or of notes on no array.
    Raises:
        StorageError: an array cannot be removed.
    """
    removed = []
    for array in cached_arrays():
        if source is not None and array["source"] not in (source, str(Path(source).expanduser().resolve())):
            continue
        last_use = datetime.datetime.fromisoformat(array["last_use"]).timestamp()
        if older_days is not None and time.time() - last_use < older_days * 86400:
            continue
        path = Path(array["file"])
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{path} cannot be removed: {error.strerror}") from None
        path.with_suffix(".json").unlink(missing_ok=True)
        removed.append(array)
    orphans = [note for note in folder().glob("*.json") if not note.with_suffix(".npy").exists()]
    return removed, sum(map(_remove_leftover, [*folder().glob(".*.part"), *orphans]))


def _remove_leftover(path: Path) -> int:
    """Remove ``path`` unless the array it belongs to is being built; returns the bytes that this freed."""
    key = path.name.lstrip(".").partition(".")[0]
    with suppress(Locked, FileNotFoundError), locked(path.with_name(f"{key}.lock"), seconds=0):
        size = path.stat().st_size
        path.unlink()
        return size
    return 0
