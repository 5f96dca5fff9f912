"""What the cache of decoded arrays holds, and how it is emptied."""

from __future__ import annotations

import datetime
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from p2pbench.data import cache
from p2pbench.errors import StorageError

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:
    flock = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Kept:
    """A decoded array."""

    path: Path
    about: dict[str, Any]
    """As the note beside it says: ``source``, ``split``, ``shape``, ``direction``; empty where there is none."""
    bytes: int
    used: float
    """When it was last opened, in seconds since the epoch."""

    def is_of(self, source: str) -> bool:
        """Whether it was made from ``source``, a name or a folder."""
        return self.about.get("source") in (source, str(Path(source).expanduser().resolve()))

    def to_json(self) -> dict[str, Any]:
        shape = self.about.get("shape", [None])
        return {
            "source": self.about.get("source"),
            "split": self.about.get("split"),
            "pairs": shape[0],
            "size": shape[1:3],
            "direction": self.about.get("direction"),
            "bytes": self.bytes,
            "last_use": datetime.datetime.fromtimestamp(self.used, datetime.UTC).isoformat(timespec="seconds"),
            "file": str(self.path),
        }


@dataclass(frozen=True)
class Cleared:
    """What became of a cache: removed, left because a process uses it, and what killed builds had left."""

    removed: list[Kept]
    in_use: list[Kept]
    leftovers_bytes: int


def kept_arrays() -> list[Kept]:
    """The decoded arrays, the one used last first."""
    found = []
    for path in cache.folder().glob("*.npy"):
        note = path.with_suffix(".json")
        try:
            stat = path.stat()
        except OSError:
            continue  # removed meanwhile
        try:
            about, used = json.loads(note.read_text()), note.stat().st_mtime
        except (OSError, ValueError):
            about, used = {}, stat.st_mtime
        found.append(Kept(path, about if isinstance(about, dict) else {}, stat.st_size, used))
    return sorted(found, key=lambda kept: (-kept.used, kept.path))


def clear(source: str | None = None, older_days: float | None = None) -> Cleared:
    """Remove decoded arrays, and all that killed builds have left. They are made again when they are needed.

    Args:
        source: those of this data set alone: a name, or a folder.
        older_days: those alone that were not used for as many days.
    Raises:
        StorageError: one cannot be removed.
    """
    removed: list[Kept] = []
    in_use: list[Kept] = []
    for kept in kept_arrays():
        if source is not None and not kept.is_of(source):
            continue
        if older_days is not None and time.time() - kept.used < older_days * 86400:
            continue
        (removed if _remove(kept.path) else in_use).append(kept)
    leftovers = sum(_remove_leftover(path) for path in _leftovers())
    return Cleared(removed, in_use, leftovers)


def _remove(path: Path) -> bool:
    """Remove an array unless a process has it mapped (see ``_load`` of :mod:`p2pbench.data.cache`).

    One that maps it between the two steps loses nothing: on Linux and macOS a file lives on, without a name, until the
    last mapping ends; Windows refuses to remove it.
    """
    try:
        if flock is not None:
            with path.open("rb") as stream:
                flock(stream, LOCK_EX | LOCK_NB)
                path.unlink()
        else:
            path.unlink()
    except BlockingIOError:
        return False
    except FileNotFoundError:
        pass  # removed by another
    except OSError as error:
        if flock is None:
            return False
        raise StorageError(f"{path} cannot be removed: {error.strerror}") from None
    path.with_suffix(".json").unlink(missing_ok=True)
    return True


def _leftovers() -> Iterator[Path]:
    """Half-written files, and notes on arrays that are no more."""
    folder = cache.folder()
    yield from folder.glob(".*.part")
    yield from (note for note in folder.glob("*.json") if not note.with_suffix(".npy").exists())


def _remove_leftover(path: Path) -> int:
    """Remove ``path`` unless the build that it belongs to is going on; returns the bytes this freed."""
    found = re.match(r"\.?(\w+)\.", path.name)
    if found is None:
        return 0
    try:
        with FileLock(path.with_name(f"{found[1]}.lock"), timeout=0):
            size = path.stat().st_size
            path.unlink()
            return size
    except (Timeout, FileNotFoundError):
        return 0
