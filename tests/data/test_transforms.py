"""What the networks see: RGB, grey, or L and ab, and the way back to pictures."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import lab2rgb, rgb2lab

from p2pbench.config.schema import DataConfig
from p2pbench.data.transforms import (
    as_displayed,
    condition_to_model,
    conditions_of,
    from_model,
    lab_to_rgb,
    rgb_to_lab,
    targets_of,
    to_integers,
    to_model,
    to_network,
)

COLOURS = st.tuples(*[st.integers(0, 255)] * 3)
LAB = DataConfig(colours="lab", channels=(1, 2))


def image_of(colour: tuple[int, int, int]) -> torch.Tensor:
    return torch.tensor(colour, dtype=torch.uint8).view(1, 3, 1, 1)


@given(colour=COLOURS)
def test_lab_is_scikit_images_and_its_inverse_exact(colour: tuple[int, int, int]) -> None:
    lab = rgb_to_lab(image_of(colour) / 255)
    np.testing.assert_allclose(lab.flatten().numpy(), rgb2lab(np.array(colour, np.uint8)[None, None])[0, 0], atol=2e-3)
    assert torch.equal((lab_to_rgb(lab) * 255).round().byte(), image_of(colour))


@given(lightness=st.floats(0, 100), a=st.floats(-60, 60), b=st.floats(-60, 60))
def test_colours_that_srgb_does_not_have_are_clipped_as_scikit_image_does(lightness: float, a: float, b: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-image warns of a negative Z, which it sets to 0
        wanted = lab2rgb(np.array([lightness, a, b])[None, None])[0, 0]
    found = lab_to_rgb(torch.tensor([lightness, a, b]).view(1, 3, 1, 1)).flatten().numpy()
    assert np.abs(found - np.clip(wanted, 0, 1)).max() <= 0.03


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
    shape = (2, sum(data.stored), 4, 5)
    pairs = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    condition, target = to_model(pairs, data)
    assert (condition.shape[1], target.shape[1]) == channels
    for images in (condition, target):
        assert images.dtype == torch.float32
        assert -1 <= images.min() < images.max() <= 1
    stored = torch.from_numpy(conditions_of(pairs.permute(0, 2, 3, 1).numpy(), data)).permute(0, 3, 1, 2)
    assert torch.equal(condition_to_model(stored, data), condition)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("data", [DataConfig(), DataConfig(channels=(1, 3)), DataConfig(channels=(4, 5)), LAB])
def test_the_perfect_output_is_shown_as_the_target(data: DataConfig, dtype: type) -> None:
    shape = (2, 4, 5, sum(data.stored))
    pairs = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)
    nchw = torch.from_numpy(pairs).permute(0, 3, 1, 2)
    conditions = torch.from_numpy(conditions_of(pairs, data)).permute(0, 3, 1, 2)
    picture = from_model(to_model(nchw, data)[1], conditions, data, nchw.dtype).permute(0, 2, 3, 1).numpy()
    assert picture.dtype == dtype
    off = np.abs(picture.astype(int) - targets_of(pairs, data)).max()
    assert off <= (8 if data.colours == "lab" and dtype == np.uint16 else 0)  # float32 through L*a*b* and back


@given(value=st.integers(0, 65535))
def test_integers_survive_the_networks_range(value: int) -> None:
    deep = torch.tensor([value], dtype=torch.uint16)
    assert int(to_integers(to_network(deep), torch.uint16)) == value
    assert float(to_network(deep)) == pytest.approx(value / 32767.5 - 1, abs=1e-6)
    assert int(to_integers(to_network(torch.tensor([value % 256], dtype=torch.uint8)))) == value % 256


@given(grey=st.integers(0, 255))
def test_what_lab_shows_of_grey_is_that_grey(grey: int) -> None:
    picture = np.full((1, 2, 2, 3), grey, np.uint8)
    assert np.array_equal(as_displayed(picture, LAB), picture)
    assert np.array_equal(as_displayed(picture, DataConfig()), picture)
