"""Files are whole or absent, also when the disk is full."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from p2pbench.errors import RunBusy, StorageError
from p2pbench.system import files
from p2pbench.system.files import (
    Locked,
    atomic,
    atomic_folder,
    locked,
    remembered_sha256,
    sha256_of,
    write_json,
    write_text,
)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "first")
    with pytest.raises(ZeroDivisionError), atomic(path) as part:
        part.write_text(f"half {1 / 0}")
    assert path.read_text() == "first"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_colleagues_can_read_what_the_umask_lets_them(mask: int, tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from p2pbench.system.files import write_text; "
    code += "write_text(Path(sys.argv[1]), 'x')"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=True, umask=mask)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"below\.txt cannot be written: .*file is a file, where a folder is wanted"):
        write_text(tmp_path / "file" / "below.txt", "x")


@pytest.mark.parametrize("make", [atomic, atomic_folder])
def test_an_error_of_the_block_that_is_not_of_the_writing_keeps_its_name(
    make: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError), make(tmp_path / "made"):
        (tmp_path / "what is read").read_bytes()
    with pytest.raises(ConnectionRefusedError), make(tmp_path / "made"):
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    with pytest.raises(OSError, match="broken data stream") as caught, make(tmp_path / "made"):
        raise OSError("broken data stream when reading image file")
    assert not isinstance(caught.value, StorageError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [atomic, atomic_folder])
@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), OSError("8 requested and 4 written"),
     OSError("encoder error -2 when writing image file")],
)  # fmt: skip
def test_an_error_of_the_writing_names_what_cannot_be_written(
    error: OSError, make: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match="made cannot be written"), make(tmp_path / "made"):
        raise error
    with pytest.raises(StorageError, match="made cannot be written"), make(tmp_path / "made") as part:
        (part / "below").write_text("") if part.is_file() else (part / "no" / "folder").write_text("")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_freed_when_its_block_ends(tmp_path: Path) -> None:
    """Not when the lock is collected as garbage: an error that is kept keeps the block's variables."""
    path = tmp_path / "deep" / "lock"
    kept: list[BaseException] = []
    try:
        with locked(path):
            with pytest.raises(Locked, match="is held by another process"), locked(path, seconds=0):
                pass
            raise ZeroDivisionError
    except ZeroDivisionError as error:
        kept.append(error)
    with locked(path, seconds=0):
        pass
    with (
        locked(path),
        pytest.raises(RunBusy, match="own words"),
        locked(path, seconds=0, held=RunBusy("own words")),
    ):
        pass


def test_a_lock_in_the_cache_that_cannot_be_written_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").write_text("")
    monkeypatch.setenv("P2PBENCH_HOME", str(tmp_path / "home"))
    with pytest.raises(StorageError, match="set P2PBENCH_HOME"), locked(tmp_path / "home" / "decoded" / "lock"):
        pass


def test_a_files_hash_is_remembered_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    before = path.stat()
    first = remembered_sha256(path)
    monkeypatch.setattr(files, "sha256_of", lambda _: "read again")
    assert remembered_sha256(path) == first
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # a copy may bring the size and the time of change
    assert remembered_sha256(path) == "read again"


def test_hashes_are_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_hash_of_a_folder_changes_with_its_files(tmp_path: Path) -> None:
    """They are read once a process, but what is changed, if only to as many bytes, renamed or gone is seen."""
    for name, content in (("a", b"1"), ("b", b"2")):
        (tmp_path / name).write_bytes(content)
    seen = [sha256_of(tmp_path)]
    assert sha256_of(tmp_path) == seen[0]
    (tmp_path / "a").write_bytes(b"3")
    seen.append(sha256_of(tmp_path))
    (tmp_path / "a").rename(tmp_path / "c")
    seen.append(sha256_of(tmp_path))
    (tmp_path / "b").unlink()
    seen.append(sha256_of(tmp_path))
    (tmp_path / "b").write_bytes(b"2")
    assert len(set(seen)) == 4
    assert sha256_of(tmp_path) == seen[2]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    with pytest.raises(ZeroDivisionError), atomic_folder(folder) as new:
        (new / "a").write_text(f"half {1 / 0}")
    assert list(folder.parent.iterdir()) == []
    folder.mkdir()  # an empty one is replaced
    with atomic_folder(folder) as new:
        (new / "a").write_text("whole")
        assert list(folder.iterdir()) == []
    assert [path.name for path in folder.parent.iterdir()] == ["folder"]
    assert [path.name for path in folder.iterdir()] == ["a"]


def test_a_folder_is_filled_by_one_process_and_never_replaces_files(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with atomic_folder(folder) as new:
        (new / "a").write_text("first")
        with pytest.raises(StorageError, match="being written by another process"), atomic_folder(folder):
            pass
    with pytest.raises(StorageError, match="not empty"), atomic_folder(folder) as new:
        (new / "a").write_text("second")
    assert (folder / "a").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    left = tmp_path / ".folder.part"
    (left / "new" / "sub").mkdir(parents=True)
    (left / "new" / "sub" / "half").write_text("")
    (left / "lock").write_text("")
    with atomic_folder(tmp_path / "folder") as new:
        assert list(new.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


FULL_DISK = """
import ctypes, sys
from pathlib import Path
from p2pbench.errors import StorageError
from p2pbench.system.files import write_text
folder = Path(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS = 0x00020000
MS_REC_PRIVATE = (1 << 18) | (1 << 14)
if libc.unshare(CLONE_NEWNS) or libc.mount(None, b"/", None, MS_REC_PRIVATE, None):
    sys.exit(77)
if libc.mount(b"none", str(folder).encode(), b"tmpfs", 0, b"size=64k"):
    sys.exit(77)
write_text(folder / "kept.txt", "small")
try:
    write_text(folder / "kept.txt", "x" * 1_000_000)
except StorageError as error:
    print(error)
assert (folder / "kept.txt").read_text() == "small"
assert [p.name for p in folder.iterdir()] == ["kept.txt"]
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a small tmpfs needs Linux")
def test_a_full_disk_keeps_the_old_file_and_says_so(tmp_path: Path) -> None:
    """On a real disk of 64 KiB, in a mount namespace of its own; needs root, or skips."""
    assert ctypes.CDLL(None)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode == 77:
        pytest.skip("this user may not mount a tmpfs")
    assert done.returncode == 0, done.stderr
    assert "No space left on device" in done.stdout
    assert "nothing was left half-done" in done.stdout


def test_names_that_are_no_unicode_are_written_and_read_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    write_json(tmp_path / "x.json", {name: 1})
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {name: 1}
