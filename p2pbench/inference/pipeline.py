"""Translate many files: read ahead and written behind by threads, and run in batches of pictures of one size.

What is held is bounded, however many files there are: a batch has no more pixels than a tile, which is the most that a
generator is given at once, and what waits for others of its size no more than a few batches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from p2pbench.data.dataset import wanted_by_role
from p2pbench.data.image_files import read_array, write_like
from p2pbench.data.images import as_wanted
from p2pbench.errors import DataError
from p2pbench.inference.generator import translate
from p2pbench.inference.tiling import TILE, translate_picture
from p2pbench.runs.model import Model
from p2pbench.system.hardware import available_cores

BATCH = 16
"""Pictures in a batch at the most. At 256x256 they are as large as a tile."""
WAITING = 4 * TILE**2
"""Pixels of pictures that may wait for others of their size; beyond, the largest group is not waited for."""

Picture = tuple[int, np.ndarray]
"""The position of a file, and what is in it: (H, W, C), uint8 or uint16."""
Failure = tuple[int, DataError]


def translate_files(model: Model, files: Sequence[Path], folder: Path) -> Iterator[tuple[int, Path] | Failure]:
    """Write what ``model`` makes of each file into ``folder``, as :func:`p2pbench.data.image_files.write_like` does.

    What becomes of a picture does not depend on the others, but for the last bits of a batch's floating-point sums.

    Yields:
        The position of each file, once, as it is done: with what was written, or why it cannot be read or used.
    Raises:
        NotFinite, StorageError: as :func:`p2pbench.inference.generator.translate` and ``write_like``.
    """
    limits = wanted_by_role(model.config.data)[1].range
    writing: list[tuple[int, Future[Path]]] = []
    with ThreadPoolExecutor(available_cores(), thread_name_prefix="pictures") as pool:
        for group in _groups(_read_ahead(model, files, pool)):
            if isinstance(group, tuple):
                yield group
                continue
            try:
                outputs = outputs_of(model, [image for _, image in group])
            except DataError as error:
                yield from ((position, error) for position, _ in group)
                continue
            yield from ((position, written.result()) for position, written in writing)  # of the group before
            writing = [
                (position, pool.submit(write_like, files[position], output, folder, limits))
                for (position, _), output in zip(group, outputs, strict=True)
            ]
        yield from ((position, written.result()) for position, written in writing)


def as_taken(model: Model, raw: np.ndarray, name: Path) -> np.ndarray:
    """A picture as ``model`` takes it, (H, W, C), uint8 or uint16.

    Args:
        raw: (H, W, C), of any type, as :func:`p2pbench.data.image_files.read_array` gives it; ``name`` is for messages.
    Raises:
        UnsupportedImage: the picture is not what the model was trained on.
    """
    condition, target = wanted_by_role(model.config.data)
    return as_wanted(raw, target if model.config.data.colours == "lab" else condition, name)


def outputs_of(model: Model, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What ``model`` makes of images of one shape and type, in one batch; of a single one, in tiles if it is large."""
    config = model.config
    seed, mode = config.training.seed, config.scoring.inference
    if len(images) == 1:
        return [translate_picture(model.generator, images[0], config.data, seed=seed, mode=mode, deep=model.deep)]
    keys = [0] * len(images)  # the noise that each would have alone
    outputs = translate(
        model.generator, np.stack(images), config.data,
        seed=seed, mode=mode, deep=model.deep, keys=keys, batch_size=len(images),
    )  # fmt: skip
    return list(outputs)


def batch_size(image: np.ndarray) -> int:
    """How many pictures like ``image``, (H, W, C), are translated at once."""
    height, width, _ = image.shape
    return max(1, min(BATCH, TILE**2 // int(height * width)))


def _read_ahead(model: Model, files: Sequence[Path], pool: Executor) -> Iterator[Picture | Failure]:
    """The pictures in their order; meanwhile threads read as many more as fill a batch like the last."""

    def read(file: Path) -> np.ndarray:
        return as_taken(model, read_array(file, model.config.data.background), file)

    coming = enumerate(files)
    reading: deque[tuple[int, Future[np.ndarray]]] = deque()
    cores = ahead = available_cores()
    while True:
        more = islice(coming, max(0, ahead - len(reading)))
        reading.extend((position, pool.submit(read, file)) for position, file in more)
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


def _groups(pictures: Iterable[Picture | Failure]) -> Iterator[list[Picture] | Failure]:
    """Pictures of one shape and type together, a batch or less; failures as they come."""
    waiting: dict[tuple[object, ...], list[Picture]] = {}
    for position, image in pictures:
        if isinstance(image, DataError):
            yield position, image
            continue
        kind = (image.shape, image.dtype)
        group = waiting.setdefault(kind, [])
        group.append((position, image))
        if len(group) == batch_size(image):
            yield waiting.pop(kind)
        elif sum(map(_pixels, waiting.values())) > WAITING:
            yield waiting.pop(max(waiting, key=lambda kind: _pixels(waiting[kind])))
    yield from waiting.values()


def _pixels(group: Sequence[Picture]) -> int:
    height, width, _ = group[0][1].shape
    return len(group) * int(height * width)
