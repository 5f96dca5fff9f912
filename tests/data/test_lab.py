"""What the networks see: RGB, grey, or L and ab, and the way back to pictures."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import lab2rgb, rgb2lab

from p2pbench.config import DataConfig
from p2pbench.data.lab import lab_to_rgb, rgb_to_lab
from p2pbench.data.transforms import conditions_of, seen, seen_condition, shown, targets_of, to_integers, visible

COLOURS = st.tuples(*[st.integers(0, 255)] * 3)
LAB = DataConfig(colours="lab", channels=(1, 2))


def image_of(colour: tuple[int, int, int]) -> torch.Tensor:
    return torch.tensor(colour, dtype=torch.uint8).view(1, 3, 1, 1)


@given(colour=COLOURS)
def test_lab_is_scikit_images_and_its_inverse_exact(colour: tuple[int, int, int]) -> None:
    lab = rgb_to_lab(image_of(colour))
    np.testing.assert_allclose(lab.flatten().numpy(), rgb2lab(np.array(colour, np.uint8)[None, None])[0, 0], atol=2e-3)
    assert torch.equal(lab_to_rgb(lab), image_of(colour))


@given(lightness=st.floats(0, 100), a=st.floats(-60, 60), b=st.floats(-60, 60))
def test_colours_that_srgb_does_not_have_are_clipped_as_scikit_image_does(lightness: float, a: float, b: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-image warns of a negative Z, which it sets to 0
        wanted = lab2rgb(np.array([lightness, a, b])[None, None])[0, 0]
    found = lab_to_rgb(torch.tensor([lightness, a, b]).view(1, 3, 1, 1)).flatten().numpy() / 255
    assert np.abs(found - np.clip(wanted, 0, 1)).max() <= 0.02


@pytest.mark.parametrize(
    ("data", "channels"),
    [
        (DataConfig(), (3, 3)),
        (DataConfig(channels=(1, 3)), (1, 3)),
        (DataConfig(channels=(3, 1)), (3, 1)),
        (LAB, (1, 2)),
    ],
)
def test_the_networks_see_the_channels_asked_for_within_their_range(
    data: DataConfig, channels: tuple[int, int]
) -> None:
    pairs = torch.randint(0, 256, (2, 6, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    condition, target = seen(pairs, data)
    assert (condition.shape[1], target.shape[1]) == channels
    for images in (condition, target):
        assert images.dtype == torch.float32
        assert -1 <= images.min() < images.max() <= 1
    of_lab = pairs[:, 3:] if data.colours == "lab" else pairs[:, :3]
    assert torch.equal(seen_condition(of_lab, data), condition)


def test_the_perfect_output_is_shown_as_the_target() -> None:
    pairs = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 6), dtype=np.uint8)
    nchw = torch.from_numpy(pairs).permute(0, 3, 1, 2)
    for data in (DataConfig(), DataConfig(channels=(1, 3)), DataConfig(channels=(3, 1)), LAB):
        conditions = torch.from_numpy(conditions_of(pairs, data)).permute(0, 3, 1, 2)
        picture = shown(seen(nchw, data)[1], conditions, data).permute(0, 2, 3, 1).numpy()
        assert np.array_equal(picture, targets_of(pairs, data))
    assert np.array_equal(targets_of(pairs, LAB), pairs[..., 3:])


@given(grey=st.integers(0, 255))
def test_grey_stays_the_grey_it_was(grey: int) -> None:
    condition = seen_condition(image_of((grey, grey, grey)), DataConfig(channels=(1, 3)))
    assert int(to_integers(condition)) == grey
    picture = np.full((1, 2, 2, 3), grey, np.uint8)
    for data in (DataConfig(), DataConfig(channels=(1, 3)), LAB):
        assert np.array_equal(visible(picture, data), picture)


def test_luma_is_rec_601s() -> None:
    data = DataConfig(channels=(1, 3))
    for colour, luma in (((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29), ((10, 20, 30), 18)):
        assert int(to_integers(seen_condition(image_of(colour), data))) == luma
        assert visible(np.array(colour, np.uint8)[None, None, None], data).flatten().tolist() == [luma] * 3
