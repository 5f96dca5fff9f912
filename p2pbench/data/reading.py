"""The pairs of a data set at the size they have, whatever the set is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from p2pbench.config.schema import DataConfig
from p2pbench.data import pairs, photos
from p2pbench.data.dataset import DataSet
from p2pbench.data.facades import drawn
from p2pbench.data.images import Wanted, drawn_as_wanted

Images = tuple[np.ndarray, np.ndarray]
"""A and B, each (H, W, C)."""
Reader = Callable[[], Images]
"""Raises :class:`DataError` for an image that cannot be read; it names the file. Threads may call it."""


def readers(dataset: DataSet, split: str) -> Iterator[Reader]:
    """For each pair of ``split``, in their order, a function that reads A and B as the configuration wants them.

    Each is uint8 or uint16, with the channels of :attr:`DataConfig.stored`.
    """
    wanted = wanted_of(dataset.config)
    if dataset.found is not None:
        yield from (partial(pairs.read_wanted, pair, wanted) for pair in dataset.found[split])
    else:
        for name, draw in zip(dataset.names[split], _built_in(dataset, split), strict=True):
            yield partial(drawn_as_wanted, draw, wanted, Path(name))


def views(dataset: DataSet, split: str) -> Iterator[Reader]:
    """The same for people to look at: A and B as RGB, uint8, whatever kind the files are of."""
    if dataset.found is not None:
        yield from (partial(pairs.look_at_pair, pair) for pair in dataset.found[split])
    else:
        yield from _built_in(dataset, split)


def wanted_of(config: DataConfig) -> tuple[Wanted, Wanted]:
    """What is wanted of A and of B."""
    condition, target = wanted_by_role(config)
    return (condition, target) if config.direction == "AtoB" else (target, condition)


def wanted_by_role(config: DataConfig) -> tuple[Wanted, Wanted]:
    """What is wanted of conditions and of targets."""
    ranges = config.range or (None, None)
    condition, target = (
        Wanted(channels, limits, config.background) for channels, limits in zip(config.stored, ranges, strict=True)
    )
    return condition, target


def _built_in(dataset: DataSet, split: str) -> Iterator[Reader]:
    if asked := drawn.parse(dataset.config.source):
        yield from (partial(drawn.draw, asked, split, index) for index in range(len(dataset.names[split])))
    else:
        for images in photos.photos_pairs(split, dataset.config.condition):
            yield partial(_same, images)


def _same(images: Images) -> Images:
    return images
