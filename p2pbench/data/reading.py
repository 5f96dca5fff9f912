"""The pairs of a data set at the size they have, whatever the set is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from p2pbench.data import builtin, drawn, pairs
from p2pbench.data.dataset import DataSet

Images = tuple[np.ndarray, np.ndarray]
"""A and B, each (H, W, 3), uint8."""
Reader = Callable[[], Images]


def readers(dataset: DataSet, split: str) -> Iterator[Reader]:
    """For each pair of ``split``, in their order, a function that reads it, or draws it. Threads may call them.

    Such a function raises :class:`DataError` for an image that cannot be read; it names the file.
    """
    if dataset.found is not None:
        yield from (partial(pairs.read_pair, pair) for pair in dataset.found[split])
    elif asked := drawn.parse(dataset.config.source):
        yield from (partial(drawn.draw, asked, split, index) for index in range(len(dataset.names[split])))
    else:
        for images in builtin.photos_pairs(split, dataset.config.condition):
            yield partial(_same, images)


def _same(images: Images) -> Images:
    return images
