"""The pairs of a data set: how they are found in its folder, and how one is read.

A data set is a folder with the splits ``train``, ``test`` and optionally ``val``, in one of these layouts:

    ROOT/train/x.jpg                     A and B side by side in one image, A on the left (pix2pix's own layout)
    ROOT/train/A/x.png, ROOT/train/B/x.png
    ROOT/A/train/x.png, ROOT/B/train/x.png

Finding pairs imports neither torch nor numpy, so that a plan is made at once.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from p2pbench.errors import DataError
from p2pbench.system.cache_dir import home
from p2pbench.system.files import entries

if TYPE_CHECKING:
    from p2pbench.data.images import Images, Stored, Wanted

SUFFIXES = (
    ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".npy", ".pbm", ".pfm", ".pgm", ".png", ".pnm",
    ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Pair:
    """Two images that belong together: one side-by-side file, or one file each."""

    name: str
    a: Path
    b: Path | None
    """None where ``a`` holds both halves."""

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.a,) if self.b is None else (self.a, self.b)


@dataclass(frozen=True)
class Fault:
    """What keeps an image from being one of a pair, found without opening it."""

    kind: Literal["missing-mate", "same-name", "dead-link"]
    path: Path
    message: str
    """Which image it is, what is wrong with it and the way out."""


def find_folder(source: str) -> Path:
    """The folder that ``source`` names: a path, or a data set under :func:`p2pbench.system.cache_dir.home`.

    Raises:
        DataError: there is none.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    kept = home() / "data" / source
    if "/" not in source and kept.is_dir():
        return kept
    if folder.is_file():
        raise DataError(f"data source {source!r} is a file; name the folder of pairs, which holds train/ and test/")
    elsewhere = "" if "/" in source else f", nor is it at {kept}"
    raise DataError(
        f"data source {source!r} is neither a built-in (photos, drawn) nor a folder here{elsewhere}; name a folder of "
        "pairs (of a run's data that have moved: --set data.source=FOLDER), or see p2pbench data list for what "
        "p2pbench data fetch brings"
    )


def if_a_split(root: Path) -> str:
    """What to name instead of ``root``, as the end of a sentence, where it is a split's folder; else nothing."""
    absolute = root.absolute()
    is_split = absolute.name in SPLITS
    return f"; this looks like one split: name the folder above it, {absolute.parent}" if is_split else ""


def find_pairs(root: Path) -> dict[str, list[Pair]]:
    """The pairs of every split of the data set at ``root``, each in the order of their names.

    A set without a ``test`` split is tested on ``val`` (as maps, cityscapes and edges2shoes are).

    Raises:
        DataError: there are no training pairs, no test pairs, or an image without its mate, which is named.
        StorageError: a folder cannot be read.
    """
    found, faults = survey(root)
    if faults:
        more = f" (and {len(faults) - 1} more such faults: p2pbench data check names all)" if len(faults) > 1 else ""
        raise DataError(f"{faults[0].message}{more}")
    splits = {split: pairs for split, pairs in found.items() if pairs}
    if "train" not in splits:
        raise DataError(
            f"{root}: no training pairs; expected side-by-side images ({', '.join(SUFFIXES)}) in {root / 'train'}, "
            f"or same-named images in train/A and train/B, or in A/train and B/train{if_a_split(root)}"
        )
    if "test" not in splits and "val" in splits:
        splits["test"] = splits.pop("val")
    if "test" not in splits:
        raise DataError(f"{root}: no test pairs; scores need images that training has not seen, in {root / 'test'}")
    return splits


def survey(root: Path) -> tuple[dict[str, list[Pair]], list[Fault]]:
    """The pairs of every split that has a folder, perhaps none, and every image that belongs to no pair."""
    splits: dict[str, list[Pair]] = {}
    faults: list[Fault] = []
    for split in SPLITS:
        for a, b in ((root / split / "A", root / split / "B"), (root / "A" / split, root / "B" / split)):
            if a.is_dir() or b.is_dir():
                splits[split] = _mates(a, b, faults)
                break
        else:
            if (root / split).is_dir():
                splits[split] = [Pair(name, path, None) for name, path in _scan(root / split, faults).items()]
    return splits, faults


def _mates(a: Path, b: Path, faults: list[Fault]) -> list[Pair]:
    left, right = (_scan(folder, faults) for folder in (a, b))
    for name in sorted(left.keys() ^ right.keys()):
        has, lacks = (left[name], b) if name in left else (right[name], a)
        message = f"{has} has no mate of the same name in {lacks}; add the mate or remove the image"
        faults.append(Fault("missing-mate", has, message))
    # In the order of the names as the files have them: run ids hash it, so that it is no natural order either.
    both = sorted(left.keys() & right.keys(), key=lambda name: left[name].stem)
    return [Pair(name, left[name], right[name]) for name in both]


def images_by_name(folder: Path) -> dict[str, Path]:
    """The images directly in ``folder`` by their name without suffix, 2 before 10; none where there is no such folder.

    Raises:
        DataError: there are two images of one name, or a link that leads nowhere.
        StorageError: the folder cannot be read.
    """
    faults: list[Fault] = []
    found = _scan(folder, faults)
    if faults:
        raise DataError(faults[0].message)
    return {name: found[name] for name in sorted(found, key=natural)}


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts names with their numbers by value: x2 before x10."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if part.isdecimal() and part.isascii() else (-1, part) for part in parts]


def is_hidden(path: Path) -> bool:
    """Whether a system left the file or folder there, not a person: ``._1.jpg``, ``.DS_Store``, ``Thumbs.db``."""
    return path.name.startswith(".") or path.name in ("Thumbs.db", "desktop.ini", "__MACOSX")


def name_of(path: Path) -> str:
    """The name by which an image is matched: without its suffix, in Unicode's composed form.

    macOS writes the letters and the accents of a name apart, other systems as one.
    """
    return unicodedata.normalize("NFC", path.stem)


def left_out(root: Path, folders: Iterable[Path]) -> dict[str, int]:
    """What below ``root`` is not read, of which only ``folders`` are: images elsewhere, and files that are no images.

    Returns:
        Their number by words such as ``images in train/deep`` or ``.heic files in train``.
    """
    read, counts = {folder.resolve() for folder in folders}, Counter[str]()
    for walked, inner, files in os.walk(root):
        inner[:] = sorted(name for name in inner if not is_hidden(Path(name)))
        folder = Path(walked)
        where, is_read = folder.relative_to(root).as_posix(), folder.resolve() in read
        for path in (Path(name) for name in files):
            suffix = path.suffix.lower()
            if (suffix in SUFFIXES) == is_read or is_hidden(path):
                continue
            counts[f"{suffix or 'other'} files in {where}" if is_read else f"images in {where}"] += 1
    return dict(counts)


def _scan(folder: Path, faults: list[Fault]) -> dict[str, Path]:
    """The images directly in ``folder`` by name; those that cannot be named or followed are added to ``faults``."""
    found: dict[str, Path] = {}
    for path in entries(folder):
        if path.suffix.lower() not in SUFFIXES or path.is_dir() or is_hidden(path):
            continue
        name = name_of(path)
        if not path.is_file():
            faults.append(Fault("dead-link", path, f"{path} cannot be read: a link that leads nowhere"))
        elif name in found:
            message = f"{found[name]} and {path.name} have the same name; rename or remove one of them"
            faults.append(Fault("same-name", path, message))
        else:
            found[name] = path
    return found


def read_both(pair: Pair) -> tuple[Stored, Stored]:
    """What the files of ``pair`` hold of A and of B.

    Raises:
        DataError: a file cannot be read, or as :func:`both_of`.
    """
    from p2pbench.data.image_files import read

    return both_of(pair, [read(path) for path in pair.files])


def both_of(pair: Pair, files: Sequence[Stored]) -> tuple[Stored, Stored]:
    """A and B, given what each of ``pair.files`` holds.

    Raises:
        DataError: a side-by-side file has no middle, or A and B differ in size.
    """
    if pair.b is None:
        return files[0].halves()
    a, b = files
    if a.size != b.size:
        sizes = " and ".join(f"{width}x{height}" for width, height in (a.size, b.size))
        raise DataError(f"{pair.a} and {pair.b} differ in size ({sizes}): the images of a pair are equally large")
    return a, b


def preview_pair(pair: Pair) -> Images:
    """A and B of ``pair`` as pictures for people; see :func:`p2pbench.data.images.picture_of`."""
    from p2pbench.data.images import picture_of

    a, b = read_both(pair)
    return picture_of(a.opaque("white")), picture_of(b.opaque("white"))


def read_wanted(pair: Pair, wanted: tuple[Wanted, Wanted]) -> Images:
    """A and B of ``pair``, each (H, W, channels), uint8 or uint16, as ``wanted`` of A and of B.

    Raises:
        DataError: as :func:`read_both`, or a file needs another setting, which is named.
    """
    from p2pbench.data.images import as_wanted

    a, b = read_both(pair)
    return as_wanted(a, wanted[0]), as_wanted(b, wanted[1])
