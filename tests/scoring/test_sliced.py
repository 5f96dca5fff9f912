"""The sliced Wasserstein distance against a slow, plain version of itself, and what it must obey."""

from __future__ import annotations

import hashlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from p2pbench.scoring import sliced
from p2pbench.scoring.images import batches
from p2pbench.scoring.sliced import Sliced, _random, level_sizes

KERNEL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


def images(n: int, seed: int, height: int = 32, width: int = 32) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(n, height, width, 3))
    smooth = gaussian_filter(noise, (0, 2, 2, 0))
    return np.asarray((128 + 40 * smooth / smooth.std() + 8 * noise).clip(0, 255).astype(np.uint8))


def sliced_wasserstein(fakes: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    measure = Sliced(*fakes.shape[:3])
    for pair in batches(fakes, targets):
        measure.add(*pair)
    return measure.distances()[0]


def plain(fakes: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Pixel by pixel, patch by patch, direction by direction, in float64."""
    pyramids = [[pyramid(image) for image in of] for of in (fakes, targets)]
    distances = {}
    for level, size in enumerate(level_sizes(*fakes.shape[1:3])):
        sets = []
        for of, levels in zip((fakes, targets), pyramids, strict=True):
            patches = []
            for image, pictures in zip(of, levels, strict=True):
                key = int.from_bytes(hashlib.blake2b(image.tobytes(), digest_size=8).digest())
                random = _random(key, level)
                ys, xs = random.integers(0, size[0] - 6, 128), random.integers(0, size[1] - 6, 128)
                patches += [pictures[level][y : y + 7, x : x + 7] for y, x in zip(ys, xs, strict=True)]
            whole = np.stack(patches)  # (M, 7, 7, 3)
            whole = (whole - whole.mean(axis=(0, 1, 2))) / whole.std(axis=(0, 1, 2))
            sets.append(whole.transpose(0, 3, 1, 2).reshape(len(whole), -1))
        gaps = []
        for direction in _random(2018, level).standard_normal((512, 147), dtype=np.float32).astype(np.float64):
            unit = direction / np.sqrt((direction**2).sum())
            gaps.append(np.abs(np.sort(sets[0] @ unit) - np.sort(sets[1] @ unit)).mean())
        distances[f"{size[0]}x{size[1]}"] = 1000 * float(np.mean(gaps))
    return distances


def pyramid(image: np.ndarray) -> list[np.ndarray]:
    levels = [image.astype(np.float64)]
    for height, width in level_sizes(*image.shape[:2])[1:]:
        levels.append(filtered(levels[-1], KERNEL)[::2, ::2])
        assert levels[-1].shape[:2] == (height, width)
        spread = np.zeros_like(levels[-2])
        spread[::2, ::2] = levels[-1]
        levels[-2] = levels[-2] - filtered(spread, 4 * KERNEL)
    return levels


def filtered(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="reflect")
    result = np.zeros_like(image)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            result[y, x] = (padded[y : y + 5, x : x + 5] * kernel[..., None]).sum(axis=(0, 1))
    return result


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (20, 64)])
def test_it_is_what_the_slow_version_gives(size: tuple[int, int]) -> None:
    fakes, targets = images(3, 0, *size), images(3, 1, *size) // 2 + 30
    found, expected = sliced_wasserstein(fakes, targets), plain(fakes, targets)
    assert list(found) == list(expected)
    for level, value in found.items():
        assert value == pytest.approx(expected[level], rel=1e-4)  # float32 against float64


def test_levels_are_halved_rounded_up_down_to_sixteen() -> None:
    assert level_sizes(256, 256) == [(256, 256), (128, 128), (64, 64), (32, 32), (16, 16)]
    assert level_sizes(100, 250) == [(100, 250), (50, 125), (25, 63)]
    assert level_sizes(16, 900) == [(16, 900)]


@settings(max_examples=8)
@given(st.integers(0, 99), st.integers(16, 40), st.integers(16, 40))
def test_equal_sets_are_at_no_distance_in_any_order_and_either_way_round(seed: int, height: int, width: int) -> None:
    a, b = images(4, seed, height, width), 255 - images(4, seed + 100, height, width) // 2
    order = [2, 0, 3, 1]
    assert set(sliced_wasserstein(a, a).values()) == {0.0}
    assert sliced_wasserstein(a, a[order]) == pytest.approx(dict.fromkeys(sliced_wasserstein(a, a), 0.0), abs=1e-3)
    there = sliced_wasserstein(a, b)
    assert min(there.values()) > 0
    assert sliced_wasserstein(b, a) == there
    assert sliced_wasserstein(a[order], b) == pytest.approx(there, rel=1e-4)


def test_blur_is_far_off_at_the_finest_level_and_not_at_the_coarsest() -> None:
    sharp, other = (np.random.default_rng(k).integers(0, 256, (16, 8, 8, 3), dtype=np.uint8) for k in range(2))
    sharp, other = (blocks.repeat(8, 1).repeat(8, 2) for blocks in (sharp, other))
    blurred = gaussian_filter(sharp, (0, 1, 1, 0))
    found, floor = sliced_wasserstein(blurred, sharp), sliced_wasserstein(other, sharp)
    assert found["64x64"] > 1.5 * floor["64x64"]
    assert found["16x16"] < floor["16x16"]


def test_images_of_one_colour_have_a_distance_too() -> None:
    flat = np.full((4, 32, 32, 3), 100, dtype=np.uint8)
    assert set(sliced_wasserstein(flat, flat + 50).values()) == {0.0}
    assert all(np.isfinite(value) and value > 0 for value in sliced_wasserstein(flat, images(4, 0)).values())


def test_more_images_give_fewer_descriptors_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that memory is bounded: for 64 images as for 16."""
    monkeypatch.setattr(sliced, "MOST_DESCRIPTORS", 16 * 128)
    whole = Sliced(16, 32, 32)
    many = Sliced(64, 32, 32)
    assert (whole.settings["patches_per_image"], many.settings["patches_per_image"]) == (128, 32)
    peaks = []
    for n in (16, 64):
        fakes, targets = images(n, 0), images(n, 1)
        tracemalloc.start()
        found = sliced_wasserstein(fakes, targets)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert min(found.values()) > 0
    assert peaks[1] < 1.2 * peaks[0]


def test_batches_do_not_matter() -> None:
    fakes, targets = images(5, 0), images(5, 1)
    measure = Sliced(5, 32, 32)
    for rows in (slice(0, 1), slice(1, 4), slice(4, 5)):
        measure.add(fakes[rows], targets[rows])
    assert measure.distances()[0] == sliced_wasserstein(fakes, targets)


def test_without_each_group_it_is_the_distance_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Along some of the directions nearly, along all of them exactly."""
    monkeypatch.setattr(sliced, "PATCHES", 8)
    fakes, targets = images(12, 0, 16, 16), images(12, 1, 16, 16) // 2
    others = [[i for i in range(12) if i % 10 != group] for group in range(10)]
    exact = np.array([np.mean(list(sliced_wasserstein(fakes[o], targets[o]).values())) for o in others])
    for directions, near in ((512, 1e-4), (64, 0.5)):
        monkeypatch.setattr(sliced, "DIRECTIONS_LEFT_OUT", directions)
        measure = Sliced(12, 16, 16)
        measure.add(fakes, targets)
        by_level, left_out = measure.distances()
        changes = exact - np.mean(list(by_level.values()))
        assert len(left_out) == 10
        assert np.abs(left_out - exact).max() < near * np.abs(changes).max()
