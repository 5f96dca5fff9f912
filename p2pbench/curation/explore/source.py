"""A paired data set to look through: its pairs in order, a keyed sample of them, and its files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from p2pbench.config.schema import DataConfig
from p2pbench.data.dataset import DataSet, Reader, open_dataset, views
from p2pbench.data.images import Images
from p2pbench.data.pairs import Pair

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
    def found(self) -> Mapping[str, list[Pair]] | None:
        """The files, or None for a built-in."""
        return self.dataset.found

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
        rows = []
        for split, names in self.names.items():
            for position, name in enumerate(names):
                for number, side in enumerate(SIDES):
                    row: dict[str, Any] = {"split": split, "name": name, "side": side}
                    row |= {"file": "", "type": "built in", "bytes": None}
                    if self.found is not None:
                        files = self.found[split][position].files
                        path = files[min(number, len(files) - 1)]
                        row |= {"file": path.name, "type": path.suffix[1:].lower(), "bytes": path.stat().st_size}
                    rows.append(row)
        return pd.DataFrame(rows)


def open_source(name: str) -> Source:
    """The pairs of a built-in, a kept data set or a folder; nothing is decoded.

    Raises:
        DataError: there is no such source, no pairs in it, or an image without its mate.
    """
    dataset = open_dataset(DataConfig(source=name))
    return Source(name if dataset.found is None else Path(name).resolve().name, dataset)


def keyed_sample(keys: list[Key], count: int) -> list[Key]:
    """``count`` pairs in a shuffled order that depends on their names alone: that of their hashes."""

    def lot(key: Key) -> tuple[str, Key]:
        return hashlib.sha256(os.fsencode("/".join(key))).hexdigest(), key

    return sorted(keys, key=lot)[:count]
