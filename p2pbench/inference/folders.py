"""Translate a person's own pictures: files, folders and patterns in, a file for each out; what is done is skipped.

Threads read ahead and write behind, and neighbours of one size go through the generator as a batch. What is held is
bounded, however many files there are: a batch has no more pixels than a tile, the most that a generator is given.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any, cast

import numpy as np

from p2pbench.data.dataset import wanted_by_role
from p2pbench.data.image_files import read
from p2pbench.data.image_writing import write_like
from p2pbench.errors import ConfigError, DataError
from p2pbench.inference.generator import Model, place_model, translate
from p2pbench.inference.inputs import condition_in
from p2pbench.inference.record import Record
from p2pbench.inference.samples import write_comparison
from p2pbench.inference.tiling import TILE, is_tiled, translate_picture
from p2pbench.system.hardware import available_cores
from p2pbench.system.progress import Count

BATCH = 16
"""The most pictures in a batch. At 256x256 they are as large as a tile."""

Picture = tuple[int, np.ndarray]
"""The position of a file, and what is in it: (H, W, C), uint8 or uint16."""
Failure = tuple[int, DataError]


@dataclass
class Translated:
    """The outputs in the order of their pictures, and what is to be said of how they were made."""

    files: list[Path] = field(default_factory=list)
    skipped: int = 0
    """How many of them were there before."""
    halves: int = 0
    """How many pictures were side-by-side pairs, of which the condition's half was taken."""
    tiled: int = 0
    """How many went in tiles."""
    replaced: int = 0
    """How many outputs took the place of one that another model had made, or the same in another way."""


def translate_pictures(
    model: Model,
    pictures: Mapping[str, Path],
    out: Path,
    progress: Count,
    *,
    again: bool = False,
    compare: Path | None = None,
    whole: bool = False,
) -> Translated:
    """Translate each picture at its own size and write the output under its name in ``out``.

    The values are of the kind that the model was trained on; see :func:`p2pbench.data.image_writing.write_like`. A
    picture whose content this model has translated into ``out`` before is skipped unless ``again``.

    Args:
        pictures: files by the names of their outputs; see :mod:`p2pbench.inference.inputs`.
        compare: where to write a PNG with some of the pictures, evenly spread, beside their translations.
        whole: translate files that hold a pair whole, instead of the condition's half.
    Raises:
        ConfigError: an output could take an input's place, or that of another picture.
        DataError: pictures that cannot be read, or are not what the model was trained on; the others are written.
    """
    for picture in pictures.values():
        if picture.parent.resolve() == out.resolve():
            raise ConfigError(f"--out {out}: {picture} is in it and could be overwritten; choose another folder")
    place_model(model)
    record = Record(model, out, pictures, whole=whole)
    files = {} if again else record.done()
    done = Translated(skipped=len(files), replaced=record.of_others)
    todo = {name: picture for name, picture in pictures.items() if name not in files}
    record.forget(todo)
    names, failed = list(todo), []
    if files:
        progress(len(files), len(pictures))
    try:
        made_now = translate_files(model, list(todo.values()), out, done, whole=whole)
        for count, (position, made) in enumerate(made_now, start=len(files) + 1):
            if isinstance(made, DataError):
                failed.append(str(made))
            else:
                files[names[position]] = made
                record.add(names[position], made)
            progress(count, len(pictures))
    finally:
        record.write()
    translated = [(picture, files[name]) for name, picture in pictures.items() if name in files]
    if compare is not None and translated:
        write_comparison(compare, translated)
    if failed:
        others = f"; the other {len(translated)} are in {out}" if translated else ""
        more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
        raise DataError(f"{len(failed)} of {len(pictures)} not translated{others}: {'; '.join(failed[:3])}{more}")
    done.files = [file for _, file in translated]
    return done


def translate_files(
    model: Model, files: Sequence[Path], folder: Path, done: Translated | None = None, *, whole: bool = True
) -> Iterator[tuple[int, Path] | Failure]:
    """Translate each file and write the output into ``folder``, as :func:`p2pbench.data.image_writing.write_like` does.

    An output does not depend on the other files, but for the last bits of a batch's floating-point sums.

    Args:
        done: counts the halves that were taken, unless ``whole``, and the pictures that went in tiles.
    Yields:
        The position of each file, once, as it is done: with what was written, or why it cannot be read or used.
    Raises:
        NotFinite, StorageError: as :func:`p2pbench.inference.generator.translate` and ``write_like``.
    """
    limits, done = wanted_by_role(model.config.data)[1].range, done or Translated()
    writing: list[tuple[int, Future[Path]]] = []
    with ThreadPoolExecutor(available_cores(), thread_name_prefix="pictures") as pool:
        for batch in _batches(_read_ahead(model, files, pool, done, whole)):
            if isinstance(batch, tuple):
                yield batch
                continue
            try:
                done.tiled += is_tiled(batch[0][1])
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


def _read_ahead(
    model: Model, files: Sequence[Path], pool: Executor, done: Translated, whole: bool
) -> Iterator[Picture | Failure]:
    """The pictures in their order; meanwhile threads read as many more as fill a batch like the last."""

    def condition(file: Path) -> tuple[np.ndarray, bool]:
        picture = read(file)
        half = None if whole else condition_in(picture, model.config.data)
        return model.as_condition(half or picture), half is not None

    coming = enumerate(files)
    reading: deque[tuple[int, Future[tuple[np.ndarray, bool]]]] = deque()
    cores = ahead = available_cores()
    while True:
        more = islice(coming, max(0, ahead - len(reading)))
        reading.extend((position, pool.submit(condition, file)) for position, file in more)
        if not reading:
            return
        position, future = reading.popleft()
        try:
            image, is_half = future.result()
        except DataError as error:
            yield position, error
        else:
            done.halves += is_half
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
