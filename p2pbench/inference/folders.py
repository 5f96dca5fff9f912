"""Translate a person's own pictures: files, folders and patterns in, a file for each out; what is done is skipped.

Threads read ahead and write behind, and neighbours of one size go through the generator as a batch. What is held is
bounded, however many files there are: a batch has no more pixels than a tile, the most that a generator is given.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, cast

import numpy as np

from p2pbench.data.dataset import wanted_by_role
from p2pbench.data.image_files import read
from p2pbench.data.image_writing import write_like
from p2pbench.data.pairs import images_by_name
from p2pbench.errors import ConfigError, DataError
from p2pbench.inference.generator import Model, place_model, translate
from p2pbench.inference.samples import write_comparison
from p2pbench.inference.tiling import TILE, translate_picture
from p2pbench.system.files import sha256_of, write_json
from p2pbench.system.hardware import available_cores
from p2pbench.system.progress import Count

RECORD = "translated.json"
"""A file among the outputs that says what made them, so that the same command skips what is done."""
BATCH = 16
"""The most pictures in a batch. At 256x256 they are as large as a tile."""

Picture = tuple[int, np.ndarray]
"""The position of a file, and what is in it: (H, W, C), uint8 or uint16."""
Failure = tuple[int, DataError]


@dataclass(frozen=True)
class Translated:
    """The outputs in the order of their pictures, and how many of them were there before."""

    files: list[Path]
    skipped: int


def find_pictures(inputs: Sequence[Path]) -> dict[str, Path]:
    """The pictures among ``inputs``, files, folders and patterns (``*.png``), by their names without suffix.

    Raises:
        DataError: a path that is not there, a folder without pictures, or two pictures of one name.
    """
    found: dict[str, Path] = {}
    for path in (path for given in inputs for path in _matching(given)):
        pictures = images_by_name(path) if path.is_dir() else {path.stem: path}
        if not pictures:
            raise DataError(f"{path} holds no images")
        for name, picture in pictures.items():
            if name in found:
                raise DataError(f"{found[name]} and {picture} have the same name and would become one file; rename one")
            found[name] = picture
    return found


def _matching(path: Path) -> list[Path]:
    """``path`` itself, or what it matches where it is a pattern that no shell has expanded."""
    if path.exists():
        return [path]
    if not any(letter in str(path) for letter in "*?["):
        raise DataError(f"{path}: there is no such file or folder")
    root, pattern = (Path(path.anchor), path.relative_to(path.anchor)) if path.is_absolute() else (Path(), path)
    matches = sorted(root.glob(str(pattern)))
    if not matches:
        raise DataError(f"{path} matches no file")
    return matches


def translate_pictures(
    model: Model,
    inputs: Sequence[Path],
    out: Path,
    progress: Count,
    *,
    again: bool = False,
    compare: Path | None = None,
) -> Translated:
    """Translate each picture at its own size and write the output under its name in ``out``.

    The values are of the kind that the model was trained on; see :func:`p2pbench.data.image_writing.write_like`. A
    picture that this model has translated into ``out`` before, and that has not changed since, is skipped unless
    ``again``.

    Args:
        compare: where to write a PNG with some of the pictures, evenly spread, beside their translations.
    Raises:
        ConfigError: an output could take an input's place.
        DataError: pictures that cannot be read, or are not what the model was trained on; the others are written.
    """
    pictures = find_pictures(inputs)
    for picture in pictures.values():
        if picture.parent.resolve() == out.resolve():
            raise ConfigError(f"--out {out}: {picture} is in it and could be overwritten; choose another folder")
    place_model(model)
    files = _done_before(model, out, pictures, again=again)
    skipped = len(files)
    todo = {name: picture for name, picture in pictures.items() if name not in files}
    names, failed = list(todo), []
    if skipped:
        progress(skipped, len(pictures))
    for done, (position, made) in enumerate(translate_files(model, list(todo.values()), out), start=skipped + 1):
        if isinstance(made, DataError):
            failed.append(str(made))
        else:
            files[names[position]] = made
        progress(done, len(pictures))
    translated = [(picture, files[name]) for name, picture in pictures.items() if name in files]
    if compare is not None and translated:
        write_comparison(compare, translated)
    if failed:
        others = f"; the other {len(translated)} are in {out}" if translated else ""
        more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
        raise DataError(f"{len(failed)} of {len(pictures)} not translated{others}: {'; '.join(failed[:3])}{more}")
    return Translated([file for _, file in translated], skipped)


def _done_before(model: Model, out: Path, pictures: Mapping[str, Path], *, again: bool) -> dict[str, Path]:
    """The outputs in ``out``, by name, that this model in this mode made of ``pictures`` as they are.

    Leaves a record that from now on it does. What is older than the record is another model's.
    """
    config, record = model.config, out / RECORD
    how = {
        "weights": sha256_of(model.weights) if model.weights else None, "inference": config.scoring.inference,
        "seed": config.training.seed, "data": config.data.model_dump(mode="json"),
    }  # fmt: skip
    try:
        before = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        before = None
    if isinstance(before, dict) and before.get("inference") == "statistics":  # as version 0.1 called it
        before["inference"] = "instance-stats"
    if before != how:
        write_json(record, how)
        return {}
    if again:
        return {}
    since = record.stat().st_mtime
    return {
        name: made
        for name, made in images_by_name(out).items()
        if name in pictures and made.stat().st_mtime >= max(since, pictures[name].stat().st_mtime)
    }


def translate_files(model: Model, files: Sequence[Path], folder: Path) -> Iterator[tuple[int, Path] | Failure]:
    """Translate each file and write the output into ``folder``, as :func:`p2pbench.data.image_writing.write_like` does.

    An output does not depend on the other files, but for the last bits of a batch's floating-point sums.

    Yields:
        The position of each file, once, as it is done: with what was written, or why it cannot be read or used.
    Raises:
        NotFinite, StorageError: as :func:`p2pbench.inference.generator.translate` and ``write_like``.
    """
    limits = wanted_by_role(model.config.data)[1].range
    writing: list[tuple[int, Future[Path]]] = []
    with ThreadPoolExecutor(available_cores(), thread_name_prefix="pictures") as pool:
        for batch in _batches(_read_ahead(model, files, pool)):
            if isinstance(batch, tuple):
                yield batch
                continue
            try:
                outputs = _outputs_of(model, [image for _, image in batch])
            except DataError as error:
                yield from ((position, error) for position, _ in batch)
                continue
            yield from ((position, written.result()) for position, written in writing)  # of the batch before
            writing = [
                (position, pool.submit(write_like, files[position], output, folder, limits))
                for (position, _), output in zip(batch, outputs, strict=True)
            ]
        yield from ((position, written.result()) for position, written in writing)


def _read_ahead(model: Model, files: Sequence[Path], pool: Executor) -> Iterator[Picture | Failure]:
    """The pictures in their order; meanwhile threads read as many more as fill a batch like the last."""

    def condition(file: Path) -> np.ndarray:
        return model.as_condition(read(file))

    coming = enumerate(files)
    reading: deque[tuple[int, Future[np.ndarray]]] = deque()
    cores = ahead = available_cores()
    while True:
        more = islice(coming, max(0, ahead - len(reading)))
        reading.extend((position, pool.submit(condition, file)) for position, file in more)
        if not reading:
            return
        position, future = reading.popleft()
        try:
            image = future.result()
        except DataError as error:
            yield position, error
        else:
            ahead = max(cores, batch_size(image))
            yield position, image


def _batches(pictures: Iterable[Picture | Failure]) -> Iterator[list[Picture] | Failure]:
    """Neighbours of one shape and type together, a batch or less; failures as they come."""
    for _, run in groupby(pictures, lambda found: _kind(found[1])):
        for position, image in run:
            if isinstance(image, DataError):
                yield position, image
                continue
            others = islice(run, batch_size(image) - 1)  # noqa: B031 - each part of the run is taken once
            yield [(position, image), *cast("Iterator[Picture]", others)]


def _kind(image: np.ndarray | DataError) -> tuple[Any, ...]:
    return () if isinstance(image, DataError) else (image.shape, image.dtype)


def batch_size(image: np.ndarray) -> int:
    """How many pictures like ``image``, (H, W, C), are translated at once."""
    height, width, _ = image.shape
    return max(1, min(BATCH, TILE**2 // int(height * width)))


def _outputs_of(model: Model, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs for images of one shape and type, in one batch; a single one goes in tiles if it is large."""
    config = model.config
    if len(images) == 1:
        return [translate_picture(model, images[0])]
    outputs = translate(
        model.generator, np.stack(images), config.data, seed=config.training.seed, mode=config.scoring.inference,
        deep=model.deep, batch_size=len(images),
        keys=[0] * len(images),  # the noise that each would have alone
    )  # fmt: skip
    return list(outputs)
