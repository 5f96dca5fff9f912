"""FCN-scores (pix2pix §4.1): do the outputs show the classes of the label maps?

Where labels become photographs, a segmentation network that was trained on real ones reads the classes of the outputs,
which are compared with the label maps that the outputs were made from. The network's score on the real photographs is
recorded beside every such score, which would mean nothing without it. Where photographs become labels the nearest
colours are compared directly (Table 6). All scores are fractions, as in the paper's tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from p2pbench.config.metrics import FCN_RECIPE, METRICS, Score
from p2pbench.config.schema import DataConfig
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import DataSet, open_dataset, readers
from p2pbench.data.label_classes import PALETTES, Palette, name_of
from p2pbench.errors import DataError
from p2pbench.scoring.confusion import EACH, confusion_matrices, left_out, mean_over_classes, pixel_accuracy
from p2pbench.scoring.images import Images
from p2pbench.scoring.jackknife import described, none, pseudo_values
from p2pbench.scoring.paired import MetricResult, not_measured
from p2pbench.statistics.intervals import bca_of_means, image_interval
from p2pbench.system.progress import Count, no_progress

if TYPE_CHECKING:
    import torch

    from p2pbench.scoring.segmenter import Segmenter

ABSENT = "a class that no label map of the set shows is left out of the mean; pixels found to be of it are errors"
"""How class scores count it, which stands in their settings."""

LOOKED_AT = 8
"""The number of test pairs by which the side with the labels is found."""
BATCH = 8
DIRECTIONS: tuple[Literal["AtoB", "BtoA"], ...] = ("BtoA", "AtoB")


@dataclass(frozen=True)
class ClassReader:
    """Reads classes from the images of one direction of a data set, and knows the true ones."""

    palette: Palette
    segmenter: Segmenter | None = None
    """The network that reads photographs; None where the images are label maps themselves."""
    labels: np.ndarray | None = None
    """The label maps of the images, (N, H, W, 3), uint8, in their order; None where the targets are label maps."""

    def confusions(self, fakes: np.ndarray, targets: np.ndarray, start: int = 0) -> np.ndarray:
        """The confusion matrices of a batch of images: (B, K, K + 1), int64.

        Args:
            fakes, targets: (B, H, W, 3), uint8.
            start: the position of the batch's first image among all images.
        """
        labels = targets if self.labels is None else self.labels[start : start + len(fakes)]
        read = self.palette if self.segmenter is None else self.segmenter
        return confusion_matrices(self.palette.classes_of(labels), read.classes_of(fakes), len(self.palette.classes))

    @property
    def settings(self) -> dict[str, Any]:
        about: dict[str, Any] = {
            "palette": self.palette.name,
            "classes_of": "nearest colour",
            "library": f"numpy {np.__version__}",
        }
        if self.segmenter is not None:
            about |= {"classes_of": "segmentation network", "network_recipe": FCN_RECIPE}
            about["network_sha256"] = self.segmenter.sha256
            about["library"] = f"torch {version('torch')}"
        return about

    @property
    def ceilings(self) -> dict[str, float]:
        """The scores of the real photographs by name; empty where no network reads them."""
        if self.segmenter is None:
            return {}
        real = self.segmenter.real
        whole = real.sum(axis=0)
        each = {name: float(mean_over_classes(of(whole))) for name, of in EACH.items()}
        return {"fcn-pixel": float(np.nanmean(pixel_accuracy(real))), **each}


@dataclass(frozen=True)
class NoReader:
    """The reason why nothing can read classes from the images, and the palette that was tried."""

    reason: str
    palette: str | None = None

    @property
    def settings(self) -> dict[str, Any]:
        return {"palette": self.palette}


class ClassMeasure:
    """Takes in batches, in the order of the reader's labels, and then gives FCN-scores."""

    def __init__(self, names: Sequence[str], reader: ClassReader) -> None:
        """``names``: of ``FCN_SCORES``."""
        self.names, self.reader = names, reader
        self._confusions: list[np.ndarray] = []

    def add(self, fakes: np.ndarray, targets: np.ndarray) -> None:
        """Take in a batch of outputs and targets, both (B, H, W, 3), uint8."""
        for start in range(0, len(fakes), BATCH):
            rows = slice(start, start + BATCH)
            position = sum(map(len, self._confusions))
            self._confusions.append(self.reader.confusions(fakes[rows], targets[rows], position))

    def results(self, _targets: Images, common: dict[str, Any]) -> Iterable[MetricResult]:
        """The scores, once every batch is taken in.

        Per-pixel accuracy is a mean over images with its interval, as other scores are. Class scores are made from the
        sum of all matrices, as in the paper, with a BCa interval over resampled images. An image whose label map shows
        no class is left out, and a note says so.
        """
        confusions, settings = np.concatenate(self._confusions), {**self.reader.settings, **common}
        pixel = pixel_accuracy(confusions)
        shown, n = np.isfinite(pixel), len(pixel)
        blank = f"{n - shown.sum()} of {n} label maps show no class of the palette"
        for name in self.names:
            if not shown.any():
                yield MetricResult(not_measured(name, n, blank, settings))
                continue
            score, pseudo = _score(name, confusions[shown], settings, self.reader)
            if not shown.all():
                score = replace(score, notes=(*score.notes, f"{blank} and are left out"))
                pseudo = None if pseudo is None else _in_places(pseudo, shown)
            yield MetricResult(score, pixel if name == "fcn-pixel" else None, pseudo)


def _in_places(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """``values`` of the images that are ``kept``, (N,), bool, among NaN for the others: (N,)."""
    placed = np.full(len(kept), np.nan)
    placed[kept] = values
    return placed


def _score(
    name: str, confusions: np.ndarray, settings: dict[str, Any], reader: ClassReader
) -> tuple[Score, np.ndarray | None]:
    """The score, and the pseudo-values of a score of classes."""
    whole, pseudo = confusions.sum(axis=0), None
    if name == "fcn-pixel":
        estimate, method = image_interval(pixel_accuracy(confusions))
        about: dict[str, Any] = {"interval": method}
        if reader.palette.void:  # so images differ in how many of their pixels count
            about["over_set"] = float(pixel_accuracy(whole))
    else:
        each = EACH[name]
        estimate = bca_of_means(confusions, lambda means: mean_over_classes(each(means)))
        per_class = dict(zip(reader.palette.classes, each(whole).tolist(), strict=True))
        about = {"interval": "BCa", "absent_classes": ABSENT}
        about["per_class"] = {c: v for c, v in per_class.items() if not np.isnan(v)}
        if len(confusions) > 1:
            pseudo = pseudo_values(estimate.value, left_out(each, confusions))
        about["jackknife"] = none("there is one image") if pseudo is None else described(len(pseudo), len(confusions))
    notes: tuple[str, ...] = ()
    if name in reader.ceilings:
        about["real_photos"] = reader.ceilings[name]
        notes = (f"the real photos' {METRICS[name].label}, by the same network: {reader.ceilings[name]:.3f}",)
    reason = "one image has no interval" if len(confusions) == 1 else None
    n, value, low, high = len(confusions), estimate.value, estimate.low, estimate.high
    return Score(name, n, value, low, high, {**settings, **about}, reason, notes), pseudo


def find_reader(
    dataset: DataSet, named: str | None, device: torch.device, progress: Count = no_progress
) -> ClassReader | NoReader:
    """The reader of classes from outputs for ``dataset``, in its direction; or the reason why there is none.

    The images show which side holds the label maps. The network does not depend on the configuration's jitter,
    direction, colours and channels, so that variants are scored alike.

    Args:
        named: a key of ``PALETTES``; None where the data set's name says it.
        progress: called while the segmentation network is trained, if it was not trained before.
    Raises:
        StorageError: the network cannot be written to the cache.
    """
    source = dataset.config.source
    name = name_of(source, named)
    if name is None:
        way_out = f"--set scoring.palette={' or '.join(PALETTES)} says it, where it has any"
        return NoReader(f"needs to know the colours of the label maps of {source}: {way_out}")
    palette = PALETTES[name]
    plain = dataset.config.model_copy(update={"jitter": False, "colours": "rgb", "channels": (3, 3), "range": None})
    dataset = replace(dataset, config=plain)
    try:
        test = decoded(dataset, "test")
    except DataError as error:  # images that networks can take, but that are not RGB
        return NoReader(f"needs RGB images: {error}", name)
    if test.dtype != np.uint8:
        return NoReader(f"{name} label maps have 8 bits a channel; {source} has 16", name)
    conditions, targets = test[..., :3], test[..., 3:]
    sides = list(zip(*(read() for read in islice(readers(dataset, "test"), LOOKED_AT)), strict=True))  # unscaled
    side, other = "AB" if plain.direction == "AtoB" else "BA"
    if palette.is_of(sides["AB".index(other)]):
        return ClassReader(palette)
    if not palette.is_of(sides["AB".index(side)]):
        return NoReader(
            f"neither side of {source} holds label maps of the {name} palette; --set scoring.palette names another",
            name,
        )
    from p2pbench.scoring import segmenter

    train = decoded(dataset, "train")
    key = f"{dataset.key}:{side}:{plain.resize_filter}:{plain.background}"
    photographs = segmenter.Photographs(key, palette, (train[..., 3:], train[..., :3]), (targets, conditions))
    return ClassReader(palette, segmenter.obtain(photographs, device, progress), conditions)


def find_reader_of_images(
    targets: Images,
    names: Sequence[str],
    source: str | None,
    named: str | None,
    device: torch.device,
    progress: Count,
) -> ClassReader | NoReader:
    """The reader of classes from images of which only ``targets``, (N, H, W, 3), uint8, and names are known.

    Args:
        source: the data set to whose test pairs they belong, which has the label maps and trains the network. Targets
            that are label maps need none.
        named: a key of ``PALETTES``, if given.
    Raises:
        DataError: there is no such source.
    """
    name = name_of(source or "", named)
    if name is not None and PALETTES[name].is_of(targets[:LOOKED_AT]):
        return ClassReader(PALETTES[name])
    if source is None:
        return NoReader(
            "needs label maps: the targets are none of a palette that is named; where they are photographs, "
            "--set data.source=NAME says whose test pairs they are, and a network is trained on its others",
            name,
        )
    height, width = targets.shape[1:3]
    for direction in DIRECTIONS:
        config = DataConfig(source=source, direction=direction, jitter=False, crop_size=(height, width))
        dataset = open_dataset(config)
        reader = find_reader(dataset, named, device, progress)
        if isinstance(reader, NoReader) or reader.segmenter is not None:  # from labels to photographs
            break
    if isinstance(reader, NoReader):
        return reader
    assert reader.segmenter is not None
    assert reader.labels is not None
    rows = {pair: row for row, pair in enumerate(dataset.names["test"])}
    if others := [image for image in names if image not in rows]:
        return NoReader(
            f"needs the label map of each image: {len(others)} of {len(names)} go by the name of no test pair of "
            f"{source}, the first {others[0]!r}",
            name,
        )
    chosen = [rows[image] for image in names]
    return ClassReader(
        reader.palette, replace(reader.segmenter, real=reader.segmenter.real[chosen]), reader.labels[chosen]
    )
