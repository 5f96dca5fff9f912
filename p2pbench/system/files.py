"""Files that are whole or absent: written under a temporary name, then renamed; and hashes of their content."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any

from filelock import FileLock, Timeout

from p2pbench.errors import StorageError

NO_ARRAY = (
    OSError, ValueError, EOFError, SyntaxError, TypeError, KeyError, OverflowError, RecursionError, MemoryError,
    TokenError,
)  # fmt: skip
"""What numpy raises for a damaged ``.npy``, whose header it reads as Python; MemoryError for one that nests deeply."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; it takes ``path``'s place when the block ends, or vanishes.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_UMASK)  # mkstemp's 0600 would keep colleagues out of a shared store
        temporary.replace(path)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}; nothing was left half-done"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to fill; it takes ``folder``'s place, which is free or empty, when the block ends, or vanishes.

    What a process leaves that is killed (``.NAME.part`` beside ``folder``) is cleared away by the next.

    Raises:
        StorageError: the disk is full, the place cannot be written, or another process is filling the same folder.
    """
    part = folder.with_name(f".{folder.name}.part")
    try:
        part.mkdir(parents=True, exist_ok=True)
        with FileLock(part / "lock", timeout=0):
            new = part / "new"
            try:
                shutil.rmtree(new, ignore_errors=True)
                new.mkdir()
                yield new
                if folder.is_dir():
                    folder.rmdir()  # it is empty; not every system renames onto a folder
                new.replace(folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    except Timeout:
        raise StorageError(f"{folder} is being written by another process; wait for it") from None
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written: {error.strerror or error}; nothing was left half-done"
        ) from error


def entries(folder: Path) -> list[Path]:
    """What lies in ``folder``, by name; nothing where there is none.

    Raises:
        StorageError: this user may not look.
    """
    try:
        return sorted(folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise StorageError(f"{folder} cannot be read: {error.strerror or error}") from None


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all.

    What is no Unicode, as in file names of another encoding, is written as escapes, which JSON reads back as it was.
    """
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON (which has no NaN and no infinity) to ``path``, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def sha256_of(path: Path) -> str:
    """The SHA-256 of the file's content, in hexadecimal; of a folder, of its files' names and content.

    A folder's files are read once a process, unless one of them changes.
    """
    if path.is_dir():
        states = "".join(f"{file.name} {_state(file)}\n" for file in _files(path))
        return _of_folder(path, hashlib.sha256(states.encode()).hexdigest())
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@functools.lru_cache(maxsize=4096)
def _of_folder(folder: Path, _state: str) -> str:
    return hashlib.sha256("".join(f"{f.name} {sha256_of(f)}\n" for f in _files(folder)).encode()).hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))


def _state(file: Path) -> tuple[int, ...]:
    """What changes when a file does. A copy can bring its own size and time of change; ``st_ctime`` cannot be set."""
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _current_umask()
