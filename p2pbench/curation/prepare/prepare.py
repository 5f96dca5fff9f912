"""Make a folder of pairs for training: from photos, from two folders, or from side-by-side images.

A source is searched with all its sub-folders but hidden ones; ``a/x.jpg`` becomes the pair ``a-x``. Everything is
written into a temporary folder, which is renamed at the end.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from p2pbench.curation.prepare.conditions import make_condition
from p2pbench.curation.prepare.recipe import Recipe
from p2pbench.curation.prepare.sources import find_sources, folder_of, some
from p2pbench.curation.prepare.splits import parse_shares, split_of
from p2pbench.curation.prepare.written import as_held, extra_of, fitted, of_file, photo_of, write
from p2pbench.data.image_files import read
from p2pbench.data.pairs import SPLITS, SUFFIXES, Pair, both_of
from p2pbench.errors import ConfigError, DataError, P2PBenchError
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
    source: str, out: Path, recipe: Recipe, mates: str | None = None, progress: Count = no_progress,
    caution: Callable[[str], None] = lambda _said: None,
) -> dict[str, Any]:  # fmt: skip
    """Make the pairs of the folder ``source`` (combined with ``mates``, the folder of B) in the folder ``out``.

    Args:
        caution: told, before anything is made, that photos look like pairs.
    Returns:
        What is recorded in ``out/prepared.json``, with ``out`` and ``state``: ``prepared``, or ``already there`` where
        ``out`` holds the same preparation of the same images.
    Raises:
        ConfigError: ``out`` holds something else or lies in a source; the splits cannot be made as asked.
        DataError: no images, two of one name, one without its mate, or unreadable ones (all are named).
        StorageError: ``out`` cannot be written. Whatever is raised, nothing is left behind.
    """
    folders = [folder_of(name) for name in (source, mates) if name is not None]
    _check_out(out, folders)
    ignored: Counter[str] = Counter()
    jobs, how = _plan(folders, recipe, ignored)
    if recipe.make == "condition" and (said := _looks_like_pairs(jobs[0].pair.a)):
        caution(said)
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
    found = find_sources(folders, recipe.names, ignored, two_sided=recipe.make == "combine")
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


def _looks_like_pairs(photo: Path) -> str | None:
    """A caution where a photo is twice as wide as high, as files are that hold a pair side by side; else None."""
    try:
        width, height = read(photo).size
    except P2PBenchError:
        return None  # it is named where the pairs are made
    if width != 2 * height:
        return None
    return (
        f"{photo} is {width}x{height}: each file is taken as one photo, of which the condition is made; where files "
        "hold a pair side by side, use --halves"
    )


def _assign(names: list[str], recipe: Recipe) -> tuple[dict[str, str], str]:
    """The split of every name, by the table or by the shares; and which of them."""
    if recipe.table is None:
        shares = recipe.shares or SHARES
        return {name: split_of(name, shares, recipe.seed) for name in names}, ",".join(map(str, shares))
    if absent := [name for name in names if name not in recipe.table]:
        raise ConfigError(f"--split-file has no line for {some(absent)}; add the missing lines")
    if absent := sorted(recipe.table.keys() - set(names)):
        raise ConfigError(f"--split-file names {some(absent)}, but there is no such image; remove the line")
    return dict(recipe.table), "file"


# ---- making them


def _files(job: Job, recipe: Recipe) -> list[Path]:
    """What is written for a pair, below the folder of the preparation."""
    file = f"{job.pair.name}.{recipe.format}"
    apart = recipe.make == "halves" or recipe.format == "tif"
    return [Path(side, job.split, file) for side in "AB"] if apart else [Path(job.split, file)]


def _make(job: Job, recipe: Recipe, folder: Path) -> str:
    """Write the files of one pair; returns the hash of its sources."""
    extras: list[str | None] = [None, None]
    if recipe.condition is None:
        halves, extras = _read(job.pair, recipe)
    else:
        stored = read(job.pair.a)
        (photo,) = as_held([fitted(photo_of(stored, recipe), recipe, label=False)], [stored], recipe)
        halves = [make_condition(photo, recipe.condition, recipe.parameters, f"{recipe.seed}:{job.pair.name}"), photo]
    files = _files(job, recipe)
    if len(files) == 1:
        write(folder / files[0], np.concatenate(halves, axis=1), recipe)
    else:
        for file, image, extra in zip(files, halves, extras, strict=True):
            write(folder / file, image, recipe, extra)
    return _hash(job)


def _read(pair: Pair, recipe: Recipe) -> tuple[list[np.ndarray], list[str | None]]:
    """A and B at the recipe's size, of a kind that its format holds; and what their last channels are."""
    stored = [read(path) for path in pair.files]
    if pair.b is None or recipe.size is None:  # sizes that differ become equal only where one is asked for
        try:
            stored = list(both_of(pair, stored))
        except DataError as error:
            hint = "; --size makes them equal" if pair.b is not None else ""
            raise DataError(f"{error}{hint}") from None
    kept = [of_file(image, recipe, limits) for image, limits in zip(stored, recipe.ranges, strict=True)]
    held = as_held(kept, stored, recipe)
    halves = [fitted(image, recipe, label=recipe.labels == side) for side, image in zip("ab", held, strict=True)]
    return halves, [extra_of(image, recipe) for image in stored]


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
        raise ConfigError(f"--out {out} has been changed since ({some(one)} added or removed); name a new folder")
    return dict(there)
