"""Exploratory data analysis of a paired data set: the numbers, which :mod:`figures` draws and :mod:`page` describes.

A pool of threads makes two passes and keeps no image: one over all pairs, for what an image is by itself; and one over
a sample, for what takes longer or needs the palette of the first pass. All sums are of whole numbers, so that the order
in which threads finish changes nothing.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
from PIL import Image

from p2pbench.curation.explore import measures
from p2pbench.curation.explore.drift import drift_of
from p2pbench.curation.explore.source import SIDES, Key, Source, keyed_sample
from p2pbench.data.images import Images, luma, resize
from p2pbench.data.palette import N_CELLS, Palette, count_colours, find_palette, flat_pixels
from p2pbench.system.progress import Count, no_progress

MEASURES = {
    "brightness": "mean luma, 0 to 255",
    "contrast": "standard deviation of luma, in grey levels",
    "colourfulness": "Hasler and Süsstrunk 2003: 0 grey, 15 slight, 33 moderate, 59 quite, 109 extreme",
    "sharpness": "standard deviation of the Laplacian of luma, in grey levels",
}
SAMPLE = 1000
"""Maximum pairs whose edges and places of labels are looked at."""
READ_AT = 512
"""Maximum side of the grid on which pixels are counted: every k-th pixel of larger images, so that none are blended."""
PLACES = 64
"""Side of the grid on which the places of labels are counted."""
PRESENT = 0.005
"""The share of an image from which a label counts as present in it."""

T = TypeVar("T")


@dataclass(frozen=True)
class Labels:
    """The labels of a side that is a label map."""

    palette: Palette
    shares: dict[str, np.ndarray]
    """(K,) for each split and ``all``: the share of pixels whose nearest colour each is."""
    noise: float
    """Share of pixels that are near none of the colours."""
    present: np.ndarray
    """(K,): share of the sampled images in which the label fills half a percent or more."""
    places: np.ndarray
    """(K, 64, 64): share of the sampled images that have the label there."""


@dataclass(frozen=True)
class Side:
    """What the images of one side have in common."""

    kind: str
    """``label map``, ``grey images`` or ``colour images``."""
    channels: dict[str, np.ndarray]
    """(3, 256) for each split: the share of values, by channel."""
    mean: np.ndarray
    """(128, 128, 3), 0..255: the mean of all images."""
    spread: np.ndarray
    """(128, 128, 3), 0..127.5: their standard deviation."""
    commonest: tuple[np.ndarray, float]
    """The most frequent colour, (3,), uint8, in a cell of 8x8x8 levels, and that cell's share of all pixels."""
    labels: Labels | None


@dataclass(frozen=True)
class Exploration:
    source: Source
    per_image: pd.DataFrame
    """A row an image: split, name, side, file, type, bytes, width, height and the columns of ``MEASURES``."""
    edges: pd.DataFrame
    """A row a sampled pair: split, name, a_on_b, b_on_a, agreement, and by_chance: with the next pair's B."""
    drift: pd.DataFrame
    """A row a side and measure: the test split beside the training split."""
    sides: dict[str, Side]

    def images_of(self, side: str) -> pd.DataFrame:
        """The rows of ``per_image`` of one side."""
        return self.per_image[self.per_image["side"] == side]

    def channels(self) -> pd.DataFrame:
        """A row a side, split, channel and level: the share of pixels with it."""
        frames = [
            pd.DataFrame({"side": side, "split": split, "channel": name, "level": range(256), "share": shares[number]})
            for side, found in self.sides.items()
            for split, shares in found.channels.items()
            for number, name in enumerate(("red", "green", "blue"))
        ]
        return pd.concat(frames)


def explore(source: Source, progress: Count = no_progress) -> Exploration:
    """Look through all pairs of ``source``.

    Args:
        progress: told the number of pairs that were read; those of the sample are read twice.

    Raises:
        DataError: an image cannot be read; the message names it.
    """
    sample = keyed_sample(source.keys, SAMPLE)
    n = len(source.keys)

    def done(before: int, now: int) -> None:
        progress(before + now, n + len(sample))

    totals = {side: _Totals(tuple(source.names)) for side in SIDES}
    rows = _each(source, set(source.keys), partial(_measure, totals), partial(done, 0))
    per_image = pd.concat([source.files(), pd.DataFrame([row for pair in rows.values() for row in pair])], axis=1)
    palettes = {side: find_palette(t.all_colours(), t.flat) for side, t in totals.items()}
    closer = _each(source, set(sample), partial(_look_closer, palettes), partial(done, n))
    sides = {
        side: _side(
            totals[side],
            n,
            per_image[per_image["side"] == side],
            palettes[side],
            [look[side] for look in closer.values()],
        )
        for side in SIDES
    }
    edges = _edge_table(sample, closer)
    return Exploration(source, per_image, edges, drift_of(per_image, tuple(MEASURES), edges), sides)


def _each(
    source: Source, wanted: set[Key], work: Callable[[Key, Images], T], done: Callable[[int], None]
) -> dict[Key, T]:
    """The results of ``work`` on every wanted pair, in their order; threads do it."""
    results: dict[Key, T] = {}
    pairs = [pair for split in source.names for pair in source.stream(split, wanted)]
    with ThreadPoolExecutor() as pool:  # Pillow and scipy work outside the interpreter's lock
        for (key, _), result in zip(pairs, pool.map(lambda pair: work(pair[0], pair[1]()), pairs), strict=True):
            results[key] = result
            done(len(results))
    return results


# ---- the first pass: what an image is by itself


class _Totals:
    """Sums over the images of one side."""

    def __init__(self, splits: tuple[str, ...]) -> None:
        self.lock = threading.Lock()
        self.channels = {split: np.zeros((3, 256), np.int64) for split in splits}
        self.colours = {split: np.zeros((N_CELLS, 4), np.int64) for split in splits}
        self.flat = np.zeros((N_CELLS, 4), np.int64)
        self.sum, self.squares = (np.zeros((measures.SIDE, measures.SIDE, 3), np.int64) for _ in range(2))

    def add(self, split: str, image: np.ndarray) -> None:
        pixels = on_grid(image)
        channels = [np.bincount(pixels[..., channel].ravel(), minlength=256) for channel in range(3)]
        colours, flat = count_colours(pixels), count_colours(flat_pixels(pixels))
        small = resize(image, (measures.SIDE, measures.SIDE), "bilinear").astype(np.int64)
        with self.lock:
            self.channels[split] += channels
            self.colours[split] += colours
            self.flat += flat
            self.sum += small
            self.squares += small * small

    def all_colours(self) -> np.ndarray:
        return np.asarray(np.sum(list(self.colours.values()), axis=0))


def hex_of(colour: np.ndarray) -> str:
    """A colour, (3,), uint8, as ``#rrggbb``."""
    return "#" + colour.tobytes().hex()


def on_grid(image: np.ndarray) -> np.ndarray:
    """Every k-th pixel of (H, W, 3) in both directions, at most 512 a side."""
    step = -(-max(image.shape[:2]) // READ_AT)
    return image[::step, ::step]


def _measure(totals: Mapping[str, _Totals], key: Key, images: Images) -> list[dict[str, Any]]:
    rows = []
    for side, image in zip(SIDES, images, strict=True):
        totals[side].add(key[0], image)
        pixels = on_grid(image)
        grey = luma(pixels)
        rows.append(
            {
                "width": image.shape[1],
                "height": image.shape[0],
                "brightness": float(grey.mean()),
                "contrast": float(grey.std()),
                "colourfulness": measures.colourfulness(pixels),
                "sharpness": measures.sharpness(image),
            }
        )
    return rows


# ---- the second pass: edges, and where labels are


class _Look(NamedTuple):
    """What a closer look at one image of the sample gives."""

    edges: np.ndarray
    """:func:`edges_of` it, packed to bits."""
    present: np.ndarray
    """(K,), bool: the labels that it has; empty where its side is no label map."""
    places: np.ndarray
    """(64, 64), uint8: the label in each place."""


def unblended(image: np.ndarray, side: int) -> np.ndarray:
    """(H, W, 3) as (side, side, 3) by the nearest pixels, so that no new colour appears."""
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.NEAREST))


def edges_of(image: np.ndarray, palette: Palette | None) -> np.ndarray:
    """The edges of an image, (128, 128), bool: its steepest slopes, or the borders of its labels."""
    if palette is None:
        return measures.edges(resize(image, (measures.SIDE, measures.SIDE), "bilinear"))
    return measures.borders(palette.labels(unblended(image, measures.SIDE)))


def _look_closer(palettes: Mapping[str, Palette | None], _key: Key, images: Images) -> dict[str, _Look]:
    looks = {}
    for side, image in zip(SIDES, images, strict=True):
        palette, present, places = palettes[side], np.empty(0, bool), np.empty((PLACES, PLACES), np.uint8)
        if palette is not None:
            labels = palette.labels(on_grid(image))
            present = np.bincount(labels.ravel(), minlength=len(palette.colours)) >= PRESENT * labels.size
            places = palette.labels(unblended(image, PLACES)).astype(np.uint8)
        looks[side] = _Look(np.packbits(edges_of(image, palette)), present, places)
    return looks


def _edge_table(sample: list[Key], closer: Mapping[Key, Mapping[str, _Look]]) -> pd.DataFrame:
    """How far the edges of each sampled pair agree, and by chance: those of its A with the B of the next pair."""
    rows = []
    for key, following in zip(sample, sample[1:] + sample[:1], strict=True):
        a, b, stranger = (
            np.unpackbits(look.edges).astype(bool).reshape(measures.SIDE, measures.SIDE)
            for look in (closer[key]["A"], closer[key]["B"], closer[following]["B"])
        )
        by_chance = measures.edge_agreement(a, stranger)[2] if following != key else np.nan
        rows.append((*key, *measures.edge_agreement(a, b), by_chance))
    return pd.DataFrame(rows, columns=["split", "name", "a_on_b", "b_on_a", "agreement", "by_chance"])


# ---- both together


def _side(totals: _Totals, n: int, images: pd.DataFrame, palette: Palette | None, looks: list[_Look]) -> Side:
    mean = totals.sum / n
    spread = np.sqrt(np.maximum(totals.squares / n - mean**2, 0))
    channels = {split: counts / counts.sum(axis=1, keepdims=True) for split, counts in totals.channels.items()}
    colours = totals.all_colours()
    most = colours[np.argmax(colours[:, 0])]
    commonest = ((most[1:] / most[0]).round().astype(np.uint8), float(most[0] / colours[:, 0].sum()))
    labels = None
    if palette is not None:
        shares = {name: palette.shares(counts) for name, counts in {**totals.colours, "all": colours}.items()}
        present, places = np.mean([look.present for look in looks], axis=0), np.stack([look.places for look in looks])
        by_label = np.stack([(places == label).mean(axis=0) for label in range(len(palette.colours))])
        labels = Labels(palette, shares, palette.noise(colours), present, by_label)
    grey = bool(images["colourfulness"].max() < 1)  # JPEG leaves a little colour in grey
    kind = "label map" if labels else "grey images" if grey else "colour images"
    return Side(kind, channels, mean, spread, commonest, labels)
