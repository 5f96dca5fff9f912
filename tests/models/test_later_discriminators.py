"""Discriminators of later papers: several scales, U-Net, blur, attention, each against a formula or an invariant."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from levels import Settings, config_of, parameters, random
from torch import nn

from p2pbench.config.run_id import identity, run_id
from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError
from p2pbench.models.attention import SelfAttention
from p2pbench.models.build import build_discriminator
from p2pbench.models.describe import describe
from p2pbench.models.judgement import Judgement, judgement
from p2pbench.models.multi_scale import MultiScale
from p2pbench.models.unet_discriminator import ResidualBlock, UNetDiscriminator, halvings
from p2pbench.study.estimate import discriminator_parameters

LEVELS: dict[str, Settings] = {
    "two scales": {"discriminator.scales": 2},
    "three scales": {"discriminator.scales": 3},
    "unet": {"discriminator.name": "unet"},
    "blur": {"discriminator.downsampling": "blur"},
    "attention": {"discriminator.attention": True},
}


def small(settings: Settings | None = None, **more: object) -> RunConfig:
    size = {"data__crop_size": 64, "data__load_size": 64, "generator__ngf": 4, "discriminator__ndf": 4}
    name = {} if "discriminator.name" in (settings or {}) else {"discriminator__name": "patch16"}
    return config_of(settings, **{**size, **name, **more})


def built(config: RunConfig) -> nn.Module:
    discriminator = build_discriminator(config)
    assert discriminator is not None
    return discriminator


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_another_run_and_its_absence_the_run_that_it_was(level: str) -> None:
    default = config_of()
    assert run_id(config_of(LEVELS[level]), "data") != run_id(default, "data")
    assert identity(default, "data")["discriminator"].keys() == {"name", "ndf", "norm", "spectral_norm"}


@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("level", LEVELS)
def test_gradients_reach_the_image_and_every_parameter(level: str, spectral_norm: bool) -> None:
    discriminator = built(small(LEVELS[level], discriminator__spectral_norm=spectral_norm))
    pair = random(2, 6, 64, 64).requires_grad_()
    optimiser = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
    for _ in range(3):
        optimiser.zero_grad()
        said = judgement(discriminator, pair)
        sum(logits.square().mean() for logits in said.logits).backward()  # type: ignore[union-attr]
        optimiser.step()
    assert pair.grad is not None
    assert pair.grad[1].any()
    assert [n for n, p in discriminator.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("level", LEVELS)
def test_it_can_be_differentiated_twice(level: str) -> None:
    """As gradient penalties do."""
    discriminator = built(small(LEVELS[level], discriminator__norm="instance"))
    pair = random(2, 6, 64, 64).requires_grad_()
    (gradient,) = torch.autograd.grad(judgement(discriminator, pair).of_images().sum(), pair, create_graph=True)
    gradient.square().sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in discriminator.parameters())


@pytest.mark.parametrize("level", LEVELS)
def test_plans_and_descriptions_count_what_there_is(level: str) -> None:
    config = small(LEVELS[level])
    discriminator = built(config)
    found = describe(config)["discriminator"]
    assert found["parameters"] == parameters(discriminator)
    assert discriminator_parameters(config) in (parameters(discriminator), None)
    assert (discriminator_parameters(config) is None) == (level == "unet")
    said = judgement(discriminator, random(1, 6, 64, 64), features=True)
    assert [one["output_grid"] for one in found["maps"]] == [list(logits.shape[2:]) for logits in said.logits]
    assert found["receptive_field"] == found["maps"][0]["receptive_field"]


@pytest.mark.parametrize("channels", [(1, 2), (5, 1)])
@pytest.mark.parametrize("level", LEVELS)
def test_any_size_and_channels(level: str, channels: tuple[int, int]) -> None:
    size = {"data__crop_size": [66, 95], "data__jitter": False}
    settings = LEVELS[level] | ({"discriminator.name": "patch34"} if level == "attention" else {})
    config = small(settings, data__channels=list(channels), **size)
    said = judgement(built(config), random(1, sum(channels), 66, 95))
    assert all(len(logits) == 1 and logits.shape[1] == 1 for logits in said.logits)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"discriminator.scales": 3, "data.crop_size": 64}, "'patch70' at 3 scales needs at least 96"),
        ({"discriminator.name": "unet", "discriminator.scales": 3, "data.crop_size": 32}, "use fewer, or a larger"),
        ({"discriminator.name": "pixel", "discriminator.attention": True}, "use patch16 to image286"),
        ({"discriminator.name": "unet", "discriminator.downsampling": "blur"}, "downsampling is blur: it belongs to"),
        ({"discriminator.name": "patch16", "discriminator.attention": True}, "use a larger receptive field"),
        ({"discriminator.scales": 4}, "discriminator.scales"),
    ],
)
def test_what_means_nothing_is_refused_with_the_reason(settings: Settings, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_of(settings)
    without = {**settings, "objective.name": "l1"}
    if settings.get("discriminator.scales") != 4:
        config_of(without)  # which has no D


# ---- receptive fields, by the gradient of one logit


def field_by_gradient(discriminator: nn.Module, index: int, size: int) -> tuple[int, int]:
    """Rows and columns of the image that the middle logit of map ``index`` depends on."""
    discriminator.eval()
    for module in discriminator.modules():
        if isinstance(module, nn.Conv2d) and not isinstance(module, SelfAttention):
            nn.init.constant_(module.weight, 0.1)  # no weight hides a pixel
    image = random(1, 6, size, size).abs().double().requires_grad_()
    logits = judgement(discriminator.double(), image).logits[index]
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    assert image.grad is not None
    seen = image.grad[0].abs().sum(0)
    rows, columns = (seen.sum(axis).nonzero().flatten() for axis in (1, 0))
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"discriminator.name": "patch70", "discriminator.scales": 2}, [70, 141]),
        ({"discriminator.name": "patch16", "discriminator.scales": 3}, [16, 33, 67]),
        ({"discriminator.name": "patch70", "discriminator.downsampling": "blur"}, [84]),
    ],
)
def test_the_receptive_field_is_what_a_logit_depends_on(settings: Settings, expected: list[int]) -> None:
    config = config_of(settings, discriminator__ndf=1, discriminator__norm="none")
    found = describe(config)["discriminator"]
    assert [one["receptive_field"] for one in found["maps"]] == expected
    if expected == [84]:
        assert found["output_grid"] == [30, 30]
    for index, field in enumerate(expected):
        assert field_by_gradient(built(config), index, 256) == (field, field)


def test_attention_and_a_unet_see_the_whole_image() -> None:
    for settings in ({"discriminator.attention": True}, {"discriminator.name": "unet"}):
        config = small(settings, discriminator__norm="none")
        found = describe(config)["discriminator"]["maps"]
        assert {one["receptive_field"] for one in found} == {"whole image"}
        for index in range(len(found)):
            discriminator = built(config)
            for module in discriminator.modules():
                if isinstance(module, SelfAttention):
                    nn.init.constant_(module.gamma, 0.5)
            assert field_by_gradient(discriminator, index, 64) == (64, 64)


# ---- several scales


def test_one_scale_is_the_network_itself_and_more_have_as_many_weights() -> None:
    one, two = built(config_of()), built(config_of(LEVELS["two scales"]))
    assert not isinstance(one, MultiScale)
    assert isinstance(two, MultiScale)
    assert parameters(one) == 2_769_601
    assert parameters(two) == 2 * 2_769_601
    for name, tensor in one.state_dict().items():
        assert torch.equal(two.state_dict()[f"scales.0.{name}"], tensor)
        if name == "0.weight":
            assert not torch.equal(two.state_dict()[f"scales.1.{name}"], tensor)


def test_each_scale_judges_means_of_three_pixels() -> None:
    discriminator = MultiScale([nn.Identity(), nn.Identity(), nn.Identity()])
    image = random(1, 1, 8, 8)
    whole, half, quarter = discriminator(image).logits
    assert torch.equal(whole, image)
    assert half.shape[2:] == (4, 4)
    torch.testing.assert_close(half[0, 0, 1, 2], image[0, 0, 1:4, 3:6].mean())
    torch.testing.assert_close(half[0, 0, 0, 0], image[0, 0, :2, :2].mean())
    constant = discriminator(torch.full((1, 1, 8, 8), 0.3)).logits
    for logits in (*constant, quarter * 0 + 0.3):
        torch.testing.assert_close(logits, torch.full_like(logits, 0.3))


def test_scales_lend_the_maps_of_all_their_layers() -> None:
    discriminator = built(small(LEVELS["two scales"]))
    plain, lent = (judgement(discriminator, random(1, 6, 64, 64), features=f) for f in (False, True))
    assert plain.features == ()
    assert [f.shape[-1] for f in lent.features] == [32, 31, 16, 15]
    assert lent.weight == 1.0


# ---- U-Net


def test_the_unet_judges_the_image_and_each_pixel() -> None:
    config = small(LEVELS["unet"])
    discriminator = built(config)
    said: Judgement = discriminator(random(3, 6, 64, 64), features=True)
    assert [tuple(logits.shape) for logits in said.logits] == [(3, 1, 1, 1), (3, 1, 64, 64)]
    assert said.weight == 0.5
    assert len(said.features) == 8
    classes = UNetDiscriminator(3, ndf=4, depth=2, norm="none", bias=True, classes=13)(random(1, 3, 17, 30))
    assert [tuple(logits.shape) for logits in classes.logits] == [(1, 13, 17, 30)]
    assert classes.weight == 1.0


@pytest.mark.parametrize(("before", "after"), [(3, 8), (8, 8)])
def test_the_unets_weights_are_its_formula(before: int, after: int) -> None:
    block = ResidualBlock(before, after, "down", norm="none", bias=True)
    assert parameters(block) == 10 * before * after + 9 * after**2 + 2 * after
    assert [halvings(side) for side in (16, 31, 32, 64, 128, 256, 512)] == [2, 2, 3, 4, 5, 6, 6]
    ndf = 4
    widths = [6, 4, 8, 16, 32]  # at 64x64
    wanted = sum(10 * a * b + 9 * b * b for a, b in pairwise(widths))
    ups = [(32, 16), (32, 8), (16, 4), (8, 4)]
    wanted += sum(10 * a * b + 9 * b * b for a, b in ups)
    wanted += 2 * sum([*widths[1:], *(b for _, b in ups)]) + (widths[-1] + 1) + (ndf + 1)
    assert parameters(built(small(LEVELS["unet"], discriminator__norm="none"))) == wanted
