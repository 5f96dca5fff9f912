"""Drawn pairs: the same everywhere and for any number, exact labels, photographs that show them and more."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import read_pair
from scipy import ndimage

from p2pbench.data import pairs
from p2pbench.data.facades import CLASSES, SIDE, drawn
from p2pbench.data.facades.drawn import Drawn
from p2pbench.errors import DataError

DEFAULT = Drawn()

GOLDEN = [
    "a79af91c19ab6396c3ea1b0bc17bb6220186365ac86b7090e50d8c1b7b7c3a5f",
    "cdc172ff02696258572daf91d73ab2c1f2eedbf180262cd9724086c6758cbe0d",
]
"""SHA-256 of the first 40 photographs and label maps of the test split."""


def draw_pairs(which: Drawn, split: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for index in range(len(drawn.drawn_names(which)[split])):
        yield drawn.draw(which, split, index)


def classes_of(labels: np.ndarray) -> np.ndarray:
    """The class of each pixel, (H, W); fails on a colour that is none."""
    packed = labels.astype(np.int64) @ [65536, 256, 1]
    palette = np.array(list(CLASSES.values())) @ [65536, 256, 1]
    same = packed[..., None] == palette
    assert same.any(-1).all()
    classes: np.ndarray = same.argmax(-1)
    return classes


# ---- names


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("drawn", Drawn(400, 0)),
        ("drawn:12", Drawn(12, 0)),
        ("drawn:12:7", Drawn(12, 7)),
        ("drawn:1000000:4294967295", Drawn(1_000_000, 2**32 - 1)),
        ("photos", None),
        ("drawings", None),
        ("./drawn:12", None),
    ],
)
def test_a_source_names_a_drawn_set_or_another_kind(source: str, wanted: Drawn | None) -> None:
    assert drawn.parse(source) == wanted


@pytest.mark.parametrize(
    "source",
    [
        "drawn:",
        "drawn:abc",
        "drawn:0",
        "drawn:-1",
        "drawn:1.5",
        "drawn: 5",
        "drawn:5:",
        "drawn:5:x",
        "drawn:5:6:7",
        "drawn:1000001",
        "drawn:5:4294967296",
        "drawn:٣",
        "drawn:5\n",
    ],
)
def test_a_malformed_name_is_refused_with_the_rule_and_a_way_out(source: str) -> None:
    with pytest.raises(DataError, match=r"data\.source is .*drawn:N:SEED, with 1 to 1,000,000 .* as in drawn:5000"):
        drawn.parse(source)


def test_names_are_as_many_as_the_pairs_and_sort_in_their_order() -> None:
    names = drawn.drawn_names(Drawn(7, 3))
    assert {split: len(found) for split, found in names.items()} == {"train": 7, "val": 100, "test": 100}
    assert names["train"] == [f"train-00000{index}" for index in range(7)]
    assert all(found == sorted(set(found)) for found in names.values())


def test_the_key_is_all_that_decides_the_pixels() -> None:
    keys = {drawn.drawn_key(which) for which in (Drawn(400, 0), Drawn(401, 0), Drawn(400, 1))}
    assert len(keys) == 3
    assert drawn.drawn_key(Drawn()) in keys


def test_naming_pairs_imports_nothing_heavy() -> None:
    code = (
        "import sys; from p2pbench.data.facades import drawn; d = drawn.parse('drawn:9'); drawn.drawn_key(d);"
        "drawn.drawn_names(d); print([name for name in ('numpy', 'torch', 'PIL', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- keyed


def test_pairs_are_the_same_everywhere() -> None:
    """Golden hashes of every pixel of the first test pairs. They change only with RECIPE."""
    found = list(islice(draw_pairs(DEFAULT, "test"), 40))
    digests = [hashlib.sha256(b"".join(image.tobytes() for image in images)) for images in zip(*found, strict=True)]
    assert drawn.RECIPE == "drawn-2"
    assert [digest.hexdigest() for digest in digests] == GOLDEN


def test_a_pair_depends_on_seed_split_and_index_alone() -> None:
    few, many = Drawn(3, 5), Drawn(50_000, 5)
    forward = list(draw_pairs(few, "train"))
    backward = [drawn.draw(many, "train", index) for index in (2, 1, 0)][::-1]
    for one, other in zip(forward, backward, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_no_two_pairs_are_alike() -> None:
    """Within a split, over splits and over seeds; neither the label maps nor the photographs."""
    sets = [(Drawn(30, seed), split) for seed in (0, 1, 2**32 - 1) for split in ("train", "val", "test")]
    found = [drawn.draw(which, split, index) for which, split in sets for index in range(30)]
    for images in zip(*found, strict=True):
        assert len({image.tobytes() for image in images}) == len(found)


# ---- what is drawn


@given(seed=st.integers(0, 2**32 - 1), index=st.integers(0, drawn.MOST - 1), split=st.sampled_from(pairs.SPLITS))
def test_label_maps_hold_the_colours_of_classes_only(seed: int, index: int, split: str) -> None:
    photograph, labels = drawn.draw(Drawn(1, seed), split, index)
    for image in (labels, photograph):
        assert image.shape == (SIDE, SIDE, 3)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
    present = set(np.unique(classes_of(labels)))
    assert {0, 1, 2} <= present  # background, facade and window are in every picture


def test_every_class_occurs_about_as_often_as_in_real_facades() -> None:
    """Of the CMP facades 22 % are background, 41 % wall, 13 % window, 7 % molding, and each other class 1 % to 4 %."""
    found = np.concatenate([classes_of(b) for _, b in islice(draw_pairs(DEFAULT, "train"), 60)])
    shares = dict(zip(CLASSES, np.bincount(found.ravel(), minlength=len(CLASSES)) / found.size, strict=True))
    wanted = {"background": (0.15, 0.35), "facade": (0.3, 0.5), "window": (0.08, 0.2), "molding": (0.03, 0.1)}
    for name, share in shares.items():
        low, high = wanted.get(name, (0.004, 0.07))
        assert low <= share <= high, (name, share)


def test_photographs_show_their_labels() -> None:
    """The colour of nearly every class, within a picture, is another than that of the wall it stands on."""
    differ: dict[str, list[float]] = {name: [] for name in ("window", "door", "blind", "shop", "background")}
    for photograph, labels in islice(draw_pairs(DEFAULT, "train"), 60):
        classes = classes_of(labels)
        wall = photograph[classes == 1].mean(0)
        for name, distances in differ.items():
            inside = photograph[classes == list(CLASSES).index(name)]
            if len(inside):
                distances.append(float(np.abs(inside.mean(0) - wall).max()))
    for name, distances in differ.items():
        assert np.median(distances) > 25, name


def test_photographs_show_more_than_their_labels() -> None:
    """Walls differ in colour between pictures and in light within them: what L1 alone can only average."""
    found = [(classes_of(b) == 1, a) for a, b in islice(draw_pairs(DEFAULT, "train"), 60)]
    walls = np.array([photograph[wall].mean(0) for wall, photograph in found])
    assert (walls.std(0) > 20).all()
    assert np.median([photograph[wall].std(0).mean() for wall, photograph in found]) > 8


@pytest.mark.shared
def test_the_palette_is_the_one_of_the_real_label_maps(shared: Path) -> None:
    """Where a real label map is flat over 5x5 pixels, its colour is, but for what JPEG rounds, one of ours."""
    palette = np.array(list(CLASSES.values()))
    seen = np.zeros(len(CLASSES), np.int64)
    off = 0
    for pair in pairs.find_pairs(shared / "data" / "facades")["val"]:
        _, labels = read_pair(pair)
        packed = labels.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
        flat = labels[ndimage.minimum_filter(packed, 5) == ndimage.maximum_filter(packed, 5)].astype(np.int64)
        distance = np.abs(flat[:, None] - palette).max(-1)
        seen += np.bincount(distance.argmin(-1)[distance.min(-1) <= 2], minlength=len(CLASSES))
        off += int((distance.min(-1) > 2).sum())
    assert (seen > 100).all()
    assert off < 0.01 * seen.sum()
