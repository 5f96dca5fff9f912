"""Check a data set before days of training: every file is decoded, every pair is compared with all the others.

The check does not stop at the first problem. It keeps a fingerprint of each pair and no image, so that a data set may
have any size.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from p2pbench.config.schema import DataConfig
from p2pbench.curation.check import outliers
from p2pbench.curation.check.duplicates import duplicates
from p2pbench.curation.check.fingerprint import Fingerprint, take
from p2pbench.curation.check.problems import KINDS, Problem
from p2pbench.data import pairs
from p2pbench.data.dataset import is_built_in, open_dataset, state_of, views
from p2pbench.data.image_files import NeedsBackground, read_array
from p2pbench.data.images import Images, picture_of
from p2pbench.errors import DataError, StorageError, UnsupportedImage
from p2pbench.system.cache_dir import home
from p2pbench.system.files import write_json
from p2pbench.system.progress import Count, no_progress

VERSION = 1
"""Counted up when the rules change, so that no old verdict is taken for a new one."""


@dataclass(frozen=True)
class _Item:
    """One pair to be checked."""

    split: str
    file: str
    pair: pairs.Pair | None
    """None in a built-in data set, which has no files."""
    read: Callable[[], Images]


@dataclass(frozen=True)
class _Subject:
    """A data set to be checked."""

    root: Path | None
    splits: dict[str, int]
    state: str
    """A hash that changes when a file does."""
    problems: list[Problem]
    """The problems that show without opening a file."""
    items: Callable[[], list[_Item]]


def check(source: str, progress: Count = no_progress) -> dict[str, Any]:
    """Everything that is wrong with the data set ``source``: a built-in, one that was fetched, or a folder.

    Returns:
        ``source``; ``folder`` (None for a built-in); ``splits``, the number of pairs in each; ``errors`` and
        ``warnings``, their numbers; ``cached``, whether nothing has changed since an earlier check, which then answers;
        and ``problems``, each with ``kind``, ``severity``, ``file`` (relative to the folder) and ``detail``.
    Raises:
        DataError: there is no such source.
    """
    subject = _built_in(source) if is_built_in(source) else _folder(pairs.find_folder(source))
    name = str(subject.root.resolve()) if subject.root else source
    memory = home() / "checks" / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.json"
    problems = _recall(memory, subject.state)
    cached = problems is not None
    if problems is None:
        found = [*subject.problems, *_judge(subject, progress)]
        found.sort(key=lambda problem: list(KINDS).index(problem.kind))
        problems = [{**asdict(problem), "severity": problem.severity} for problem in found]
        with suppress(StorageError):  # a convenience: without it the set is checked again
            write_json(memory, {"state": subject.state, "digest": _digest(problems), "problems": problems})
    n_errors = sum(problem["severity"] == "error" for problem in problems)
    return {
        "source": source,
        "folder": str(subject.root) if subject.root else None,
        "splits": subject.splits,
        "errors": n_errors,
        "warnings": len(problems) - n_errors,
        "cached": cached,
        "problems": problems,
    }


def _judge(subject: _Subject, progress: Count) -> Iterator[Problem]:
    prints: list[Fingerprint] = []
    items = subject.items()
    with ThreadPoolExecutor() as pool:  # Pillow, numpy and scipy work outside the interpreter's lock
        for start in range(0, len(items), 64):
            for fingerprint, problems in pool.map(partial(_examine, subject.root), items[start : start + 64]):
                yield from problems
                if fingerprint is not None:
                    prints.append(fingerprint)
            progress(min(start + 64, len(items)), len(items))
    if not prints:
        return
    for rule in (duplicates, outliers.unlike_most, outliers.blank, outliers.swapped, outliers.ill_fitting):
        yield from rule(prints)


def _examine(root: Path | None, item: _Item) -> tuple[Fingerprint | None, list[Problem]]:
    """The fingerprint of a pair, None where it cannot be taken, and what is wrong with its files."""
    if item.pair is None or root is None:
        return take(item.split, item.file, "RGB+RGB", item.read(), item.read, joined=False), []
    images, modes, problems = [], [], []
    for path in item.pair.files:
        try:
            raw, needed = _read(path)
        except DataError as error:
            kind = "unsupported" if isinstance(error, UnsupportedImage) else "unreadable"
            problems.append(_problem(kind, path, error, root))
            continue
        problems += [_problem("needs-setting", path, needed, root)] if needed else []
        images.append(picture_of(raw))
        modes.append(_mode(raw))
    if len(images) < len(item.pair.files):
        return None, problems
    try:
        pair = pairs.as_pair(item.pair, images)
    except DataError as error:
        kind = "odd-width" if item.pair.b is None else "size-mismatch"
        return None, [*problems, _problem(kind, item.pair.a, error, root)]
    return take(item.split, item.file, "+".join(modes), pair, item.read, joined=item.pair.b is None), problems


def _read(path: Path) -> tuple[np.ndarray, str | None]:
    """What ``path`` holds, and the setting, if any, that it needs before it can be trained on."""
    needed = None
    try:
        raw = read_array(path, None)
    except NeedsBackground as error:
        needed, raw = str(error), read_array(path, "white")
    if raw.dtype not in (np.uint8, np.uint16):
        needed = f"{path} holds {raw.dtype} values: say with data.range which of them become black and white"
    elif raw.shape[2] not in (1, 3):
        needed = f"{path} has {raw.shape[2]} channels: say so with data.channels"
    return raw, needed


def _mode(raw: np.ndarray) -> str:
    colours = {1: "grey", 3: "RGB"}.get(raw.shape[2], f"{raw.shape[2]} channels")
    return colours if raw.dtype == np.uint8 else f"{8 * raw.dtype.itemsize}-bit {colours}"


def _problem(kind: str, path: Path, message: object, root: Path) -> Problem:
    """A problem with the file at ``path``, all paths in it relative to ``root``."""
    file = path.relative_to(root).as_posix()
    detail = str(message).replace(str(path), file).replace(f"{root}{os.sep}", "")
    return Problem(kind, file, detail.removeprefix(f"{file} "))


# ---- what there is to look at


def _built_in(source: str) -> _Subject:
    dataset = open_dataset(DataConfig(source=source))

    def items() -> list[_Item]:
        return [
            _Item(split, f"{split}/{name}", None, read)
            for split in dataset.names
            for name, read in zip(dataset.names[split], views(dataset, split), strict=True)
        ]

    splits = {split: len(members) for split, members in dataset.names.items()}
    return _Subject(None, splits, f"{VERSION}:{dataset.key}", [], items)


def _folder(root: Path) -> _Subject:
    survey, faults = pairs.survey(root)
    problems = _missing(root, survey)
    problems += [_problem(fault.kind, fault.path, fault.message, root) for fault in faults]

    def items() -> list[_Item]:
        return [
            _Item(split, pair.a.relative_to(root).as_posix(), pair, partial(pairs.preview_pair, pair))
            for split, members in survey.items()
            for pair in members
        ]

    splits = {split: len(members) for split, members in survey.items()}
    return _Subject(root, splits, _state(survey, problems), problems, items)


def _missing(root: Path, survey: dict[str, list[pairs.Pair]]) -> list[Problem]:
    """The splits that are not there, or are empty."""
    problems = [Problem("empty-split", split, "holds no pair") for split, members in survey.items() if not members]
    if "train" not in survey:
        problems.append(Problem("no-train", "train", f"{root} has no folder train, nor A/train and B/train"))
    if "test" not in survey and not survey.get("val"):  # a set without test is tested on val
        problems.append(Problem("no-test", "test", f"{root} has no folder test, nor A/test and B/test"))
    return problems


def _state(survey: dict[str, list[pairs.Pair]], problems: Sequence[Problem]) -> str:
    digest = hashlib.sha256(f"{VERSION}:{list(survey)}:{problems}".encode())
    for path in (path for members in survey.values() for pair in members for path in pair.files):
        digest.update(os.fsencode(path) + f"\0{state_of(path)}\0".encode())
    return digest.hexdigest()


# ---- the verdict of an earlier check


def _recall(memory: Path, state: str) -> list[dict[str, str]] | None:
    """The problems that an earlier check found in a set of this state; None where there was none or it is damaged."""
    try:
        document = json.loads(memory.read_text(encoding="utf-8"))
        if document["state"] == state and document["digest"] == _digest(document["problems"]):
            return document["problems"]  # type: ignore[no-any-return]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def _digest(problems: list[dict[str, str]]) -> str:
    return hashlib.sha256(json.dumps(problems).encode()).hexdigest()
