"""What is beyond the paper: other norms, upsamplings, ResNets, spectral normalisation."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from p2pbench.config.resolve import Layer, resolve
from p2pbench.config.run_id import run_id
from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError
from p2pbench.models.build import build_discriminator, build_generator
from p2pbench.models.describe import describe
from p2pbench.models.layers import norm_layer, upsample

UPSAMPLINGS = ["transposed", "nearest", "bilinear", "pixel-shuffle"]


def config_of(**settings: object) -> RunConfig:
    return resolve([Layer("test", {key.replace("__", "."): value for key, value in settings.items()})]).config


@given(kind=st.sampled_from(UPSAMPLINGS), size=st.integers(1, 7), channels=st.integers(1, 5))
def test_every_upsampling_doubles_the_map(kind: str, size: int, channels: int) -> None:
    layers = nn.Sequential(*upsample(kind, 3, channels, bias=True))
    assert layers(torch.zeros(2, 3, size, size + 1)).shape == (2, channels, 2 * size, 2 * size + 2)


@pytest.mark.parametrize("kind", UPSAMPLINGS)
def test_the_unet_is_built_with_each(kind: str) -> None:
    config = config_of(generator__upsampling=kind, generator__ngf=4, data__crop_size=64, discriminator__name="patch16")
    kinds = [layer["kind"] for layer in describe(config)["generator"]["layers"]]
    assert any("ConvTranspose" in k for k in kinds) == (kind == "transposed")
    assert sum("Conv2d 3x3" in k for k in kinds) == (0 if kind == "transposed" else 6)
    assert build_generator(config)(torch.zeros(1, 3, 64, 64)).shape == (1, 3, 64, 64)


def test_instance_norm_is_batch_norm_of_one_image() -> None:
    batch, instance = norm_layer("batch", 3)[0], norm_layer("instance", 3)[0]
    x = torch.randn(1, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(batch(x), instance(x))
    assert norm_layer("none", 3) == []


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_norm_is_the_asked_for_one_everywhere(norm: str) -> None:
    config = config_of(generator__norm=norm, discriminator__norm=norm, generator__ngf=4, data__crop_size=64)
    discriminator = build_discriminator(config)
    assert discriminator is not None
    for network in (build_generator(config), discriminator):
        batch = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        instance = [m for m in network.modules() if isinstance(m, nn.InstanceNorm2d)]
        assert (len(batch) > 0, len(instance) > 0) == (norm == "batch", norm == "instance")
        for layer in instance:
            assert float(layer.weight.detach().mean()) == pytest.approx(1.0, abs=0.05)


def test_resnet9_is_the_published_one() -> None:
    """11,378,179 parameters: CycleGAN's generator, whose instance norm has no scale and shift."""
    config = config_of(generator__name="resnet9", generator__norm="instance", generator__dropout="none")
    generator = build_generator(config)
    norms = sum(p.numel() for m in generator.modules() if isinstance(m, nn.InstanceNorm2d) for p in m.parameters())
    assert sum(p.numel() for p in generator.parameters()) - norms == 11_378_179
    layers = describe(config)["generator"]["layers"]
    assert layers[-1]["output"] == [3, 256, 256]
    assert min(layer["output"][1] for layer in layers) == 64


@pytest.mark.parametrize(("name", "blocks"), [("resnet6", 6), ("resnet9", 9)])
def test_resnets_have_their_blocks_and_take_multiples_of_four(name: str, blocks: int) -> None:
    config = config_of(generator__name=name, generator__ngf=2, data__crop_size=20, discriminator__name="patch16")
    generator = build_generator(config)
    assert sum(type(m).__name__ == "ResidualBlock" for m in generator.modules()) == blocks
    assert sum(isinstance(m, nn.Dropout) for m in generator.modules()) == blocks
    assert generator(torch.zeros(1, 3, 20, 20)).shape == (1, 3, 20, 20)


def test_spectral_norm_changes_no_layer_of_the_description() -> None:
    with_it = describe(config_of(discriminator__spectral_norm=True))["discriminator"]
    assert with_it == describe(config_of())["discriminator"]


def test_resnets_have_an_upsampling_and_a_dropout_of_their_own() -> None:
    with pytest.raises(ConfigError, match="leave it out"):
        config_of(generator__name="resnet6", generator__upsampling="nearest")
    ids = {run_id(config_of(generator__name="resnet6", generator__dropout=d), "d") for d in ("first-three", "middle")}
    assert len(ids) == 1
    assert run_id(config_of(generator__name="resnet6", generator__dropout="none"), "d") not in ids


def test_spectral_norm_brings_the_largest_singular_value_to_one() -> None:
    settings = {"discriminator__spectral_norm": True, "discriminator__ndf": 8, "discriminator__name": "patch16"}
    config = config_of(**settings, data__crop_size=32)
    discriminator = build_discriminator(config)
    assert discriminator is not None
    for _ in range(50):  # each forward pass in training mode is a step of the power iteration
        discriminator(torch.zeros(1, 6, 32, 32))
    for module in discriminator.modules():
        if isinstance(module, nn.Conv2d):
            largest = torch.linalg.svdvals(module.weight.detach().flatten(1))[0]
            assert float(largest) == pytest.approx(1.0, rel=0.02)
    again = build_discriminator(config)
    assert again is not None
    fresh = build_discriminator(config)
    assert fresh is not None
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), fresh.state_dict().values(), strict=True))
    assert copy.deepcopy(again).state_dict().keys() == again.state_dict().keys()
