"""A data set: which pairs a configuration names, a key of their content, and functions that read them.

This module imports neither torch nor numpy until a pair is read, so that a plan is made at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from p2pbench.config.schema import DataConfig
from p2pbench.data import pairs, photos
from p2pbench.data.facades import drawn
from p2pbench.data.pairs import Pair
from p2pbench.errors import ConfigError, DataError, StorageError
from p2pbench.system.cache_dir import home
from p2pbench.system.files import file_state, sha256_of, write_text

if TYPE_CHECKING:
    from p2pbench.data.images import Images, Wanted

Reader = Callable[[], "Images"]
"""Reads one pair. Raises :class:`DataError`, which names the file, where it cannot be read. Threads may call it."""

RACY_NS = 2_000_000_000
"""A file changed less than two seconds ago may change again under the same time stamp; FAT has the coarsest."""


@dataclass(frozen=True)
class DataSet:
    """The pairs that a :class:`DataConfig` names: found and checked for mates, not yet decoded."""

    config: DataConfig
    key: str
    """A hash of the content of all splits."""
    names: Mapping[str, list[str]]
    """The names of the pairs of each split, in their order."""
    found: Mapping[str, list[Pair]] | None
    """The files of each split, or None for a built-in data set."""


def is_built_in(source: str) -> bool:
    """Whether ``source`` is made here and has no files. Raises :class:`DataError` if it is a malformed ``drawn``."""
    return source == "photos" or drawn.parse(source) is not None


def open_dataset(config: DataConfig) -> DataSet:
    """Find the pairs of ``config.source`` and hash their content; nothing is decoded.

    To open the same files again in a process costs a look at their time stamps (see :func:`content_key`).

    Raises:
        DataError: there is no such source, no pairs in it, or an image without its mate.
    """
    if config.source == "photos":
        return DataSet(config, photos.photos_key(config.condition), photos.photos_names(), None)
    if asked := drawn.parse(config.source):
        return DataSet(config, drawn.drawn_key(asked), drawn.drawn_names(asked), None)
    root = pairs.find_folder(config.source)
    found = pairs.find_pairs(root)
    names = {split: [pair.name for pair in split_pairs] for split, split_pairs in found.items()}
    return DataSet(config, content_key(root, found), names, found)


def left_out(dataset: DataSet) -> str:
    """A sentence on the images and files in the folder of a data set that are in no pair; empty where there are none.

    Raises:
        DataError: the folder is not there any more.
    """
    if dataset.found is None:
        return ""
    root = pairs.find_folder(dataset.config.source)
    folders = {path.parent for found in dataset.found.values() for pair in found for path in pair.files}
    counts = pairs.left_out(root, folders)
    return f"{root}: left out are {', '.join(f'{n} {what}' for what, n in counts.items())}" if counts else ""


def reading_of(dataset: DataSet) -> str:
    """Which way the pairs are read: ``condition: B (right half) -> target: A (left half)``.

    A and B are said as the data have them: halves of a file, folders, or what a built-in source draws.
    """
    config = dataset.config
    a, b = "left half", "right half"
    if dataset.found is None:
        a, b = (config.condition, "photo") if config.source == "photos" else ("photo", "labels")
    elif next(iter(dataset.found.values()))[0].b is not None:
        a, b = "folder A", "folder B"
    sides = [f"A ({a})", f"B ({b})"]
    condition, target = sides if config.direction == "AtoB" else reversed(sides)
    if config.colours == "lab":
        condition, target = f"lightness of {target}", f"colours of {target}"
    return f"condition: {condition} -> target: {target}"


def as_tested(dataset: DataSet) -> DataSet:
    """The same data set with its training pairs resized to ``crop_size`` as test pairs are, instead of cropped."""
    return replace(dataset, config=dataset.config.model_copy(update={"jitter": False}))


def check_selection(dataset: DataSet, select: str) -> None:
    """Raise :class:`ConfigError` where an epoch is to be selected and there is no split to select it on."""
    if select != "last" and "val" not in dataset.names:
        raise ConfigError(
            f"training.select is {select!r}, but {dataset.config.source} has no split val beside the one that it is "
            "tested on; make one, or use last"
        )


def trained_on(dataset: DataSet) -> list[int]:
    """The positions of the training pairs that are trained on, ascending (``data.train_size``).

    They are the first in the order of a hash of the data's content and each pair's position.

    Raises:
        ConfigError: there are fewer.
    """
    n, wanted = len(dataset.names["train"]), dataset.config.train_size
    if wanted is None:
        return list(range(n))
    if wanted > n:
        raise ConfigError(
            f"data.train_size is {wanted}, but {dataset.config.source} has {n} training pairs; use at most as many"
        )
    return sorted(sorted(range(n), key=lambda i: hashlib.sha256(f"{dataset.key}:{i}".encode()).digest())[:wanted])


def steps_per_epoch(dataset: DataSet, batch_size: int) -> int:
    """The number of full batches in the training split; each epoch leaves other pairs over.

    Raises:
        ConfigError: there are fewer pairs than one batch, or than ``data.train_size``.
    """
    n_pairs = len(trained_on(dataset))
    if n_pairs < batch_size:
        raise ConfigError(
            f"training.batch_size is {batch_size}, but there are only {n_pairs} training pairs; use a smaller batch"
        )
    return n_pairs // batch_size


# ---- reading its pairs, at the size they have


def readers(dataset: DataSet, split: str) -> Iterator[Reader]:
    """For each pair of ``split``, in order, a function that reads A and B as the configuration wants them.

    Each image is uint8 or uint16, with the channels of :attr:`DataConfig.stored`.
    """
    from p2pbench.data.images import Stored, as_wanted

    condition, target = wanted_by_role(dataset.config)
    wanted = (condition, target) if dataset.config.direction == "AtoB" else (target, condition)
    if dataset.found is not None:
        yield from (partial(pairs.read_wanted, pair, wanted) for pair in dataset.found[split])
        return

    def draw_wanted(draw: Reader, name: Path) -> Images:
        a, b = draw()
        return as_wanted(Stored(name, a), wanted[0]), as_wanted(Stored(name, b), wanted[1])

    for name, draw in zip(dataset.names[split], _built_in(dataset, split), strict=True):
        yield partial(draw_wanted, draw, Path(name))


def views(dataset: DataSet, split: str) -> Iterator[Reader]:
    """For each pair of ``split``, in order, a function that reads A and B as uint8 RGB pictures for people."""
    if dataset.found is not None:
        yield from (partial(pairs.preview_pair, pair) for pair in dataset.found[split])
    else:
        yield from _built_in(dataset, split)


def wanted_by_role(config: DataConfig) -> tuple[Wanted, Wanted]:
    """What the configuration wants of conditions and of targets."""
    from p2pbench.data.images import Wanted

    ranges = config.range or (None, None)
    condition, target = (
        Wanted(channels, limits, config.background) for channels, limits in zip(config.stored, ranges, strict=True)
    )
    return condition, target


def _built_in(dataset: DataSet, split: str) -> Iterator[Reader]:
    if asked := drawn.parse(dataset.config.source):
        yield from (partial(drawn.draw, asked, split, index) for index in range(len(dataset.names[split])))
    else:
        for images in photos.photos_pairs(split, dataset.config.condition):
            yield repeat(images).__next__  # the same, however often it is read


# ---- the key of its content


def content_key(root: Path, splits: Mapping[str, Sequence[Pair]]) -> str:
    """A hash of all files' content in their order, by split: the same wherever the data lie and whatever their names.

    The EXIF orientation of a side-by-side file counts besides: version 0.1 turned such a file before it split it, and
    its runs on it are other runs.

    The hash of each file is remembered in this process and on disk, in one file for each data set folder ``root``,
    until a time stamp, a size or an inode changes.

    Raises:
        DataError: a file cannot be read.
    """
    members = [pair for found in splits.values() for pair in found]
    hashes = _remembered_hashes(root, {path: pair.b is None for pair in members for path in pair.files})
    digest = hashlib.sha256()
    for split in sorted(splits):
        digest.update(f"{split}:".encode())
        for pair in splits[split]:
            digest.update("+".join(hashes[path] for path in pair.files).encode() + b";")
    return digest.hexdigest()


_known: dict[Path, Any] = {}
"""What this process knows of the files of each data set, by the file in which that is remembered."""


def _remembered_hashes(root: Path, files: Mapping[Path, bool]) -> dict[Path, str]:
    """The SHA-256 of each file: as it is remembered if its state is the one it was hashed in, as in git's index.

    Args:
        files: and whether each holds a pair side by side: then its orientation follows the hash, where it has one.
    """
    settled_before = time.time_ns() - RACY_NS
    memory = home() / "hashes" / f"{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:24]}.json"
    known = _known.get(memory)
    if known is None:
        with contextlib.suppress(OSError, ValueError):
            known = json.loads(memory.read_text())
    known = known if isinstance(known, dict) else {}
    hashes: dict[Path, str] = {}
    kept: dict[str, list[object]] = {}
    for path, is_joined in files.items():
        inside = str(path)[len(str(root)) :]
        entry = known.get(inside)
        try:
            state = list(file_state(os.stat(path)))  # noqa: PTH116 - Path.stat takes twice the time
            if not (isinstance(entry, list) and entry[:4] == state and len(entry) == 6):
                entry = [*state, sha256_of(path), _orientation(path) if is_joined else 1]
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
        hashes[path] = str(entry[4]) if entry[5] == 1 else f"{entry[4]}, turned {entry[5]}"
        if max(state[1], state[2]) < settled_before:
            kept[inside] = entry
    if kept != known:
        with contextlib.suppress(StorageError):  # a convenience: without it the files are hashed again
            write_text(memory, json.dumps(kept))
    _known[memory] = kept
    return hashes


MAY_BE_TURNED = (b"Exif", b"eXIf", b"EXIF", b"Raw profile type exif", b"tiff:Orientation", b"II*\0", b"MM\0*")
"""One of these is in every file that Pillow finds an orientation in; the last two begin a TIFF."""


def _orientation(path: Path) -> int:
    """The EXIF orientation of the image at ``path``, 1 where it has none or cannot be read; most are not opened."""
    content = b"" if path.suffix.lower() == ".npy" else path.read_bytes()
    if not any(mark in content for mark in MAY_BE_TURNED):
        return 1
    from p2pbench.data.image_files import ORIENTATION, opened

    try:
        with opened(path) as image:
            turn = int(image.getexif().get(ORIENTATION, 1))
    except (DataError, ValueError, TypeError):
        return 1  # whoever reads it says what is wrong
    return turn if turn in range(1, 9) else 1
