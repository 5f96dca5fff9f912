"""A data set: which pairs a configuration names, and a key of their content. Imports neither torch nor numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from p2pbench.config.schema import DataConfig
from p2pbench.data import pairs, photos
from p2pbench.data.content import content_key
from p2pbench.data.facades import drawn
from p2pbench.errors import ConfigError


@dataclass(frozen=True)
class DataSet:
    """The pairs that a :class:`DataConfig` names: found and checked for mates, not yet decoded."""

    config: DataConfig
    key: str
    """A hash of the content of all splits."""
    names: Mapping[str, list[str]]
    """For each split the names of its pairs, in their order."""
    found: Mapping[str, list[pairs.Pair]] | None
    """The files, or None for a built-in."""


def is_built_in(source: str) -> bool:
    """Whether ``source`` is made here and has no files. Raises :class:`DataError` if it is a malformed ``drawn``."""
    return source == "photos" or drawn.parse(source) is not None


def open_dataset(config: DataConfig) -> DataSet:
    """Find the pairs of ``config.source`` and hash their content. Decodes nothing and imports no torch.

    Raises:
        DataError: there is no such source, no pairs in it, or an image without its mate.
    """
    if config.source == "photos":
        return DataSet(config, photos.photos_key(config.condition), photos.photos_names(), None)
    if asked := drawn.parse(config.source):
        return DataSet(config, drawn.drawn_key(asked), drawn.drawn_names(asked), None)
    root = pairs.find_folder(config.source)
    found = pairs.find_pairs(root)
    names = {split: [pair.name for pair in split_pairs] for split, split_pairs in found.items()}
    return DataSet(config, content_key(root, found), names, found)


def as_tested(dataset: DataSet) -> DataSet:
    """The same pairs, those of training too resized to ``crop_size`` as test pairs are, not to be cropped at random."""
    return replace(dataset, config=dataset.config.model_copy(update={"jitter": False}))


def check_selection(dataset: DataSet, select: str) -> None:
    """Raise :class:`ConfigError` where an epoch is to be selected and no split is there to select it on."""
    if select == "best-on-val" and "val" not in dataset.names:
        raise ConfigError(
            f"training.select is {select!r}, but {dataset.config.source} has no split val beside the one that it is "
            "tested on; make one, or use last"
        )


def steps_per_epoch(dataset: DataSet, batch_size: int) -> int:
    """Full batches in the training split; the pairs left over are others in every epoch.

    Raises:
        ConfigError: there are fewer pairs than one batch.
    """
    n_pairs = len(dataset.names["train"])
    if n_pairs < batch_size:
        raise ConfigError(
            f"training.batch_size is {batch_size}, but there are only {n_pairs} training pairs; use a smaller batch"
        )
    return n_pairs // batch_size
