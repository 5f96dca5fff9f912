"""Files that are whole or absent (written under a temporary name, then renamed), locks, and hashes of content."""

import errno
import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from p2pbench.errors import StorageError
from p2pbench.system.cache_dir import home

WRITE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ENXIO, errno.ESTALE}
"""The numbers of errors that name no file when a write fails."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; it takes ``path``'s place when the block ends, or vanishes.

    Raises:
        StorageError: the disk is full or the folder cannot be written. An error of the block that is not of the
            writing, as of a file that it reads, is passed on as it is.
    """
    with _write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
    temporary = Path(name)
    try:
        with _write_errors(path, temporary):
            yield temporary
        with _write_errors(path):
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o666 & ~_UMASK)  # mkstemp's 0600 would keep colleagues out of a shared store
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to fill; it takes ``folder``'s place, which is free or empty, when the block ends, or vanishes.

    What a killed process left (``.NAME.part`` beside ``folder``) is removed by the next one.

    Raises:
        StorageError: the disk is full, the place cannot be written, or another process is filling the same folder.
    """
    part = folder.with_name(f".{folder.name}.part")
    new = part / "new"
    held = Locked(f"{folder} is being written by another process; wait for it")
    with locked(part / "lock", seconds=0, held=held):
        try:
            with _write_errors(folder):
                shutil.rmtree(new, ignore_errors=True)
                new.mkdir()
            with _write_errors(folder, new):
                yield new
            with _write_errors(folder):
                if folder.is_dir():
                    folder.rmdir()  # it is empty; not every system renames onto a folder
                new.replace(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _write_errors(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Turn an ``OSError`` of the block into a StorageError that names ``path``.

    With ``temporary``, the file or folder that the block writes, only where the error is of writing it.
    """
    try:
        yield
    except OSError as error:
        if temporary is not None and not _is_of_writing(error, temporary):
            raise
        reason: object = error.strerror or error
        if isinstance(error, FileExistsError | NotADirectoryError):
            file = next((place for place in (path, *path.parents) if place.is_file()), None)
            reason = reason if file is None else f"{file} is a file, where a folder is wanted; name another"
        raise StorageError(f"{path} cannot be written: {reason}; nothing was left half-done") from error


def _is_of_writing(error: OSError, temporary: Path) -> bool:
    if error.filename is not None:
        return str(error.filename).startswith(str(temporary))
    if error.errno is not None:
        return error.errno in WRITE_ERRORS
    # NumPy says "8 requested and 4 written", Pillow "encoder error -2 when writing image file".
    return "written" in str(error) or "writing" in str(error)


class Locked(StorageError):
    """Another process holds a lock."""


@contextmanager
def locked(path: Path, *, seconds: float = -1, held: StorageError | None = None) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs. The kernel frees it when the process ends, however it ends.

    Args:
        seconds: how long another process is waited for; -1 for as long as it takes.
        held: what is raised where another process still holds it, instead of :class:`Locked`.
    Raises:
        Locked: another process still holds it.
        StorageError: the lock's folder cannot be written.
    """
    from filelock import FileLock, Timeout  # a plan holds no lock

    lock = FileLock(path, timeout=seconds)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise held or Locked(f"{path} is held by another process; wait for it or stop it") from None
    except OSError as error:
        remedy = "; set P2PBENCH_HOME to a folder that can" if path.is_relative_to(home()) else ""
        raise StorageError(f"{path.parent} cannot be written: {error.strerror or error}{remedy}") from None
    try:
        yield
    finally:
        lock.release()


def check_writable(folder: Path, remedy: str) -> None:
    """Find out before the work whether files can be made in ``folder``, which is made where it is not there.

    Raises:
        StorageError: they cannot; ``remedy`` says what else to do.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror or error}; {remedy}") from None


def entries(folder: Path) -> list[Path]:
    """The files and folders in ``folder``, sorted by name; none where there is no such folder.

    Raises:
        StorageError: this user may not list it.
    """
    try:
        return sorted(folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise StorageError(f"{folder} cannot be read: {error.strerror or error}") from None


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all.

    Characters that are not Unicode, as in file names of another encoding, become escapes, which JSON reads back.
    """
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def copy_file(source: Path, target: Path) -> None:
    """Copy a file to where its folder may not be yet, whole or not at all.

    Raises:
        StorageError: as :func:`atomic`.
    """
    with atomic(target) as part:
        shutil.copyfile(source, part)


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Write ``value`` as JSON (which has no NaN and no infinity) to ``path``, whole or not at all.

    ``indent=None`` is for long lists of numbers: with a line for each they take twice the room.
    """
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, indent=indent, separators=separators, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


def sha256_of(path: Path) -> str:
    """The SHA-256 of the file's content, in hexadecimal; of a folder, of its files' names and content.

    A folder's files are read once a process, unless one of them changes.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
        return hashlib.sha256(
            "".join(f"{file.name} {remembered_sha256(file)}\n" for file in files).encode()
        ).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remembered_sha256(path: Path) -> str:
    """The SHA-256 of the file's content, which is read once a process unless it changes."""
    return _sha256_in_state(path, file_state(path.stat()))


@functools.lru_cache(maxsize=65_536)
def _sha256_in_state(path: Path, _state: tuple[int, ...]) -> str:
    return sha256_of(path)


def file_state(stat: os.stat_result) -> tuple[int, ...]:
    """What changes when a file does. A copy can bring its own size and time of change; ``st_ctime`` cannot be set."""
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _current_umask()
