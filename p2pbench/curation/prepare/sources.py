"""The images that pairs are made of: found in one folder or two, with their splits and their mates."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from p2pbench.curation.prepare.splits import name_of
from p2pbench.data.pairs import SPLITS, SUFFIXES, is_hidden
from p2pbench.errors import ConfigError, DataError
from p2pbench.system.cache_dir import home

Found = dict[tuple[str, str], Path]
"""Images by (split, name); the split is empty where the folder has no split folders."""
SIDES = (("A", "B"), ("input", "target"))
"""How the folders of the two sides are called."""


def folder_of(name: str) -> Path:
    """The folder ``name``, or the data set of that name on this machine. Raises :class:`DataError`: there is none."""
    for folder in (Path(name).expanduser(), home() / "data" / name):
        if folder.is_dir():
            return folder
    raise DataError(f"{name!r} is no folder here, nor a data set kept in {home() / 'data'}; name a folder of images")


def sides_of(folder: Path) -> list[tuple[str, Path, Path]]:
    """The folders of both sides inside ``folder``, each with its split; none where it has no such folders.

    They are called ``trainA`` and ``trainB``, ``train/A`` and ``train/B``, ``A/train`` and ``B/train``, or ``input``
    and ``target`` in the same places; without a split's folder, ``A`` and ``B``.
    """
    found = []
    for a, b in SIDES:
        for split in SPLITS:
            shapes = ("{split}{side}", "{split}/{side}", "{side}/{split}")
            left, right = ([folder / shape.format(split=split, side=side) for shape in shapes] for side in (a, b))
            both = zip((split,) * len(shapes), left, right, strict=True)
            found += [place for place in both if place[1].is_dir() and place[2].is_dir()]
        if not found and (folder / a).is_dir() and (folder / b).is_dir():
            found.append(("", folder / a, folder / b))
        if found:
            break
    return found


def find_sources(
    folders: list[Path], patterns: tuple[str, str] | None, ignored: Counter[str], *, two_sided: bool
) -> list[Found]:
    """The images that pairs are made of: those of one folder, or those of A and of B under the same keys.

    Args:
        folders: the folder of all, or those of A and of B.
        patterns: how the files of A and of B are named, ``*`` being what both have in common; None where it is all.
        ignored: is given the numbers of what is left out.
        two_sided: read the folders of A and B inside a single folder, where it has them.
    Raises:
        DataError: no images, two of one name, or one without its mate.
    """
    if len(folders) == 1 and two_sided and patterns is None:
        found: list[Found] = [{}, {}]
        for split, *sides in sides_of(folders[0]):
            for images, side in zip(found, sides, strict=True):
                images |= {(split, name): path for (_, name), path in _find(side, ignored, splits=()).items()}
        folders = folders * 2
    else:
        found = [_find(folder, ignored) for folder in folders]
        if patterns is not None:
            found = _by_patterns(found, patterns, ignored)
            folders = folders * (2 // len(folders))
    if len(found) == 2:
        _check_mates(found, folders)
    return found


def _by_patterns(found: list[Found], patterns: tuple[str, str], ignored: Counter[str]) -> list[Found]:
    """The images of A and of B by what ``*`` stands for in their names; what fits no pattern is counted."""
    made: list[Found] = [{}, {}]
    rules = [re.compile("(.+)".join(map(re.escape, pattern.split("*")))) for pattern in patterns]
    for place, images in enumerate(found):
        for (split, name), path in images.items():
            fits = [
                (side, match[1])
                for side in ((place,) if len(found) == 2 else (0, 1))
                if (match := rules[side].fullmatch(name))
            ]
            if len(fits) > 1:
                raise DataError(f"{path} fits both patterns of --names, {' and '.join(patterns)}; make them differ")
            if not fits:
                ignored[f"named as neither {' nor '.join(patterns)}"] += 1
            else:
                ((side, common),) = fits
                made[side][split, common] = path
    if not made[0] or not made[1]:
        lacks = patterns[0] if not made[0] else patterns[1]
        raise DataError(f"no image is named as {lacks}; --names says how the files of A and of B are called")
    return made


def _find(folder: Path, ignored: Counter[str], splits: tuple[str, ...] = SPLITS) -> Found:
    """The images of ``folder`` and below; counts in ``ignored`` what is no image."""
    splits = tuple(split for split in splits if (folder / split).is_dir())
    found: Found = {}
    spelled: Found = {}
    for path in _walk(folder):
        relative = path.relative_to(folder)
        if path.suffix.lower() not in SUFFIXES:
            ignored[path.suffix.lower() or "no suffix"] += 1
            continue
        split = relative.parts[0] if splits else ""
        if split not in (splits or ("",)):
            raise DataError(f"{path} is in none of the folders {', '.join(splits)} of {folder}; move it into one")
        name = name_of(relative.relative_to(split))
        # Not every file system tells x from X: there, one would be written over the other.
        other = spelled.setdefault((split, name.casefold()), path)
        if other is not path:
            raise DataError(f"{other} and {path} would both become {name!r}; rename or remove one of them")
        found[split, name] = path
    if not found:
        raise DataError(f"{folder} holds no images ({', '.join(SUFFIXES)}), nor do its sub-folders")
    return found


def _walk(folder: Path) -> Iterator[Path]:
    """The files in ``folder`` and below, in order, links followed, without hidden ones."""

    def fail(error: OSError) -> None:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}")

    for walked, folders, files in os.walk(folder, followlinks=True, onerror=fail):
        here = Path(walked).absolute()
        if any(parent.samefile(here) for parent in here.parents):  # a link that leads back up
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not is_hidden(Path(name)))
        yield from (Path(walked, name) for name in sorted(files) if not is_hidden(Path(name)))


def _check_mates(found: list[Found], folders: list[Path]) -> None:
    lonely = [
        f"{path} (not in {folders[1 - side]})"
        for side in (0, 1)
        for key, path in found[side].items()
        if key not in found[1 - side]
    ]
    if lonely:
        raise DataError(
            f"{some(lonely)}: no mate of the same name; add the mate or remove the image; or, where the names of A and "
            "B differ, say how with --names, as in '*_A,*_B'"
        )


def some(items: list[str]) -> str:
    """The first few of ``items``, and how many more."""
    return ", ".join(items[:5]) + (f" and {len(items) - 5} more" if len(items) > 5 else "")


def parse_patterns(text: str) -> tuple[str, str]:
    """The two patterns in ``text``, as in ``*_A,*_B``. Raises :class:`ConfigError`."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or any(part.count("*") != 1 for part in parts) or parts[0] == parts[1]:
        raise ConfigError(
            f"--names is {text!r}: give how the files of A and of B are named, without suffix, with one * in each for "
            "what they have in common, as in '*_A,*_B'"
        )
    return parts[0], parts[1]
