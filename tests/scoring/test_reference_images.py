"""What is looked up in the training pairs: by hand, against a direct double loop, and on the real facades."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.transform import downscale_local_mean

from p2pbench.scoring.reference_rows import disjoint, fields, look_up


def images(n: int, seed: int = 0, size: tuple[int, int] = (40, 36), channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *size, channels), dtype=np.uint8)


def blocks(conditions: np.ndarray, targets: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, len(conditions), size):
        yield conditions[start : start + size], targets[start : start + size]


def test_the_mean_image_by_hand() -> None:
    targets = np.array([[[[0, 10]]], [[[1, 20]]], [[[1, 31]]]], dtype=np.uint8)  # (3, 1, 1, 2)
    mean = look_up(blocks(images(3), targets, 2), images(1)).mean
    assert mean.dtype == np.uint8
    assert mean.tolist() == [[[1, 20]]]  # 2/3 and 61/3, rounded
    deep = look_up([(images(2), np.array([[[[1]]], [[[65535]]]], np.uint16))], images(1)).mean
    assert deep.dtype == np.uint16
    assert deep.tolist() == [[[32768]]]


def test_a_condition_that_training_has_seen_is_its_own_nearest() -> None:
    conditions, targets = images(7), images(7, 1)
    asked = [5, 0, 3]
    found = look_up(blocks(conditions, targets, 3), conditions[asked])
    assert found.nearest.tolist() == asked
    assert found.distance == pytest.approx([0, 0, 0], abs=1e-7)
    twice = np.concatenate([conditions[:2], conditions])
    assert look_up(blocks(twice, images(9), 4), conditions[:2]).nearest.tolist() == [0, 1]  # of equals the first


@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 9), st.integers(0, 99))
def test_the_nearest_is_that_of_a_double_loop_whatever_the_blocks(n: int, asked: int, size: int, seed: int) -> None:
    known, given_ = images(n, seed, (5, 4)), images(asked, seed + 100, (5, 4))
    found = look_up(blocks(known, known, size), given_)
    distances = np.array([[np.sqrt((((a / 255) - (b / 255)) ** 2).mean()) for a in known] for b in given_])
    assert found.nearest.tolist() == distances.argmin(axis=1).tolist()
    assert found.distance == pytest.approx(distances.min(axis=1), abs=1e-7)


def test_fields_are_block_means_and_blind_to_what_averages_out() -> None:
    picture = images(2, size=(64, 96))
    wanted = np.stack([downscale_local_mean(image / 255, (2, 3, 1)).transpose(2, 0, 1).ravel() for image in picture])
    assert fields(picture) == pytest.approx(wanted)
    flat = np.full((1, 64, 64, 3), 100, np.uint8)
    noisy = flat.copy()
    noisy[:, ::2], noisy[:, 1::2] = 90, 110
    assert fields(noisy) == pytest.approx(fields(flat))
    assert fields(images(1, channels=5, size=(8, 8))).shape == (1, 5 * 8 * 8)


def test_no_training_pairs_are_an_error() -> None:
    with pytest.raises(ValueError, match="no training pairs"):
        look_up([], images(1))


@given(st.integers(1, 50), st.integers(1, 3), st.integers(0, 9))
def test_samples_are_disjoint_sorted_and_the_same_again(n: int, count: int, more: int) -> None:
    samples = disjoint(n * count + more, n, count)
    drawn = np.concatenate(samples)
    assert len(set(drawn.tolist())) == n * count
    assert 0 <= drawn.min() <= drawn.max() < n * count + more
    for sample, again in zip(samples, disjoint(n * count + more, n, count), strict=True):
        assert sample.tolist() == sorted(sample.tolist()) == again.tolist()


def test_too_few_training_pairs_are_said_to_be() -> None:
    with pytest.raises(ValueError, match="needs 212 training pairs; there are 100"):
        disjoint(100, 106, 2)


def test_a_real_layout_finds_itself_through_jpeg_noise(shared: Path) -> None:
    from reading import read_pair

    from p2pbench.data.pairs import find_pairs

    pairs = [read_pair(pair) for pair in find_pairs(shared / "data/facades")["train"][:12]]
    photos, labels = (np.stack([pair[side] for pair in pairs]) for side in (0, 1))
    noise = np.random.default_rng(0).integers(-20, 21, labels[4:9].shape)
    asked = (labels[4:9].astype(int) + noise).clip(0, 255).astype(np.uint8)
    found = look_up(blocks(labels, photos, 5), asked)
    assert found.nearest.tolist() == [4, 5, 6, 7, 8]
    assert found.distance.max() < 0.05
    assert found.mean.std() < photos.std() / 2  # what is common to all of them is blurred
