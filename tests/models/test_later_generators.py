"""Generators of later papers: blur, attention, SPADE, NAFNet, ConvNeXt, each against its formula or an invariant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from levels import Settings, config_of, parameters, random
from torch import Tensor, nn
from torch.nn.functional import interpolate

from p2pbench.config.run_id import identity, run_id
from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError
from p2pbench.inference.modes import inference, noise
from p2pbench.models.attention import SelfAttention
from p2pbench.models.blur import Blur, convolution_at_stride_1
from p2pbench.models.build import build_generator
from p2pbench.models.layers import convolution_biases, norm_layer
from p2pbench.models.residual_unet import ConvNextBlock, NafBlock, ResidualUNet, count_parameters
from p2pbench.models.spade import Spade
from p2pbench.study.estimate import generator_parameters

LEVELS: dict[str, Settings] = {
    "blur": {"generator.downsampling": "blur", "generator.upsampling": "bilinear"},
    "attention": {"generator.attention": True},
    "spade, labels": {"generator.spade": "labels"},
    "spade, continuous": {"generator.spade": "continuous", "generator.norm": "instance"},
    "noise": {"generator.noise": 8},
    "nafnet": {"generator.name": "nafnet"},
    "convnext_unet": {"generator.name": "convnext_unet"},
}


def small(settings: Settings | None = None, **more: object) -> RunConfig:
    given = {"data__crop_size": 32, "generator__ngf": 4, "discriminator__name": "patch16"}
    return config_of(settings, **{**given, **more})


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_another_run_and_its_absence_the_run_that_it_was(level: str) -> None:
    default = config_of()
    assert run_id(config_of(LEVELS[level]), "data") != run_id(default, "data")
    written = str(identity(default, "data"))
    assert not any(key in written for key in ("downsampling", "attention", "spade"))


@pytest.mark.parametrize("level", LEVELS)
def test_every_parameter_has_a_gradient_after_a_step(level: str) -> None:
    """At first those behind a scale of zero have none; the scale has."""
    generator = build_generator(small(LEVELS[level]))
    optimiser = torch.optim.Adam(generator.parameters(), lr=1e-3)
    for _ in range(3):
        optimiser.zero_grad()
        generator(random(2, 3, 32, 32)).square().sum().backward()
        optimiser.step()
    # What comes before a norm, a convolution's bias and the softmax's overall level, has rounding alone.
    without = [n for n, p in generator.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("channels", [(1, 2), (5, 1)])
@pytest.mark.parametrize("level", LEVELS)
def test_any_size_and_channels(level: str, channels: tuple[int, int]) -> None:
    if level == "spade, labels" and channels[0] == 5:
        return
    config = small(LEVELS[level], data__channels=list(channels), data__crop_size=[20, 37], data__jitter=False)
    generator = build_generator(config).eval()
    assert generator(random(1, channels[0], 20, 37)).shape == (1, channels[1], 20, 37)
    assert generator(random(1, channels[0], 50, 21)).shape == (1, channels[1], 50, 21)
    if config.generator.name == "unet":
        assert generator_parameters(config) == parameters(generator)


@pytest.mark.parametrize("mode", ["paper", "instance-stats", "eval"])
@pytest.mark.parametrize("level", LEVELS)
def test_inference_changes_nothing_of_the_generator(level: str, mode: str) -> None:
    generator = build_generator(small(LEVELS[level], generator__dropout="none"))
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    with inference(generator, mode) as (network, draws):
        draws[:] = [noise(0, 0)]
        alone = network(random(1, 3, 32, 32))
        draws[:] = [noise(0, 0), noise(0, 1)]
        again = network(torch.cat([random(1, 3, 32, 32), random(1, 3, 32, 32, seed=1)]))[:1]
    torch.testing.assert_close(alone, again, rtol=1e-4, atol=1e-5)  # an image does not depend on its batch
    assert all(torch.equal(before[name], tensor) for name, tensor in generator.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"generator.spade": "labels", "data.channels": [8, 3]}, "use generator.spade continuous"),
        ({"generator.spade": "labels", "generator.norm": "none"}, "use generator.norm batch or instance"),
        ({"generator.spade": "labels", "generator.name": "resnet9"}, "belongs to the U-Net and the encoder-decoder"),
        ({"generator.attention": True, "generator.name": "nafnet"}, "generator.attention is true: it belongs to"),
        ({"generator.downsampling": "blur", "generator.name": "resnet6"}, "leave it out, or use unet"),
        ({"generator.attention": True, "generator.depth": 3}, "smallest map is 32 pixels wide"),
        ({"generator.name": "nafnet", "generator.norm": "instance"}, "a layer norm and a pixel shuffle of its own"),
        ({"generator.name": "convnext_unet", "generator.upsampling": "nearest"}, "leave both out"),
    ],
)
def test_what_means_nothing_is_refused_with_the_reason(settings: Settings, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_of(settings)


# ---- blur


def test_a_constant_stays_constant_and_columns_of_plus_and_minus_one_vanish() -> None:
    blur = Blur()
    assert torch.equal(blur(torch.full((2, 3, 6, 8), 0.75)), torch.full((2, 3, 3, 4), 0.75))
    columns = torch.tensor([1.0, -1.0]).repeat(1, 3, 8, 4)
    assert not blur(columns)[..., 1:-1].any()  # the border is repeated, which breaks the pattern there
    assert blur(torch.ones(1, 1, 2, 2)).shape == (1, 1, 1, 1)


def test_the_filter_is_the_binomial_one() -> None:
    line = torch.tensor([1.0, 2.0, 1.0]) / 4
    seen = torch.zeros(8, 8)
    for row in range(8):
        for column in range(8):
            point = torch.zeros(1, 1, 8, 8)
            point[..., row, column] = 1.0
            seen[row, column] = Blur()(point)[0, 0, 2, 1]
    expected = torch.zeros(8, 8)
    expected[3:6, 1:4] = torch.outer(line, line)  # around row 4 and column 2
    torch.testing.assert_close(seen, expected)


def test_a_thinned_map_stands_where_a_strided_one_does() -> None:
    """Whatever the level: the decoder and the skips are on the grid of strided convolutions."""
    strided, blurred = [], []
    for _ in range(3):
        strided.append(nn.Conv2d(1, 1, 4, stride=2, padding=1, bias=False))
        blurred += [*convolution_at_stride_1(1, 1, bias=False), Blur()]
    centres = []
    for layers in (strided, blurred):
        network = nn.Sequential(*layers)
        for weight in network.parameters():
            nn.init.constant_(weight, 1.0)
        image = torch.ones(1, 1, 64, 64, requires_grad=True)
        network(image)[0, 0, 4, 4].backward()
        assert image.grad is not None
        seen = image.grad[0, 0].sum(0)
        centres.append(float((seen * torch.arange(64)).sum() / seen.sum()))
    assert centres == pytest.approx([35.5, 35.5])


def test_the_convolution_keeps_its_map_and_the_unet_its_weights() -> None:
    assert nn.Sequential(*convolution_at_stride_1(3, 4, bias=True))(random(1, 3, 6, 2)).shape == (1, 4, 6, 2)
    plain, blurred = (build_generator(small(generator__downsampling=how)) for how in ("strided", "blur"))
    assert parameters(plain) == parameters(blurred)
    for one, other in zip(plain.parameters(), blurred.parameters(), strict=True):
        assert torch.equal(one, other)


def test_shifts_commute_with_the_generator_far_better() -> None:
    """Measured: without it the deviation is twice the output's variance, with it less than a twentieth of that."""

    def deviation(settings: Settings) -> float:
        config = small(
            settings, data__crop_size=64, generator__ngf=8, generator__norm="instance", generator__dropout="none"
        )
        generator, images, inside = build_generator(config).eval(), random(2, 3, 64, 64), slice(16, 48)
        with torch.no_grad():
            moved, still = generator(images.roll(1, 3)).roll(-1, 3), generator(images)
        return float((moved - still)[..., inside, inside].square().mean() / still.var())

    assert deviation(LEVELS["blur"]) < deviation({}) / 8


# ---- attention


def attention(channels: int = 16, seed: int = 0) -> SelfAttention:
    block = SelfAttention(channels)
    generator = torch.Generator().manual_seed(seed)
    for parameter in block.parameters():
        nn.init.normal_(parameter, generator=generator)
    return block


def test_attention_is_its_formula() -> None:
    block, h = attention(), random(2, 16, 3, 4)
    query, key, value, back = (layer.weight.flatten(1) for layer in (block.query, block.key, block.value, block.output))
    for image, output in zip(h, block(h), strict=True):
        x = image.flatten(1)  # (C, positions)
        scores = (query @ x).t() @ (key @ x)
        attended = scores.exp() / scores.exp().sum(1, keepdim=True)
        expected = x + block.gamma * (back @ ((value @ x) @ attended.t()))
        torch.testing.assert_close(output.flatten(1), expected)
    torch.testing.assert_close(block.weights(h).sum(2), torch.ones(2, 12))


def test_attention_is_the_identity_at_first_and_forgets_where_pixels_are() -> None:
    h = random(2, 16, 4, 4)
    assert torch.equal(SelfAttention(16)(h), h)
    block, order = attention(), torch.randperm(16, generator=torch.Generator().manual_seed(1))
    shuffled = h.flatten(2)[..., order].unflatten(2, (4, 4))
    torch.testing.assert_close(block(shuffled).flatten(2), block(h).flatten(2)[..., order])
    assert parameters(SelfAttention(512)) == 327_681


def test_a_unet_with_attention_starts_as_without_it() -> None:
    plain, attentive = build_generator(small()).eval(), build_generator(small(LEVELS["attention"])).eval()
    images = random(1, 3, 32, 32)
    assert torch.equal(plain(images), attentive(images))


@pytest.mark.parametrize(
    ("size", "depth", "sides"), [(256, None, [16, 16]), (64, None, [16, 16]), (16, None, [8, 8]), (128, 3, [16])]
)
def test_attention_sits_where_the_map_is_16x16(size: int, depth: int | None, sides: list[int]) -> None:
    config = small(LEVELS["attention"], data__crop_size=size, generator__depth=depth, discriminator__name="pixel")
    generator, found = build_generator(config).eval(), []
    for module in generator.modules():
        if isinstance(module, SelfAttention):
            module.register_forward_hook(lambda _module, _inputs, output: found.append(output.shape[-1]))
    generator(torch.zeros(1, 3, size, size))
    assert found == sides


def test_attention_has_spectral_norm_and_no_biases() -> None:
    generator = build_generator(small(LEVELS["attention"]))
    for _ in range(30):
        generator(random(2, 3, 32, 32))
    (block, _) = [m for m in generator.modules() if isinstance(m, SelfAttention)]
    for layer in (block.query, block.key, block.value, block.output):
        assert layer.bias is None
        assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(1.0, rel=0.02)


# ---- SPADE


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("kind", ["labels", "continuous"])
def test_spade_with_weights_of_zero_is_the_plain_norm(norm: str, kind: str) -> None:
    block = Spade(norm_layer(norm, 5, affine=False)[0], 3, 5, shrink=4, kind=kind, hidden=6)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    h = random(2, 5, 4, 4)
    assert torch.equal(block(h, random(2, 3, 16, 16)), norm_layer(norm, 5)[0](h))


@pytest.mark.parametrize(
    ("kind", "shrunk"),
    [
        ("labels", lambda x: interpolate(x, size=(5, 6), mode="nearest")),
        ("continuous", lambda x: interpolate(x, size=(5, 6), mode="area")),
    ],
)
def test_spade_is_its_formula(kind: str, shrunk: Callable[[Tensor], Tensor]) -> None:
    block = Spade(norm_layer("instance", 5, affine=False)[0], 3, 5, shrink=2, kind=kind, hidden=7)
    h, x = random(2, 5, 5, 6), random(2, 3, 10, 12)
    mean, deviation = h.mean((2, 3), keepdim=True), h.var((2, 3), keepdim=True, correction=0).add(1e-5).sqrt()
    first = block.shared[0]
    assert isinstance(first, nn.Conv2d)
    hidden = nn.functional.conv2d(shrunk(x), first.weight, first.bias, padding=1).relu()
    gamma, beta = (nn.functional.conv2d(hidden, m.weight, m.bias, padding=1) for m in (block.gamma, block.beta))
    torch.testing.assert_close(block(h, x), (h - mean) / deviation * (1 + gamma) + beta)
    flat = block(torch.zeros(2, 5, 5, 6), torch.full((2, 3, 10, 12), 0.3))[..., 2:-2, 2:-2]
    torch.testing.assert_close(flat, flat[..., :1, :1].expand_as(flat))  # a constant condition, away from the border


def test_spade_has_the_papers_weights_and_keeps_its_biases() -> None:
    config = config_of(LEVELS["spade, labels"])
    with torch.device("meta"):
        generator, plain = generator_parameters(config), generator_parameters(config_of())
    assert generator is not None
    assert plain is not None
    assert generator - plain == 5_775_872
    network = build_generator(small(LEVELS["spade, labels"]))
    modulated = [m for m in network.modules() if isinstance(m, Spade)]
    assert len(modulated) == 4
    zeroed = {id(bias) for bias in convolution_biases(network)}
    assert zeroed
    assert not zeroed & {id(p) for block in modulated for p in block.parameters()}


# ---- NAFNet and ConvNeXt


@pytest.mark.parametrize(("block", "square", "line"), [(NafBlock, 7, 33), (ConvNextBlock, 8, 58)])
def test_a_fresh_block_is_the_identity_and_has_its_weights(
    block: Callable[[int], nn.Module], square: int, line: int
) -> None:
    h = random(2, 6, 5, 5)
    torch.testing.assert_close(block(6)(h), h, rtol=0, atol=0 if block is NafBlock else 1e-4)
    for channels in (6, 10):
        assert parameters(block(channels)) == square * channels**2 + line * channels


def test_a_naf_block_is_its_formula() -> None:
    block, h = NafBlock(4), random(2, 4, 5, 5)
    for index, parameter in enumerate(block.parameters()):
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(index))

    def convolved(layer: nn.Module, x: Tensor, **how: Any) -> Tensor:
        return nn.functional.conv2d(x, layer.weight, layer.bias, **how)  # type: ignore[arg-type]

    def normed(layer: nn.Module, x: Tensor) -> Tensor:
        mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, correction=0)
        scale, shift = (t[:, None, None] for t in (layer.weight, layer.bias))  # type: ignore[index]
        return (x - mean) / (variance + 1e-6).sqrt() * scale + shift

    norm, wide, depthwise, _, attention, back = block.spatial
    u = convolved(depthwise, convolved(wide, normed(norm, h)), padding=1, groups=8)
    u = u[:, :4] * u[:, 4:]
    u = u * convolved(attention.scale, u.mean((2, 3), keepdim=True))  # type: ignore[arg-type]
    middle = h + block.spatial_scale * convolved(back, u)
    norm, wide, _, back = block.mixing
    v = convolved(wide, normed(norm, middle))
    expected = middle + block.mixing_scale * convolved(back, v[:, :4] * v[:, 4:])
    torch.testing.assert_close(block(h), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("size", "ngf"), [(128, 32), (64, 16)])
@pytest.mark.parametrize("name", ["nafnet", "convnext_unet"])
def test_they_have_the_parameters_of_the_unet(name: str, size: int, ngf: int) -> None:
    settings: dict[str, Any] = {"data__crop_size": size, "generator__ngf": ngf, "discriminator__name": "patch16"}
    network = build_generator(config_of({"generator.name": name}, **settings))
    assert isinstance(network, ResidualUNet)
    width = network.first.out_channels
    assert parameters(network) == count_parameters(name, width, 3, 3)
    wanted = generator_parameters(config_of(**settings))
    assert wanted is not None
    off = [abs(count_parameters(name, w, 3, 3) - wanted) for w in (width - 1, width, width + 1)]
    assert min(off) == off[1]
    assert parameters(network) == pytest.approx(wanted, rel=0.06)  # widths are whole numbers
    assert not convolution_biases(network)  # they keep theirs


def test_at_full_size_nafnet_is_the_one_of_its_paper() -> None:
    """Width 57: 53.9 million, as counted of the authors' code, whose network also adds its input to its output."""
    assert round(count_parameters("nafnet", 57, 3, 3) / 1e6, 1) == 53.9
    assert round(count_parameters("nafnet", 32, 3, 3) / 1e6, 1) == 17.1


def test_the_seed_decides_their_start() -> None:
    torch.manual_seed(0)
    first = build_generator(small(LEVELS["nafnet"]))
    torch.rand(5)
    same, other = (build_generator(small(LEVELS["nafnet"], training__seed=seed)) for seed in (0, 1))
    weights = [torch.cat([p.flatten() for p in network.parameters()]) for network in (first, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    for module in first.modules():
        if isinstance(module, nn.Conv2d):
            limit = module.weight[0].numel() ** -0.5
            assert float(module.weight.detach().abs().max()) <= limit
