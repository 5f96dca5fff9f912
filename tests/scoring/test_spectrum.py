"""Power spectra of images whose spectrum is known: noise, blur, a checkerboard."""

from __future__ import annotations

import numpy as np
import pytest

from p2pbench.scoring.spectrum import Spectra


def noise(n: int = 8, height: int = 64, width: int = 64) -> np.ndarray:
    grey = np.random.default_rng(0).integers(0, 256, (n, height, width, 1), dtype=np.uint8)
    return np.repeat(grey, 3, axis=3)


def test_white_noise_has_its_variance_at_every_frequency() -> None:
    images = noise()
    spectra = Spectra(64, 64)
    spectra.add(images, images)
    variance = (images[..., 0] / 255).var()
    # The window lets the ring at 0, whose mean was taken away, leak into the next; rings in the corner have few values.
    assert spectra.outputs[2:-4] == pytest.approx(np.full(len(spectra.outputs) - 6, variance), rel=0.25)
    assert spectra.outputs[2:-1].mean() == pytest.approx(variance, rel=0.02)
    assert np.array_equal(spectra.outputs, spectra.targets)


def test_blur_takes_away_high_frequencies_and_a_checkerboard_adds_the_highest() -> None:
    targets = noise()
    blurred = ((targets.astype(int) + np.roll(targets, 1, 1) + np.roll(targets, 1, 2)) // 3).astype(np.uint8)
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 20).astype(np.uint8)[..., None]
    spectra = Spectra(64, 64)
    spectra.add(blurred, targets)
    ratio = spectra.outputs / spectra.targets
    assert ratio[1:4].mean() > 0.9 > 0.3 > ratio[-12:-8].mean()
    spectra = Spectra(64, 64)
    spectra.add(targets // 2 + board, targets // 2)
    ratio = spectra.outputs / spectra.targets
    assert spectra.frequencies[ratio.argmax()] == pytest.approx(0.5**0.5, abs=0.02)  # every other pixel, both ways


def test_it_is_the_same_in_any_batches_and_of_any_shape() -> None:
    images = noise(5, 20, 33)
    at_once, one_by_one = Spectra(20, 33), Spectra(20, 33)
    at_once.add(images, images[::-1])
    for position in range(5):
        one_by_one.add(images[position : position + 1], images[::-1][position : position + 1])
    assert one_by_one.outputs == pytest.approx(at_once.outputs)
    assert at_once.outputs == pytest.approx(at_once.targets)
    assert at_once.frequencies[0] == 0
    assert (np.diff(at_once.frequencies) > 0).all()
    assert at_once.frequencies[-1] <= 0.5**0.5


def test_images_of_other_channels_have_one_too() -> None:
    spectra = Spectra(16, 16)
    spectra.add(noise(2, 16, 16)[..., :1].repeat(5, axis=3), noise(2, 16, 16)[..., :1].repeat(5, axis=3))
    assert np.isfinite(spectra.outputs).all()
