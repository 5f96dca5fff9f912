"""Files that another machine lacks: known by their content, sent in pieces, placed there once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from p2pbench.config.plugins import locate
from p2pbench.data.dataset import DataSet, content_key
from p2pbench.data.pairs import find_folder, find_pairs
from p2pbench.errors import DataError, StorageError
from p2pbench.scoring import weights
from p2pbench.system.cache_dir import home
from p2pbench.system.files import atomic_folder

PIECE_BYTES = 2**25

Piece = list[tuple[str, bytes]]
"""Names of files and what comes next in each; one that is longer than a piece goes on in the next."""


@dataclass(frozen=True)
class Parcel:
    key: str
    """A hash of what is in it."""
    files: tuple[tuple[str, Path], ...]
    """Each file's name there, with slashes, and where it lies here."""

    def pieces(self) -> Iterator[Piece]:
        """The files' content, about ``PIECE_BYTES`` at a time."""
        piece: Piece = []
        room = PIECE_BYTES
        for name, path in self.files:
            with path.open("rb") as stream:
                content = stream.read(room)
                piece.append((name, content))
                while len(content) == room:
                    yield piece
                    room = PIECE_BYTES
                    content = stream.read(room)
                    piece = [(name, content)]
                room -= len(content)
        yield piece


def of_data(dataset: DataSet) -> Parcel:
    """The images of a data set that is a folder."""
    root = find_folder(dataset.config.source)
    assert dataset.found is not None
    files = [file for pairs in dataset.found.values() for pair in pairs for file in pair.files]
    return Parcel(dataset.key, tuple((file.relative_to(root).as_posix(), file) for file in files))


def of_weights(nets: Sequence[str], weights_dir: Path | None) -> Parcel:
    """The pretrained networks among ``nets`` that are here."""
    found = [weights.locate(net, weights_dir) for net in nets if weights.usable(net, weights_dir)]
    return _by_content((path.name, path) for path in found if path is not None)


def of_code(references: Iterable[str]) -> Parcel:
    """The modules of the user's own functions, and the packages that they are in."""
    files: dict[str, Path] = {}
    for reference in references:
        source, parts = locate(reference), reference.partition(":")[0].split(".")
        if source.name == "__init__.py":
            parts.append("__init__")
        files["/".join(parts) + ".py"] = source
        for depth, folder in zip(range(len(parts) - 1, 0, -1), source.parents, strict=False):
            if (folder / "__init__.py").is_file():
                files["/".join([*parts[:depth], "__init__.py"])] = folder / "__init__.py"
    return _by_content(files.items())


def _by_content(files: Iterable[tuple[str, Path]]) -> Parcel:
    named = tuple(sorted(files))
    digest = hashlib.sha256()
    for name, path in named:
        digest.update(f"{name}:{weights.sha256(path)};".encode())
    return Parcel(digest.hexdigest(), named)


def place(key: str, pieces: Iterable[Piece]) -> Path:
    """The folder of the parcel ``key`` on this machine: there from before, else filled now, by one process at a time.

    Raises:
        StorageError: it cannot be written.
    """
    folder = home() / "sent" / key[:24]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if not folder.is_dir():
                with atomic_folder(folder) as new:
                    unpack(new, pieces)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror or error}") from None
    return folder


def unpack(folder: Path, pieces: Iterable[Piece]) -> None:
    """Write the files of ``pieces`` into ``folder``, which has none of them."""
    for piece in pieces:
        for name, content in piece:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as stream:
                stream.write(content)


def find_here(source: str, elsewhere: str, key: str) -> Path | None:
    """Where the data set with the content ``key`` lies on this machine, if it does.

    Args:
        source: what it is called; as a name, or a folder, that may mean another place here.
        elsewhere: its folder on the machine that asks: the same one, if they share their disk.
    """
    sent = home() / "sent" / key[:24]
    for folder in (Path(elsewhere), _named(source), sent):
        try:
            if folder is not None and folder.is_dir() and content_key(folder, find_pairs(folder)) == key:
                return folder.resolve()
        except (DataError, OSError):
            continue  # another data set, or half of one
    return None


def _named(source: str) -> Path | None:
    try:
        return find_folder(source)
    except DataError:
        return None
