"""Every network of the reference, to the parameter; receptive fields by gradient, not by formula."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from p2pbench.config.resolve import Layer, resolve
from p2pbench.config.schema import DISCRIMINATOR_STRIDES, RunConfig
from p2pbench.config.sections import LAYER_NORMED
from p2pbench.models.build import GENERATORS, build_discriminator, build_generator
from p2pbench.models.describe import describe
from p2pbench.models.patchgan import build_patchgan, receptive_field
from p2pbench.models.unet import dropout_levels
from p2pbench.study.estimate import discriminator_parameters, generator_parameters


def config_of(**settings: object) -> RunConfig:
    return resolve([Layer("test", {key.replace("__", "."): value for key, value in settings.items()})]).config


# name: receptive field, output grid at 256, parameters with the port's biases, with Lua's (conditional, 3 + 3 channels)
PUBLISHED = {
    "pixel": (1, 256, 9_024, 9_153),
    "patch16": (16, 126, 139_585, 139_713),
    "patch70": (70, 30, 2_768_705, 2_769_601),
    "image286": (286, 6, 11_159_361, 11_161_281),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_discriminators_are_the_published_ones(name: str) -> None:
    field, grid, port, lua = PUBLISHED[name]
    for preset, parameters in (("pytorch", port), ("paper", lua)):
        found = describe(config_of(training__preset=preset, discriminator__name=name))["discriminator"]
        assert found["receptive_field"] == field
        assert found["output_grid"] == [grid, grid]
        assert found["parameters"] == parameters


@pytest.mark.parametrize(
    ("name", "preset", "parameters"),
    [
        ("unet", "paper", 54_419_459),
        ("unet", "pytorch", 54_413_955),
        ("encoder_decoder", "paper", 39_080_963),
        ("encoder_decoder", "pytorch", 39_075_459),
    ],
)
def test_generators_have_the_published_number_of_parameters(name: str, preset: str, parameters: int) -> None:
    found = describe(config_of(generator__name=name, training__preset=preset))["generator"]
    assert found["parameters"] == parameters


@pytest.mark.parametrize("size", [64, 128, 256])
@pytest.mark.parametrize("name", ["unet", "encoder_decoder"])
def test_the_bottleneck_is_one_by_one_and_the_output_as_large_as_the_input(name: str, size: int) -> None:
    config = config_of(generator__name=name, generator__ngf=4, data__crop_size=size, discriminator__name="pixel")
    layers = describe(config)["generator"]["layers"]
    assert min(layer["output"][1] for layer in layers) == 1
    assert layers[-1]["output"] == [3, size, size]
    widths = [layer["output"][0] for layer in layers if layer["kind"].startswith("Conv2d")]
    assert widths == [4 * min(2**level, 8) for level in range(size.bit_length() - 1)]


def test_decoder_inputs_are_as_wide_as_the_paper_says() -> None:
    generator = build_generator(config_of())
    inputs = [m.in_channels for m in generator.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    assert inputs == [512, 1024, 1024, 1024, 1024, 512, 256, 128]
    plain = build_generator(config_of(generator__name="encoder_decoder"))
    inputs = [m.in_channels for m in plain.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    assert inputs == [512, 512, 512, 512, 512, 256, 128, 64]


def test_norm_is_missing_only_where_the_paper_has_none() -> None:
    generator = build_generator(config_of(generator__ngf=4))
    normed = [any(isinstance(m, torch.nn.BatchNorm2d) for m in level) for level in generator.encoder]  # type: ignore[union-attr]
    assert normed == [False, *[True] * 6, False]
    normed = [any(isinstance(m, torch.nn.BatchNorm2d) for m in level) for level in generator.decoder]  # type: ignore[union-attr]
    assert normed == [*[True] * 7, False]


@pytest.mark.parametrize(
    ("preset", "size", "levels"),
    [
        ("paper", 256, [1, 2, 3]),
        ("paper", 64, [1, 2, 3]),
        ("pytorch", 256, [2, 3, 4]),
        ("pytorch", 128, [2, 3]),
        ("pytorch", 64, [2]),
    ],
)
def test_dropout_sits_where_each_release_has_it(preset: str, size: int, levels: list[int]) -> None:
    config = config_of(training__preset=preset, generator__ngf=4, data__crop_size=size)
    decoder = build_generator(config).decoder
    found = [i for i, level in enumerate(decoder, 1) if any(isinstance(m, torch.nn.Dropout) for m in level)]  # type: ignore[arg-type]
    assert found == levels
    assert list(dropout_levels("none", 8)) == []


@pytest.mark.parametrize("name", DISCRIMINATOR_STRIDES)
def test_receptive_fields_by_the_gradient_of_one_logit(name: str) -> None:
    """In the middle of a map large enough, and with batch norm fixed, so that it does not mix all positions."""
    n_layers = DISCRIMINATOR_STRIDES[name]
    network = build_patchgan(1, ndf=1, n_layers=n_layers, norm="batch", bias=True).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.constant_(module.weight, 0.1)  # no weight hides a pixel
    image = torch.zeros(1, 1, 640, 640, requires_grad=True)
    logits = network(image)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    assert image.grad is not None
    rows = image.grad[0, 0].abs().sum(1).nonzero().flatten()
    field = int(rows.max() - rows.min()) + 1
    assert field == receptive_field(network)


@given(n_layers=st.integers(1, 6))
def test_one_more_layer_doubles_the_receptive_field_and_adds_two(n_layers: int) -> None:
    fields = [
        receptive_field(build_patchgan(3, ndf=1, n_layers=n, norm="batch", bias=True)) for n in (n_layers, n_layers + 1)
    ]
    assert fields[0] is not None
    assert fields[1] == 2 * fields[0] + 2


def test_weights_start_as_the_paper_says() -> None:
    generator = build_generator(config_of())
    for module in generator.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            n = module.weight.numel()
            assert abs(float(module.weight.detach().mean())) < 5 * 0.02 / n**0.5
            assert float(module.weight.detach().std()) == pytest.approx(0.02, rel=5 / n**0.5)
        if isinstance(module, torch.nn.BatchNorm2d):
            assert float(module.weight.detach().mean()) == pytest.approx(1.0, abs=0.02)
            assert not module.bias.detach().any()
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d) and module.bias is not None:
            assert not module.bias.detach().any()


def test_the_seed_and_nothing_else_decides_the_start() -> None:
    settings = {"generator__ngf": 4, "data__crop_size": 64}
    first = build_generator(config_of(**settings))
    torch.rand(7)  # the global state is another now
    same = build_generator(config_of(**settings, objective__name="l1"))
    other = build_generator(config_of(**settings, training__seed=1))
    weights = [torch.cat([p.flatten() for p in g.parameters()]) for g in (first, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_discriminator_sees_what_the_objective_says() -> None:
    seen = {}
    for objective in ("gan", "cgan", "l1+gan", "l1+cgan"):
        network = build_discriminator(config_of(objective__name=objective, discriminator__ndf=4))
        assert network is not None
        seen[objective] = next(network.parameters()).shape[1]
    assert seen == {"gan": 3, "cgan": 6, "l1+gan": 3, "l1+cgan": 6}
    assert build_discriminator(config_of(objective__name="l1")) is None


def test_flops_are_those_of_the_convolutions() -> None:
    layers = describe(config_of())["discriminator"]["layers"]
    assert layers[0]["flops"] == 2 * 64 * 6 * 16 * 128 * 128
    assert layers[1]["flops"] == 0


@pytest.mark.parametrize("preset", ["paper", "pytorch"])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("upsampling", ["transposed", "nearest", "bilinear", "pixel-shuffle"])
@pytest.mark.parametrize("generator", GENERATORS)
def test_plans_count_the_parameters_that_generators_have(
    preset: str, norm: str, upsampling: str, generator: str
) -> None:
    settings = {"generator__name": generator, "generator__ngf": 4, "generator__norm": norm, "data__crop_size": 128}
    if generator not in ("unet", "encoder_decoder"):  # not known from the shape, and of one upsampling
        if generator in LAYER_NORMED:
            settings["generator__norm"] = "batch"
        assert generator_parameters(config_of(training__preset=preset, **settings)) is None
        return
    config = config_of(training__preset=preset, generator__upsampling=upsampling, **settings)
    assert generator_parameters(config) == sum(p.numel() for p in build_generator(config).parameters())


@pytest.mark.parametrize("preset", ["paper", "pytorch"])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("discriminator", DISCRIMINATOR_STRIDES)
def test_plans_count_the_parameters_that_discriminators_have(preset: str, norm: str, discriminator: str) -> None:
    config = config_of(
        training__preset=preset, discriminator__name=discriminator, discriminator__ndf=4, discriminator__norm=norm,
        data__crop_size=128, objective__name="gan",
    )  # fmt: skip
    judge = build_discriminator(config)
    assert judge is not None
    assert discriminator_parameters(config) == sum(p.numel() for p in judge.parameters())
