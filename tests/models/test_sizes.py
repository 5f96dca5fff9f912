"""Any size, any depth, any number of channels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from p2pbench.config.resolve import Layer, resolve
from p2pbench.config.schema import RunConfig
from p2pbench.models.build import build_discriminator, build_generator
from p2pbench.models.describe import describe
from p2pbench.models.layers import pad_to_multiple
from p2pbench.study.estimate import discriminator_parameters, generator_parameters


def config_of(**settings: object) -> RunConfig:
    layer = {"data.jitter": False, "generator.ngf": 2, "discriminator.ndf": 2, "discriminator.name": "pixel"}
    return resolve([Layer("test", layer | {k.replace("__", "."): v for k, v in settings.items()})]).config


@given(height=st.integers(1, 40), width=st.integers(1, 40), multiple=st.sampled_from([1, 2, 4, 8, 32]))
def test_padding_reaches_the_multiple_and_the_slices_undo_it(height: int, width: int, multiple: int) -> None:
    images = torch.arange(2 * height * width).reshape(2, 1, height, width).float()
    padded, (rows, columns) = pad_to_multiple(images, multiple)
    assert padded.shape[2] % multiple == padded.shape[3] % multiple == 0
    assert padded.shape[2] < height + multiple
    assert padded.shape[3] < width + multiple
    assert torch.equal(padded[..., rows, columns], images)
    assert set(padded.flatten().tolist()) == set(images.flatten().tolist())  # nothing but pixels that were there


@given(
    height=st.integers(16, 70), width=st.integers(16, 70), name=st.sampled_from(["unet", "encoder_decoder", "resnet6"]),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
)  # fmt: skip
def test_outputs_are_as_large_as_conditions(height: int, width: int, name: str, channels: tuple[int, int]) -> None:
    config = config_of(data__crop_size=[height, width], generator__name=name, data__channels=list(channels))
    found = describe(config)["generator"]
    assert found["layers"][-1]["output"] == [channels[1], *config.padded_shape]
    assert found["padded_to"] == (None if config.padded_shape == (height, width) else list(config.padded_shape))
    image = torch.zeros(1, channels[0], height, width)
    assert build_generator(config).eval()(image).shape == (1, channels[1], height, width)


@pytest.mark.parametrize("depth", range(5, 11))
def test_every_depth_from_32_to_1024_ends_at_one_pixel(depth: int) -> None:
    config = config_of(data__crop_size=2**depth, generator__depth=depth)
    layers = describe(config)["generator"]["layers"]
    assert min(layer["output"][1] for layer in layers) == 1
    assert sum(layer["kind"].startswith("Conv2d") for layer in layers) == depth
    assert layers[-1]["output"] == [3, 2**depth, 2**depth]


def test_a_shallower_unet_has_a_wider_bottleneck() -> None:
    layers = describe(config_of(data__crop_size=256, generator__depth=6))["generator"]["layers"]
    assert min(layer["output"][1] for layer in layers) == 4


def test_padding_changes_nothing_where_none_is_needed() -> None:
    generator = build_generator(config_of(data__crop_size=32)).eval()
    wide = torch.rand(1, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    assert generator(wide).shape == wide.shape
    assert pad_to_multiple(wide, 32)[0] is wide


@given(channels=st.tuples(st.integers(1, 5), st.integers(1, 5)), conditional=st.booleans())
def test_plans_count_the_parameters_of_any_channels(channels: tuple[int, int], conditional: bool) -> None:
    config = config_of(
        data__channels=list(channels), data__crop_size=[48, 32], objective__name="cgan" if conditional else "gan",
        discriminator__name="patch16",
    )  # fmt: skip
    discriminator = build_discriminator(config)
    assert discriminator is not None
    assert generator_parameters(config) == sum(p.numel() for p in build_generator(config).parameters())
    assert discriminator_parameters(config) == sum(p.numel() for p in discriminator.parameters())
    assert next(discriminator.parameters()).shape[1] == channels[1] + conditional * channels[0]
