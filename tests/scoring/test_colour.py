"""Overlap of Lab histograms: what Figure 7 prints."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pbench.scoring.colour import BINS, Overlaps, lab
from p2pbench.scoring.evaluate import evaluate


def images(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)


def lab_overlaps(fakes: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    overlaps = Overlaps()
    for rows in (slice(0, 1), slice(1, None)):
        if len(fakes[rows]):
            overlaps.add(fakes[rows], targets[rows])
    return np.stack(overlaps.per_image), overlaps.over_set()


def test_lab_is_scikit_images() -> None:
    from skimage.color import rgb2lab

    random = np.random.default_rng(0)
    image = np.concatenate([random.integers(0, 256, (40, 16, 3)), random.integers(0, 20, (8, 16, 3))]).astype(np.uint8)
    expected = rgb2lab(image).reshape(-1, 3).T
    np.testing.assert_allclose(lab(image.reshape(-1, 3)), expected, rtol=0, atol=1e-9)
    for channel, (low, high) in enumerate(BINS):
        assert low - 0.5 < expected[channel].min() <= expected[channel].max() < high + 0.5


def test_the_histograms_are_numpys_of_scikit_images_lab() -> None:
    from skimage.color import rgb2lab

    a, b = images(4, 0), images(4, 1)
    expected = np.zeros((4, 3))
    for row, pair in zip(expected, zip(a, b, strict=True), strict=True):
        for channel, (low, high) in enumerate(BINS):
            edges = np.arange(low, high + 2) - 0.5
            ours, theirs = (np.histogram(rgb2lab(image)[..., channel], edges)[0] / 64 for image in pair)
            row[channel] = np.minimum(ours, theirs).sum()
    np.testing.assert_allclose(lab_overlaps(a, b)[0], expected, rtol=1e-12)


def halves(left: int, right: int, share: float) -> np.ndarray:
    """One grey image, ``share`` of it of value ``left``."""
    image = np.full((1, 10, 10, 3), right, np.uint8)
    image[:, :, : int(10 * share)] = left
    return image


def test_the_overlap_is_the_share_of_pixels_in_common() -> None:
    per_image, over_set = lab_overlaps(halves(0, 255, 0.5), halves(0, 255, 0.2))
    assert per_image.shape == (1, 3)
    assert per_image[0] == pytest.approx([0.7, 1.0, 1.0])  # min(0.5, 0.2) + min(0.5, 0.8); grey has one a and one b
    assert over_set == pytest.approx([0.7, 1.0, 1.0])


@given(seed=st.integers(0, 100), other=st.integers(0, 100))
def test_it_is_a_symmetric_share_and_one_for_the_same(seed: int, other: int) -> None:
    a, b = images(3, seed), images(3, other)
    there, back = lab_overlaps(a, b), lab_overlaps(b, a)
    for one, two in zip(there, back, strict=True):
        np.testing.assert_allclose(one, two)
        assert (one >= 0).all()
        assert (one <= 1 + 1e-12).all()
    for same in lab_overlaps(a, a):
        np.testing.assert_allclose(same, 1.0)


def test_over_the_set_it_does_not_matter_which_image_has_the_colours() -> None:
    a = np.concatenate([halves(0, 0, 1), halves(255, 255, 1)])
    per_image, over_set = lab_overlaps(a, a[::-1])
    assert per_image[:, 0] == pytest.approx([0, 0])
    assert over_set[0] == pytest.approx(1)


def test_the_score_carries_both() -> None:
    found = evaluate(images(4, 0), images(4, 1), list("abcd"), ["hist-l", "hist-b"], fetch=False)
    per_image, over_set = lab_overlaps(images(4, 0), images(4, 1))
    for name, channel in (("hist-l", 0), ("hist-b", 2)):
        score = found.scores[name].to_json()
        assert score["value"] == pytest.approx(per_image[:, channel].mean())
        assert score["settings"]["over_set"] == pytest.approx(over_set[channel])
        assert score["better"] == "higher"
        assert score["low"] < score["value"] < score["high"]


def test_over_the_set_it_is_a_score_of_its_own_exact_without_each_image() -> None:
    fakes, targets = images(5, 0), images(5, 1) // 2
    found = evaluate(fakes, targets, list("abcde"), ["hist-l-set", "hist-a-set", "hist-b-set"], fetch=False)
    over_set = lab_overlaps(fakes, targets)[1]
    without = [lab_overlaps(np.delete(fakes, i, 0), np.delete(targets, i, 0))[1] for i in range(5)]
    for channel, name in enumerate(("hist-l-set", "hist-a-set", "hist-b-set")):
        assert found.scores[name].value == pytest.approx(over_set[channel])
        assert found.scores[name].settings["jackknife"] == "images"
        expected = 5 * over_set[channel] - 4 * np.array(without)[:, channel]
        assert found.pseudo_values[name] == pytest.approx(expected, abs=1e-6)  # shares are kept as float32
    assert found.per_image == {}
    one = evaluate(fakes[:1], targets[:1], ["a"], ["hist-l-set"], fetch=False)
    assert one.scores["hist-l-set"].settings["jackknife"] == "none: there is one image"
    assert one.pseudo_values == {}
