"""Bring a data set of the paper onto this machine: download it or take an archive, verify, unpack, count its pairs.

All of that happens in a hidden folder beside the set's own, and a rename puts the set there. So it is whole or absent,
however a fetch ends; the next fetch removes what a killed one leaves.
"""

import re
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from p2pbench.curation.fetch import cityscapes
from p2pbench.curation.fetch.download import download
from p2pbench.curation.fetch.unpack import unpack
from p2pbench.data.catalogue import PAPER_SETS, counts, datasets_folder
from p2pbench.data.pairs import SPLITS, Pair, find_pairs
from p2pbench.errors import ConfigError, DataError, StorageError, unknown
from p2pbench.system import html
from p2pbench.system.files import Locked, locked, sha256_of, write_text
from p2pbench.system.progress import counted


@dataclass
class Fetched:
    """A data set that is now on this machine."""

    source: str
    folder: Path
    state: str
    """``fetched``, or ``already there``."""
    pairs: dict[str, int]
    origin: str | None = None
    """The address, archive or folder it came from."""
    sha256: str | None = None
    """The SHA-256 of the archive."""
    verified: str | None = None
    """What the hash was compared with, which nobody publishes: ``recorded`` or, at the first fetch, ``nothing``."""
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {**self.__dict__, "folder": str(self.folder)}


def describe_fetched(fetched: Fetched, *, named: bool) -> list[str]:
    """Lines that describe it for people; ``named`` says that it lies where its name alone finds it."""
    template, entry = Path(__file__).parent / "templates" / "fetched.txt", PAPER_SETS[fetched.source]
    return html.render(template, fetched=fetched, entry=entry, named=named).splitlines()


def fetch(
    name: str, *, archive: Path | None = None, url: str | None = None, data_dir: Path | None = None, console: Console
) -> Fetched:
    """Put the set ``name`` of the paper into ``data_dir`` (:func:`datasets_folder` unless given), under its name.

    It is taken from ``archive`` (for cityscapes also a folder), from ``url``, or from the mirrors in the catalogue. A
    set that is already there is left as it is, and nothing is downloaded.

    Raises:
        ConfigError: there is no such set, or the arguments contradict each other.
        DataError: it cannot be downloaded, is not what it should be, or holds no pairs.
        StorageError: there is no space, or a folder cannot be written.
        In each case nothing is left behind.
    """
    _check(name, archive, url)
    parent = (data_dir or datasets_folder()).expanduser()
    folder = parent / name
    if folder.exists() and not _leftovers(parent, name):
        return _already_there(name, folder)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:  # no other process fetches the same set into the same folder
            lock = parent / f".{name}.lock"
            try:
                stack.enter_context(locked(lock, seconds=0))
            except Locked:
                console.print(f"another fetch of {name} is running; waiting for it")
                stack.enter_context(locked(lock))
            for leftover in _leftovers(parent, name):
                shutil.rmtree(leftover)
            if folder.exists():  # another process has brought it meanwhile
                return _already_there(name, folder)
            with tempfile.TemporaryDirectory(prefix=f".{name}.", suffix=".part", dir=parent) as work:
                return _bring(name, archive, url, Path(work), folder, console)
    except OSError as error:
        raise StorageError(
            f"{parent} cannot be written: {error.strerror or error}; nothing was left half-done; make room, or name "
            "another place with --data-dir"
        ) from None


def _check(name: str, archive: Path | None, url: str | None) -> None:
    if name in ("photos", "drawn"):
        raise ConfigError(f"{name} is built in and needs no fetch: --set data.source={name}")
    if name not in PAPER_SETS:
        raise ConfigError(
            unknown("data set", name, PAPER_SETS) + "; pairs of your own need no fetch: --set data.source=FOLDER"
        )
    if archive is not None and url is not None:
        raise ConfigError("--from and --url were both given; the set comes from one of them")
    if url is not None and not re.match(r"(?i)https?://([^/?#\[\]]+|\[[\da-f:.]+\])([/?#]|$)", url):
        raise ConfigError(f"--url is {url!r}: give an http:// or https:// address; a file here is given with --from")
    if archive is not None and not archive.exists():
        raise ConfigError(f"--from is '{archive}': there is no such file or folder")
    if archive is not None and archive.is_dir() and name != "cityscapes":
        raise ConfigError(
            f"--from is '{archive}', a folder: give an archive (tar, tar.gz, zip); a folder of pairs needs no fetch: "
            f"--set data.source={archive}"
        )


def _leftovers(parent: Path, name: str) -> list[Path]:
    return list(parent.glob(f".{name}.*.part"))


def _already_there(name: str, folder: Path) -> Fetched:
    try:
        found = find_pairs(folder)
    except DataError as error:
        raise DataError(f"{folder} is there but unusable; remove it and fetch again ({error})") from None
    return Fetched(name, folder, "already there", counts(found), warnings=_deviations(name, found))


def _bring(name: str, archive: Path | None, url: str | None, work: Path, folder: Path, console: Console) -> Fetched:
    unpacked = work / "unpacked"
    unpacked.mkdir()
    fetched = Fetched(name, folder, "fetched", {}, str(archive))
    if archive is not None and archive.is_dir():
        with counted(console, f"combining {name}", "pairs") as progress:
            cityscapes.combine(archive, unpacked, progress)
        root, found = unpacked, find_pairs(unpacked)
    else:
        path = archive
        if path is None:
            path, fetched.origin = download(name, url, work / "download", console)
        console.print(f"verifying {path.name}", markup=False, soft_wrap=True)
        record = folder.parent / f"{name}.sha256"
        fetched.sha256, fetched.verified = _verify(path, record)
        with counted(console, f"unpacking {name}", "files") as progress:
            unpack(path, unpacked, progress)
        root, found = _find(name, unpacked, path.name)
        if fetched.verified == "nothing":
            known = {**_recorded(record), path.name: fetched.sha256}
            write_text(record, "".join(f"{digest}  {archive_name}\n" for archive_name, digest in known.items()))
    root.rename(folder)
    fetched.pairs, fetched.warnings = counts(found), _deviations(name, found)
    return fetched


def _find(name: str, unpacked: Path, archive: str) -> tuple[Path, dict[str, list[Pair]]]:
    """The folder of the splits in what ``archive`` held, often inside another one of the set's name; and the pairs."""
    root = unpacked
    while not any((root / split).is_dir() for split in (*SPLITS, "A", "B")):
        inside = [path for path in root.iterdir() if path.is_dir()]
        if len(inside) != 1:
            break
        root = inside[0]
    try:
        return root, find_pairs(root)
    except DataError as error:
        hint = "" if PAPER_SETS[name].mirrors else f"; {cityscapes.BY_HAND}"
        raise DataError(str(error).replace(str(unpacked), archive) + hint) from None


def _deviations(name: str, found: dict[str, list[Pair]]) -> list[str]:
    """Warnings for the splits whose counts differ from the published ones."""
    return [
        f"{split} has {here:,} pairs, where {name} has {n:,}: this is not the set of the paper"
        for split, n in PAPER_SETS[name].pairs.items()
        if (here := len(found.get(split, []))) != n
    ]


def _verify(path: Path, record: Path) -> tuple[str, str]:
    """The SHA-256 of the archive, and what it was compared with."""
    try:
        found = sha256_of(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    expected = _recorded(record).get(path.name)
    if expected is None:
        return found, "nothing"
    if found == expected:
        return found, "recorded"
    raise DataError(
        f"{path.name} has SHA-256 {found[:12]}..., not {expected[:12]}... as at the first fetch: it was damaged or "
        f"changed; if you trust it, remove {record} and fetch again"
    )


def _recorded(record: Path) -> dict[str, str]:
    """Hashes of archives fetched before, by file name, as ``sha256sum`` writes them."""
    lines = record.read_text(encoding="utf-8").splitlines() if record.is_file() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
