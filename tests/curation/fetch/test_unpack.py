"""Archives: unpacked whole, or refused with nothing written; nothing ever lands outside the folder."""

from __future__ import annotations

import contextlib
import gzip
import io
import shutil
import stat
import tarfile
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pbench.curation.fetch import unpack as unpacking
from p2pbench.curation.fetch.unpack import unpack
from p2pbench.errors import DataError, StorageError

FILES = {"set/train/1.png": b"one" * 700, "set/train/2.png": b"", "set/test/3.png": b"three"}


def tar(path: Path, files: dict[str, bytes], *others: tarfile.TarInfo, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
        for other in others:
            file.addfile(other)
    return path


def entry(name: str, kind: bytes, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def everything(folder: Path) -> dict[str, bytes | None]:
    """All that is below ``folder``: content of files, None for other things."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in folder.rglob("*")
    }


def refused(archive: Path, message: str) -> None:
    """The archive is refused before anything is written, below the folder or anywhere near it."""
    folder = archive.parent / "near" / "unpacked"
    folder.mkdir(parents=True)
    before = everything(archive.parent)
    with pytest.raises(DataError, match=message) as caught:
        unpack(archive, folder)
    assert everything(archive.parent) == before
    assert "\n" not in str(caught.value)


# ---- what is unpacked


@pytest.mark.parametrize("kind", ["w", "w:gz", "zip"])
def test_every_file_arrives(kind: str, tmp_path: Path) -> None:
    archive = tmp_path / "an archive without a telling name"
    zipped(archive, FILES) if kind == "zip" else tar(archive, FILES, entry("set/empty", tarfile.DIRTYPE), mode=kind)
    (folder := tmp_path / "out").mkdir()
    seen: list[tuple[int, int]] = []
    unpack(archive, folder, lambda done, total: seen.append((done, total)))
    assert {name: content for name, content in everything(folder).items() if content is not None} == FILES
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_what_macos_adds_is_left_out(tmp_path: Path) -> None:
    junk = {"__MACOSX/set/train/._1.png": b"x", "set/.DS_Store": b"x", "set/train/._1.png": b"x"}
    (folder := tmp_path / "out").mkdir()
    unpack(tar(tmp_path / "x", {**FILES, **junk, "set/README": b"words"}), folder)
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert names == {"1.png", "2.png", "3.png", "README"}


def test_permissions_and_owners_are_not_taken_over(tmp_path: Path) -> None:
    info = tarfile.TarInfo("1.png")
    info.mode, info.uid, info.gid = 0o6777, 12345, 12345
    (folder := tmp_path / "out").mkdir()
    unpack(tar(tmp_path / "x", {}, info), folder)
    found = (folder / "1.png").stat()
    assert found.st_mode & 0o7111 == 0
    assert found.st_uid == tmp_path.stat().st_uid


@given(files=st.dictionaries(st.sampled_from(["a.png", "b/a.png", "b/b.png", "b/c/é 1.png"]), st.binary(max_size=2000)))
def test_tar_and_zip_give_back_what_was_put_in(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("round")
    for archive in (tar(root / "x.tgz", files), tar(root / "x.tar", files, mode="w"), zipped(root / "x.zip", files)):
        (folder := root / f"of {archive.name}").mkdir()
        unpack(archive, folder)
        assert {name: content for name, content in everything(folder).items() if content is not None} == files


# ---- what is refused


OUTSIDE = ["../x.png", "set/../../x.png", "/tmp/x.png", "..", "..\\x.png", "C:\\x.png", "C:x.png", "//host/share/x.png"]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("write", [tar, zipped])
def test_names_that_lead_out_are_refused(write: Callable[..., Path], name: str, tmp_path: Path) -> None:
    refused(write(tmp_path / "x", {**FILES, name: b"!"}), "leads out of the folder")


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "1.png"),
        (tarfile.LNKTYPE, "set/train/1.png"),
        (tarfile.FIFOTYPE, ""),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.GNUTYPE_SPARSE, ""),
        (b"?", ""),
    ],
)
def test_whatever_is_no_file_is_refused(kind: bytes, target: str, tmp_path: Path) -> None:
    message = r"its entry 'set/train/9\.png' is a link or another special file"
    refused(tar(tmp_path / "x", FILES, entry("set/train/9.png", kind, target)), message)


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO])
def test_links_and_pipes_in_a_zip_are_refused(mode: int, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "x", FILES)
    info = zipfile.ZipInfo("set/train/9.png")
    info.external_attr = (mode | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(info, "/etc/passwd")
    refused(archive, r"its entry 'set/train/9\.png' is a link or another special file")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "x", {"1.png": b"secret"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    refused(archive, "is encrypted")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["set/train/1.png", "set//train/./1.png", "set\\train\\1.png"])
def test_a_name_twice_is_refused(second: str, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "x", FILES)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(second, "another")
    refused(archive, "twice")


def test_a_file_that_is_also_a_folder_is_refused(tmp_path: Path) -> None:
    refused(tar(tmp_path / "x", {**FILES, "set/train/1.png/2.png": b"x"}), "as a file and as a folder")


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_MEMBERS", 2)
    refused(tar(tmp_path / "x", FILES), "more than 2 entries")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits within which a bomb is quickly built: a MiB, or fifty times the archive."""
    monkeypatch.setattr(unpacking, "SMALL", 2**20)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("write", [tar, zipped])
def test_a_bomb_is_refused(write: Callable[..., Path], tmp_path: Path) -> None:
    zeros = {f"{index}.png": bytes(2**20) for index in range(3)}
    archive = write(tmp_path / "x", zeros)
    assert archive.stat().st_size < 20_000
    refused(archive, "expands to more than 1 MiB")


def test_a_tar_that_declares_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    archive = tmp_path / "x"
    archive.write_bytes(gzip.compress(entry("1.png", tarfile.REGTYPE, size=2**40).tobuf(tarfile.GNU_FORMAT)))
    refused(archive, "expands to more than 256 MiB")


@pytest.mark.parametrize("size", [-512, -1])
def test_a_negative_size_is_refused(size: int, tmp_path: Path) -> None:
    """Such a header makes older versions of tarfile read the same entry for ever."""
    archive = tmp_path / "x"
    archive.write_bytes(entry("1.png", tarfile.REGTYPE, size=size).tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    refused(archive, "negative size")


def declare(archive: Path, size: int) -> Path:
    """Rewrite the size that the directory of a zip declares for its only file."""
    content = bytearray(archive.read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = size.to_bytes(4, "little")
    archive.write_bytes(content)
    return archive


def test_a_zip_that_declares_a_huge_file_is_refused(tmp_path: Path) -> None:
    refused(declare(zipped(tmp_path / "x", {"1.png": b"one"}), 2**32 - 2), "expands to more than 256 MiB")


@pytest.mark.parametrize("declared", [10, 2**20])
def test_a_zip_that_lies_about_a_size_never_writes_more_than_it_declared(declared: int, tmp_path: Path) -> None:
    archive = declare(zipped(tmp_path / "x", {"1.png": bytes(300_000)}), declared)
    (folder := tmp_path / "out").mkdir()
    with pytest.raises(DataError, match="is damaged"):
        unpack(archive, folder)
    assert sum(path.stat().st_size for path in folder.rglob("*")) <= declared


# ---- what is damaged


def test_what_is_no_archive_is_said(tmp_path: Path) -> None:
    for index, content in enumerate(
        (b"", b"<html>Sign in</html>" * 50, b"PK but no zip", gzip.compress(b"words" * 500))
    ):
        (tmp_path / str(index)).mkdir()
        (archive := tmp_path / str(index) / "x.tar.gz").write_bytes(content)
        refused(archive, r"x\.tar\.gz is damaged or no tar, tar\.gz or zip archive")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        unpack(tmp_path / "missing", tmp_path)


@pytest.mark.parametrize("kind", ["w", "w:gz", "zip"])
def test_an_archive_cut_off_anywhere_is_never_taken_for_whole(kind: str, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    zipped(whole, FILES) if kind == "zip" else tar(whole, FILES, mode=kind)
    content = whole.read_bytes()
    # The last of a plain tar's two blocks of zeros, and the padding after it, are not missed.
    end = content.rstrip(b"\0") + bytes(-len(content.rstrip(b"\0")) % 512) if kind == "w" else content
    for cut in range(0, len(end), 1 if kind == "w:gz" else 64):
        (part := tmp_path / "part").write_bytes(content[:cut])
        (folder := tmp_path / "out").mkdir()
        with pytest.raises(DataError):
            unpack(part, folder)
        shutil.rmtree(folder)


@pytest.mark.parametrize("kind", ["w", "w:gz", "zip"])
@given(changes=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=20))
def test_a_damaged_archive_is_an_error_of_ours_or_unpacked_inside_its_folder(
    kind: str, changes: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("damaged")
    archive = root / "x"
    zipped(archive, FILES) if kind == "zip" else tar(archive, FILES, mode=kind)
    content = bytearray(archive.read_bytes())
    for position, value in changes:
        content[position % len(content)] = value
    archive.write_bytes(content)
    (folder := root / "out").mkdir()
    with contextlib.suppress(DataError, StorageError):
        unpack(archive, folder)
    assert set(everything(root)) - {f"out/{name}" for name in everything(folder)} == {"x", "out"}


def test_a_flipped_bit_in_a_gzip_is_found(tmp_path: Path) -> None:
    """By gzip's checksum, which tarfile alone would not read as far as."""
    archive = tmp_path / "x"
    plain = tar(tmp_path / "plain", FILES, mode="w").read_bytes()
    content = bytearray(gzip.compress(plain, compresslevel=0))
    content[content.index(b"oneone")] ^= 1
    archive.write_bytes(content)
    refused(archive, "CRC check failed")


# ---- where it is written to


def test_too_little_space_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2000, 1000, 1000))
    (folder := tmp_path / "out").mkdir()
    with pytest.raises(StorageError, match=r"unpacks to 0 MiB, but the disk has 0 MiB free.*--data-dir"):
        unpack(tar(tmp_path / "x", FILES), folder)
    assert everything(folder) == {}


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (folder := tmp_path / "out").mkdir()
    (folder / "set").write_text("in the way")
    with pytest.raises(StorageError, match=r"1\.png of x cannot be written"):
        unpack(tar(tmp_path / "x", FILES), folder)
