"""A paired data set to look through: its pairs in order, a keyed sample of them, and its files."""

import hashlib
import os
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from p2pbench.config.resolve import Layer, resolve
from p2pbench.data.catalogue import PAPER_SETS
from p2pbench.data.dataset import DataSet, Reader, open_dataset, reading_of, views
from p2pbench.data.images import Images

Key = tuple[str, str]
"""The split and the name of a pair."""
SIDES = ("A", "B")


@dataclass(frozen=True)
class Source:
    """A paired data set that is looked through."""

    name: str
    dataset: DataSet

    @property
    def names(self) -> Mapping[str, list[str]]:
        return self.dataset.names

    @property
    def reads(self) -> str:
        """Which way the pairs are read: ``condition: A (left half) -> target: B (right half)``."""
        return reading_of(self.dataset)

    @property
    def roles(self) -> tuple[int, int]:
        """The positions of the condition and of the target in a pair."""
        return (0, 1) if self.dataset.config.direction == "AtoB" else (1, 0)

    @property
    def keys(self) -> list[Key]:
        return [(split, name) for split, names in self.names.items() for name in names]

    def stream(self, split: str, wanted: Container[Key]) -> Iterator[tuple[Key, Reader]]:
        """The wanted pairs of ``split`` in order, each with a function that reads it."""
        for name, reader in zip(self.names[split], views(self.dataset, split), strict=True):
            if (split, name) in wanted:
                yield (split, name), reader

    def read(self, wanted: Container[Key]) -> dict[Key, Images]:
        """The wanted pairs, all in memory."""
        return {key: read() for split in self.names for key, read in self.stream(split, wanted)}

    def files(self) -> pd.DataFrame:
        """A row for each image: split, name, side, file, type and bytes; empty for what has no file."""
        columns = ["split", "name", "side", "file", "type", "bytes"]
        if self.dataset.found is None:
            return pd.DataFrame(
                [(*key, side, "", "built in", None) for key in self.keys for side in SIDES], columns=columns
            )
        rows = [
            (split, pair.name, side, path.name, path.suffix[1:].lower(), path.stat().st_size)
            for split, pairs in self.dataset.found.items()
            for pair in pairs
            for side, path in zip(SIDES, (pair.files[0], pair.files[-1]), strict=True)
        ]
        return pd.DataFrame(rows, columns=columns)


def open_source(name: str, direction: str | None = None) -> Source:
    """The pairs of a built-in, a kept data set or a folder; nothing is decoded.

    Args:
        direction: which side is the condition; else as the paper has it, where the set is one of the paper's, or A.
    Raises:
        ConfigError: ``direction`` is no direction.
        DataError: there is no such source, no pairs in it, or an image without its mate.
    """
    if direction is None:
        direction = PAPER_SETS[name].direction if name in PAPER_SETS else "AtoB"
    settings = {"data.source": name, "data.direction": direction}
    dataset = open_dataset(resolve([Layer("--direction", settings)]).config.data)
    return Source(name if dataset.found is None else Path(name).resolve().name, dataset)


def keyed_sample(keys: list[Key], count: int) -> list[Key]:
    """``count`` pairs in a shuffled order that depends on their names alone: that of their hashes."""

    def lot(key: Key) -> tuple[str, Key]:
        return hashlib.sha256(os.fsencode("/".join(key))).hexdigest(), key

    return sorted(keys, key=lot)[:count]
