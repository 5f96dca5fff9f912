"""Unpack an archive that nobody vouches for: all of it is looked through before anything is written.

An archive may name files outside its folder, be full of links and devices, or expand without end. Only names, sizes and
bytes of plain files are taken from it, no links, owners or permissions, up to limits that any data set of images keeps.
tarfile's own ``data`` filter would let links in, strip a leading slash in silence, and set no limit.
"""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import IO

from p2pbench.errors import DataError, StorageError
from p2pbench.system.console import bytes_text
from p2pbench.system.progress import Count, no_progress

MAX_MEMBERS = 500_000
"""Maximum entries of an archive. The largest set of the paper has 138,767."""
MAX_RATIO = 50
"""Maximum bytes unpacked for each byte of the archive. Images are compressed already: an honest archive is near 1."""
SMALL = 256 * 2**20
"""The number of bytes unpacked up to which the ratio does not matter: blank drawings do compress well."""

_UNREADABLE = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, gzip.BadGzipFile,
    EOFError, NotImplementedError, RecursionError, ValueError,
)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """An entry of an archive, as its header declares it."""

    name: str
    kind: str
    """``file``, ``folder``, or the words for something that is refused."""
    size: int
    """The number of bytes of its content."""
    open: Callable[[], IO[bytes] | None]

    @property
    def parts(self) -> tuple[str, ...]:
        """The components of its name; a backslash separates too, as on Windows."""
        return PureWindowsPath(self.name).parts

    @property
    def wanted(self) -> bool:
        """Whether it is to be written: a file, and not one that macOS adds to archives."""
        junk = "__MACOSX" in self.parts or any(part == ".DS_Store" or part.startswith("._") for part in self.parts)
        return self.kind == "file" and not junk


def unpack(archive: Path, folder: Path, progress: Count = no_progress) -> None:
    """Write the files of ``archive`` (tar, tar.gz or zip, told apart by content) below ``folder``, which is empty.

    Raises:
        DataError: there is no such archive, or it is damaged or refused; the message says which entry and why. Nothing
            has been written then, except where only unpacking shows that a header lied.
        StorageError: the disk has too little space, or ``folder`` cannot be written.
    """
    try:
        with ExitStack() as stack:
            members = _inspected(archive, _members(archive, stack))
            size = sum(member.size for member in members)
            if size > (free := shutil.disk_usage(folder).free):
                raise StorageError(
                    f"{archive.name} unpacks to {bytes_text(size)}, but the disk has {bytes_text(free)} free; make "
                    "room, or name another place with --data-dir"
                )
            for done, member in enumerate(members, start=1):
                _write(archive, member, folder.joinpath(*member.parts))
                progress(done, len(members))
    except _UNREADABLE as error:
        raise DataError(
            f"{archive.name} is damaged or no tar, tar.gz or zip archive: {error or type(error).__name__}"
        ) from None


def _inspected(archive: Path, members: Iterator[Member]) -> list[Member]:
    """The members that are to be written. Raises :class:`DataError` where any entry is suspicious."""
    size = 0
    files: dict[tuple[str, ...], Member] = {}
    for count, member in enumerate(members, start=1):
        size += member.size
        if problem := _problem(member):
            raise _refused(archive, f"its entry {member.name!r} {problem}")
        if count > MAX_MEMBERS:
            raise _refused(archive, f"it has more than {MAX_MEMBERS:,} entries")
        _check_expansion(archive, size)
        if member.wanted and files.setdefault(member.parts, member) is not member:
            raise _refused(archive, f"it holds {member.name!r} twice")
    if any(parts[:depth] in files for parts in files for depth in range(1, len(parts))):
        raise _refused(archive, "it holds one name as a file and as a folder")
    return list(files.values())


def _problem(member: Member) -> str | None:
    if member.kind not in ("file", "folder"):
        return f"is {member.kind}"
    if PureWindowsPath(member.name).anchor or ".." in member.parts:
        return "leads out of the folder it is unpacked into"
    if "\0" in member.name or (member.kind == "file" and not member.parts):
        return "has no usable name"
    return "declares a negative size" if member.size < 0 else None


def _check_expansion(archive: Path, size: int) -> None:
    packed = archive.stat().st_size
    limit = max(SMALL, MAX_RATIO * packed)
    if size > limit:
        raise _refused(archive, f"it expands to more than {bytes_text(limit)}, from {bytes_text(packed)}")


def _refused(archive: Path, reason: str) -> DataError:
    return DataError(
        f"{archive.name} is refused: {reason}; an archive of images has no need of that, nothing was unpacked"
    )


def _write(archive: Path, member: Member, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = member.open()
        assert content is not None  # it is for folders
        with content, path.open("xb") as stream:
            shutil.copyfileobj(content, stream, 2**18)
            written = stream.tell()
    except gzip.BadGzipFile:
        raise
    except OSError as error:
        raise StorageError(
            f"{path.name} of {archive.name} cannot be written: {error.strerror or error}; make room, or name another "
            "place with --data-dir"
        ) from None
    if written != member.size:  # zipfile and tarfile never give more than was declared
        raise DataError(f"{archive.name} is damaged: {member.name!r} has {written} of {member.size} bytes")


def _members(archive: Path, stack: ExitStack) -> Iterator[Member]:
    """The entries of ``archive`` in their order; they can be opened until ``stack`` is closed."""
    try:
        stream = stack.enter_context(archive.open("rb"))
    except OSError as error:
        raise DataError(f"{archive} cannot be read: {error.strerror or error}") from None
    start = stream.read(2)
    stream.seek(0)
    if start == b"PK":
        yield from _of_zip(stack.enter_context(zipfile.ZipFile(stream)))
    else:
        content = stack.enter_context(gzip.GzipFile(fileobj=stream)) if start == b"\x1f\x8b" else stream
        file = tarfile.open(fileobj=content, mode="r:")  # noqa: SIM115 - the stack does
        yield from _of_tar(stack.enter_context(file), content)


def _of_zip(file: zipfile.ZipFile) -> Iterator[Member]:
    for info in file.infolist():
        plain = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
        kind = "folder" if info.is_dir() else "file" if plain else "a link or another special file"
        kind = "encrypted" if info.flag_bits & 1 else kind
        yield Member(info.filename, kind, info.file_size, partial(file.open, info))


def _of_tar(file: tarfile.TarFile, content: io.BufferedIOBase) -> Iterator[Member]:
    for info in file:
        plain = info.isreg() and not info.issparse()
        kind = "file" if plain else "folder" if info.isdir() else "a link or another special file"
        yield Member(info.name, kind, info.size, partial(file.extractfile, info))
    # tarfile takes a broken header for the end, which is a block of zeros. gzip's checksum lies behind it.
    content.seek(file.offset)
    if content.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"it breaks off at byte {file.offset}")
    while content.read(2**16):
        pass
