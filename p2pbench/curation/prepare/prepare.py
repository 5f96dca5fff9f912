"""Make a folder of pairs for training: from photos, from two folders, or from side-by-side images.

A source is searched with all its sub-folders but hidden ones; ``a/x.jpg`` becomes the pair ``a-x``. Everything is
written into a temporary folder, which is renamed at the end.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from p2pbench.curation.prepare.conditions import make_condition
from p2pbench.curation.prepare.recipe import Recipe
from p2pbench.curation.prepare.splits import name_of, parse_shares, split_of
from p2pbench.data.image_files import read_image
from p2pbench.data.pairs import SPLITS, SUFFIXES, Pair, read_pair
from p2pbench.errors import ConfigError, DataError
from p2pbench.system.cache_dir import home
from p2pbench.system.files import atomic_folder, sha256_of, write_json
from p2pbench.system.hardware import versions
from p2pbench.system.progress import Count, no_progress

SHARES = parse_shares("0.8,0.1,0.1")
"""The default shares of train, val and test."""
RECORD = "prepared.json"
VERSIONS = ("p2pbench", "git", "numpy", "pillow", "scikit-image", "torch")


class Job(NamedTuple):
    """One pair to be made, in its split; ``pair.b`` is its second source where there is one."""

    split: str
    pair: Pair


def prepare_pairs(
    source: str, out: Path, recipe: Recipe, mates: str | None = None, progress: Count = no_progress
) -> dict[str, Any]:
    """Make the pairs of the folder ``source`` (combined with ``mates``, the folder of B) in the folder ``out``.

    Returns:
        What is recorded in ``out/prepared.json``, with ``out`` and ``state``: ``prepared``, or ``already there`` where
        ``out`` holds the same preparation of the same images.
    Raises:
        ConfigError: ``out`` holds something else or lies in a source; the splits cannot be made as asked.
        DataError: no images, two of one name, one without its mate, or unreadable ones (all are named).
        StorageError: ``out`` cannot be written. Whatever is raised, nothing is left behind.
    """
    folders = [_folder(name) for name in (source, mates) if name is not None]
    _check_out(out, folders)
    ignored: Counter[str] = Counter()
    jobs, how = _plan(folders, recipe, ignored)
    record: dict[str, Any] = {
        "schema_version": 1,
        "settings": recipe.settings(),
        "splits": {split: sum(job.split == split for job in jobs) for split in SPLITS},
    }
    if out.is_dir() and any(out.iterdir()):
        there = _check_same(out, record, jobs, recipe, progress)
        return {"out": str(out), "state": "already there", **there}
    with atomic_folder(out.resolve()) as part:
        for folder in {file.parent for job in jobs for file in _files(job, recipe)}:
            (part / folder).mkdir(parents=True)
        record["content"] = _each(jobs, lambda job: _make(job, recipe, part), progress)
        record |= {"source": source, "with": mates, "split": how, "ignored": dict(sorted(ignored.items()))}
        record["versions"] = {name: version for name, version in versions().items() if name in VERSIONS}
        write_json(part / RECORD, record)
    return {"out": str(out), "state": "prepared", **record}


# ---- which pairs


def _folder(name: str) -> Path:
    for folder in (Path(name).expanduser(), home() / "data" / name):
        if folder.is_dir():
            return folder
    raise DataError(f"{name!r} is no folder here, nor a data set kept in {home() / 'data'}; name a folder of images")


def _check_out(out: Path, folders: list[Path]) -> None:
    resolved = out.resolve()
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} is a file; name a new folder")
    if resolved == Path.cwd():
        raise ConfigError(f"--out {out} is the folder you are in, which would be replaced; name a new one")
    for folder in folders:
        if resolved.is_relative_to(folder.resolve()):
            raise ConfigError(f"--out {out} lies in the source {folder} and would be read as one; name another folder")


def _plan(folders: list[Path], recipe: Recipe, ignored: Counter[str]) -> tuple[list[Job], str]:
    """Every pair that is to be made, in order, and how they were split; counts in ``ignored`` what is no image."""
    found = [_find(folder, ignored) for folder in folders]
    if len(found) == 2:
        _check_mates(found, folders)
    has_splits = all(split for split, _ in found[0])
    if has_splits and (recipe.shares is not None or recipe.table is not None):
        raise ConfigError(f"{folders[0]} has splits of its own, which are kept; leave --split and --split-file out")
    splits, how = ({}, "kept") if has_splits else _assign([name for _, name in found[0]], recipe)
    jobs = [
        Job(split or splits[name], Pair(name, path, found[1][split, name] if len(found) == 2 else None))
        for (split, name), path in found[0].items()
    ]
    count = Counter(job.split for job in jobs)
    if not count["train"] or not count["val"] + count["test"]:
        raise ConfigError(
            f"of the {len(jobs)} images in {folders[0]}, {count['train']} would be for training and "
            f"{count['val'] + count['test']} to test on, and both need some; "
            + ("add the missing one's folder" if has_splits else "use other shares (--split), --seed, or --split-file")
        )
    return sorted(jobs, key=lambda job: (SPLITS.index(job.split), job.pair.name)), how


def _find(folder: Path, ignored: Counter[str]) -> dict[tuple[str, str], Path]:
    """The images of ``folder`` by (split, name); the split is empty where the folder has no split folders."""
    splits = [split for split in SPLITS if (folder / split).is_dir()]
    found: dict[tuple[str, str], Path] = {}
    spelled: dict[tuple[str, str], Path] = {}
    for path in _walk(folder):
        relative = path.relative_to(folder)
        if path.suffix.lower() not in SUFFIXES:
            ignored[path.suffix.lower() or "no suffix"] += 1
            continue
        split = relative.parts[0] if splits else ""
        if split not in (splits or [""]):
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
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(walked, name) for name in sorted(files) if not name.startswith("."))


def _check_mates(found: list[dict[tuple[str, str], Path]], folders: list[Path]) -> None:
    lonely = [
        f"{path} (not in {folders[1 - side]})"
        for side in (0, 1)
        for key, path in found[side].items()
        if key not in found[1 - side]
    ]
    if lonely:
        raise DataError(f"{_some(lonely)}: no mate of the same name; add the mate or remove the image")


def _assign(names: list[str], recipe: Recipe) -> tuple[dict[str, str], str]:
    """The split of every name, by the table or by the shares; and which of them."""
    if recipe.table is None:
        shares = recipe.shares or SHARES
        return {name: split_of(name, shares, recipe.seed) for name in names}, ",".join(map(str, shares))
    if absent := [name for name in names if name not in recipe.table]:
        raise ConfigError(f"--split-file has no line for {_some(absent)}; add the missing lines")
    if absent := sorted(recipe.table.keys() - set(names)):
        raise ConfigError(f"--split-file names {_some(absent)}, but there is no such image; remove the line")
    return dict(recipe.table), "file"


def _some(items: list[str]) -> str:
    """The first few of ``items``, and how many more."""
    return ", ".join(items[:5]) + (f" and {len(items) - 5} more" if len(items) > 5 else "")


# ---- making them


def _files(job: Job, recipe: Recipe) -> list[Path]:
    """What is written for a pair, below the folder of the preparation."""
    file = f"{job.pair.name}.{recipe.format}"
    return [Path(side, job.split, file) for side in "AB"] if recipe.make == "halves" else [Path(job.split, file)]


def _make(job: Job, recipe: Recipe, folder: Path) -> str:
    """Write the files of one pair; returns the hash of its sources."""
    if recipe.condition is None:
        halves = [
            _fit(half, recipe, label=recipe.labels == side)
            for side, half in zip("ab", read_pair(job.pair), strict=True)
        ]
    else:
        photo = _fit(read_image(job.pair.a), recipe, label=False)
        halves = [make_condition(photo, recipe.condition, recipe.parameters, f"{recipe.seed}:{job.pair.name}"), photo]
    files = _files(job, recipe)
    images = halves if len(files) == 2 else [np.concatenate(halves, axis=1)]
    # In JPEG, colour at full resolution: at half of it, the colours of the two halves would mix at the seam. In PNG,
    # Pillow's own level 6 takes facades four times as long, for files 2 % smaller.
    jpeg = {"quality": recipe.quality, "subsampling": 0}
    encoding: dict[str, Any] = {"compress_level": 4} if recipe.quality is None else jpeg
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image).save(folder / file, **encoding)
    return _hash(job)


def _fit(image: np.ndarray, recipe: Recipe, *, label: bool) -> np.ndarray:
    """``image`` at the recipe's size: bicubic with antialiasing, labels by the nearest pixel."""
    if recipe.size is None or image.shape[:2] == recipe.size:
        return image
    size = recipe.size[::-1]
    resampling = Image.Resampling.NEAREST if label else Image.Resampling.BICUBIC
    whole = Image.fromarray(image)
    return np.asarray(
        whole.resize(size, resampling) if recipe.fit == "stretch" else ImageOps.fit(whole, size, resampling)
    )


def _hash(job: Job) -> str:
    try:
        return "+".join(sha256_of(path) for path in job.pair.files)
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}") from None


def _each(jobs: list[Job], work: Callable[[Job], str], progress: Count) -> str:
    """Do ``work``, which hashes a pair's sources, on each pair; returns a hash of all with their names and splits.

    Raises:
        DataError: some could not be read; names them all.
    """

    def attempt(job: Job) -> str | DataError:
        try:
            return work(job)
        except DataError as error:
            return error

    digest, errors = hashlib.sha256(), []
    with ThreadPoolExecutor() as pool:  # Pillow decodes and resizes outside the interpreter's lock
        for done, (job, found) in enumerate(zip(jobs, pool.map(attempt, jobs), strict=True), start=1):
            if isinstance(found, DataError):
                errors.append(str(found))
            else:
                digest.update(f"{job.split}/{job.pair.name} {found}\n".encode())
            progress(done, len(jobs))
    if len(errors) == 1:
        raise DataError(f"{errors[0]}; nothing was written")
    if errors:
        raise DataError(
            "\n  ".join([f"{len(errors)} of {len(jobs)} images cannot be used; nothing was written", *errors])
        )
    return digest.hexdigest()


# ---- what is there already


def _check_same(out: Path, record: dict[str, Any], jobs: list[Job], recipe: Recipe, progress: Count) -> dict[str, Any]:
    """The record in ``out``. Raises :class:`ConfigError` unless it is of the same preparation, and whole."""
    try:
        there = json.loads((out / RECORD).read_text(encoding="utf-8"))
        settings, content = dict(there["settings"]), there["content"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"--out {out} is not empty and holds no preparation; name a new folder") from None
    was, now = settings, {**dict.fromkeys(settings, "unused"), **record["settings"]}
    other = [f"{key} {was.get(key)}, now {now[key]}" for key in now if was.get(key) != now[key]]
    if other:
        raise ConfigError(f"--out {out} holds another preparation ({'; '.join(other)}); name a new folder")
    if _each(jobs, _hash, progress) != content:
        raise ConfigError(f"--out {out} was prepared from other images, or other splits of them; name a new folder")
    wanted = {file for job in jobs for file in _files(job, recipe)}
    found = {path.relative_to(out) for path in out.rglob("*") if path.suffix.lower() in SUFFIXES}
    if wanted != found:
        one = sorted(str(path) for path in wanted ^ found)
        raise ConfigError(f"--out {out} has been changed since ({_some(one)} added or removed); name a new folder")
    return dict(there)
