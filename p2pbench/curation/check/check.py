"""Check a data set before days of training: every file is decoded, every pair is compared with all the others.

The check does not stop at the first problem. It keeps a fingerprint of each pair and no image, so that a data set may
have any size.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from p2pbench.config.schema import DataConfig
from p2pbench.curation.check import outliers
from p2pbench.curation.check.duplicates import duplicates
from p2pbench.curation.check.fingerprint import Fingerprint, take
from p2pbench.curation.check.problems import KINDS, Problem
from p2pbench.data import pairs
from p2pbench.data.dataset import is_built_in, open_dataset, views
from p2pbench.data.image_files import read
from p2pbench.data.images import Images, NeedsBackground, Stored, picture_of
from p2pbench.errors import DataError, UnsupportedImage
from p2pbench.system.progress import Count, no_progress

FEW_TESTS = 6
"""Minimum test pairs: of fewer even those that all agree are no evidence (sign test, two-sided, 2 / 2**5 > 0.05)."""


class _Item(NamedTuple):
    """One pair to be checked."""

    split: str
    file: str
    read: Callable[[], Images]
    pair: pairs.Pair | None = None
    """None in a built-in data set, which has no files."""


def check(source: str, progress: Count = no_progress) -> dict[str, Any]:
    """Everything that is wrong with the data set ``source``: a built-in, one that was fetched, or a folder.

    Returns:
        ``source``; ``folder`` (None for a built-in); ``splits``, the number of pairs in each; ``errors`` and
        ``warnings``, their numbers; and ``problems``, each with ``kind``, ``severity``, ``file`` (relative to the
        folder) and ``detail``.
    Raises:
        DataError: there is no such source.
    """
    root, problems = None, []
    if is_built_in(source):
        dataset = open_dataset(DataConfig(source=source))
        splits = {
            split: [
                _Item(split, f"{split}/{name}", read) for name, read in zip(names, views(dataset, split), strict=True)
            ]
            for split, names in dataset.names.items()
        }
    else:
        root = pairs.find_folder(source)
        survey, faults = pairs.survey(root)
        problems = _missing(root, survey) + [_problem(fault.kind, fault.path, fault.message, root) for fault in faults]
        folders = {path.parent for members in survey.values() for pair in members for path in pair.files}
        problems += [Problem("left-out", ".", f"{n} {what}") for what, n in pairs.left_out(root, folders).items()]
        splits = {
            split: [
                _Item(split, pair.a.relative_to(root).as_posix(), partial(pairs.preview_pair, pair), pair)
                for pair in members
            ]
            for split, members in survey.items()
        }
    problems += _judge(root, [item for members in splits.values() for item in members], progress)
    problems.sort(key=lambda problem: list(KINDS).index(problem.kind))
    n_errors = sum(problem.severity == "error" for problem in problems)
    return {
        "source": source,
        "folder": str(root) if root else None,
        "splits": {split: len(members) for split, members in splits.items()},
        "errors": n_errors,
        "warnings": len(problems) - n_errors,
        "problems": [{**asdict(problem), "severity": problem.severity} for problem in problems],
    }


def _missing(root: Path, survey: dict[str, list[pairs.Pair]]) -> list[Problem]:
    """The splits that are not there, are empty, or are too small to show anything."""
    problems = [Problem("empty-split", split, "holds no pair") for split, members in survey.items() if not members]
    tested = "test" if survey.get("test") else "val"  # a set without test is tested on val
    if 0 < (n := len(survey.get(tested, ()))) < FEW_TESTS:
        chance = 2 * 0.5**n
        problems.append(
            Problem(
                "small-split", tested,
                f"holds {n} pairs: a score that differs the same way in each does so by chance with p = {chance:.2g}"
            )
        )  # fmt: skip
    if "train" not in survey:
        problems.append(
            Problem("no-train", "train", f"{root} has no folder train, nor A/train and B/train{pairs.if_a_split(root)}")
        )
    if "test" not in survey and not survey.get("val"):  # a set without test is tested on val
        problems.append(Problem("no-test", "test", f"{root} has no folder test, nor A/test and B/test"))
    return problems


def _judge(root: Path | None, items: Sequence[_Item], progress: Count) -> Iterator[Problem]:
    prints: list[Fingerprint] = []
    with ThreadPoolExecutor() as pool:  # Pillow, numpy and scipy work outside the interpreter's lock
        for start in range(0, len(items), 64):
            for fingerprint, problems in pool.map(partial(_examine, root), items[start : start + 64]):
                yield from problems
                if fingerprint is not None:
                    prints.append(fingerprint)
            progress(min(start + 64, len(items)), len(items))
    if prints:
        yield from duplicates(prints)
        yield from outliers.all_of(prints)


def _examine(root: Path | None, item: _Item) -> tuple[Fingerprint | None, list[Problem]]:
    """The fingerprint of a pair, None where it cannot be taken, and what is wrong with its files."""
    if root is None or item.pair is None:
        return take(item.split, item.file, "RGB+RGB", item.read(), item.read, joined=False), []
    images, problems = examine_files(root, item.pair)
    if images is None:
        return None, problems
    modes, shown = "+".join(map(_mode, images)), (picture_of(images[0]), picture_of(images[1]))
    return take(item.split, item.file, modes, shown, item.read, joined=item.pair.b is None), problems


def examine_files(root: Path, pair: pairs.Pair) -> tuple[Images | None, list[Problem]]:
    """A and B of ``pair``, opaque and in the types of their files, None where they cannot be read; and what is wrong.

    Args:
        root: the folder of the data set, which messages leave out.
    """
    found: list[Stored] = []
    problems: list[Problem] = []
    for path in pair.files:
        try:
            found.append(read(path))
            raw = found[-1].opaque("white")
        except DataError as error:
            kind = "unsupported" if isinstance(error, UnsupportedImage) else "unreadable"
            problems.append(_problem(kind, path, error, root))
            continue
        problems += [_problem(kind, path, message, root) for kind, message in _remarks(found[-1], raw, pair)]
    if any(problem.severity == "error" for problem in problems):
        return None, problems
    try:
        a, b = pairs.both_of(pair, found)
    except DataError as error:
        kind = "odd-width" if pair.b is None else "size-mismatch"
        return None, [*problems, _problem(kind, pair.a, error, root)]
    return (a.opaque("white"), b.opaque("white")), problems


def _remarks(image: Stored, raw: np.ndarray, pair: pairs.Pair) -> Iterator[tuple[str, str]]:
    """What is to be known of a file before it is trained on: the kind of problem, and the words for it."""
    path = image.path
    try:
        image.opaque(None)
    except NeedsBackground as error:
        yield "needs-setting", str(error)
    if raw.dtype not in (np.uint8, np.uint16):
        yield "needs-setting", f"{path} holds {raw.dtype} values: say with data.range which become black and white"
    elif (channels := raw.shape[2]) not in (1, 3):
        yield "needs-setting", f"{path} has {channels} channels: say so with data.channels=[{channels}, {channels}]"
    if pair.b is None and image.turn in range(2, 9):
        yield "turned-pair", f"{path} has EXIF orientation {image.turn}: its halves are split as stored, then turned"


def _mode(raw: np.ndarray) -> str:
    colours = {1: "grey", 3: "RGB"}.get(raw.shape[2], f"{raw.shape[2]} channels")
    return colours if raw.dtype == np.uint8 else f"{8 * raw.dtype.itemsize}-bit {colours}"


def _problem(kind: str, path: Path, message: object, root: Path) -> Problem:
    """A problem with the file at ``path``, all paths in it relative to ``root``."""
    file = path.relative_to(root).as_posix()
    detail = str(message).replace(str(path), file).replace(f"{root}{os.sep}", "")
    return Problem(kind, file, detail.removeprefix(f"{file} "))
