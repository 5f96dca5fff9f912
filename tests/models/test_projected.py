"""The projected discriminator: what is frozen stays, what is drawn is the seed's, and its maps are the formula's."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from levels import config_of, parameters, random
from random_weights import write_squeezenet
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate

from p2pbench.config.run_id import run_id
from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError, WeightsError
from p2pbench.models.build import build_discriminator
from p2pbench.models.describe import describe
from p2pbench.models.judgement import judgement
from p2pbench.models.projected import TAPS, Projected
from p2pbench.runs.train_run import pretrained_of
from p2pbench.scoring.lpips import SCALE, SHIFT, load_layers
from p2pbench.scoring.lpips import TAPS as LPIPS_TAPS
from p2pbench.system.cache_dir import home
from p2pbench.training.engine import build_networks, build_optimisers
from p2pbench.training.pretrained import Pretrained
from p2pbench.training.step import train_step

Tiny = Callable[..., RunConfig]
ALONE: dict[str, Any] = {
    "discriminator__name": "projected", "discriminator__norm": "instance", "objective__name": "l1+gan",
    "objective__adversarial": "hinge",
}  # fmt: skip


def small(**more: object) -> RunConfig:
    size = {"data__crop_size": 32, "data__load_size": 32, "generator__ngf": 4, "discriminator__ndf": 4}
    return config_of(**{**size, **ALONE, **more})


def built(config: RunConfig) -> Projected:
    discriminator = build_discriminator(config)
    assert isinstance(discriminator, Projected)
    return discriminator


def frozen(discriminator: Projected) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in discriminator.projection.state_dict().items()}


@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("name", ["l1+gan", "l1+cgan"])
def test_what_is_frozen_has_the_same_bits_after_ten_steps(name: str, spectral_norm: bool) -> None:
    config = small(objective__name=name, discriminator__spectral_norm=spectral_norm)
    networks = build_networks(config)
    discriminator = networks.discriminator
    assert isinstance(discriminator, Projected)
    before, optimisers = frozen(discriminator), build_optimisers(networks, config)
    started = {name: p.detach().clone() for name, p in discriminator.named_parameters()}
    for step in range(10):
        losses = train_step(networks, optimisers, random(1, 3, 32, 32, seed=step), random(1, 3, 32, 32), config)
    assert torch.isfinite(losses).all()
    after = frozen(discriminator)
    assert len(before) == len(after) > 50
    assert [name for name in before if not torch.equal(before[name], after[name])] == []
    assert not any(name.startswith("projection") for name in started)
    moved = {name for name, p in discriminator.named_parameters() if not torch.equal(p, started[name])}
    assert {name for name in started if name.endswith("weight") or "original" in name} <= moved


def test_a_seed_has_its_projection_and_another_seed_another() -> None:
    first, again, other = (built(small(training__seed=seed)) for seed in (0, 0, 1))
    for key, tensor in frozen(first).items():
        assert torch.equal(tensor, frozen(again)[key])
        pretrained = key.startswith("layers") or key in ("shift", "scale")
        assert torch.equal(tensor, frozen(other)[key]) is pretrained
    for convolution in (*first.projection.channels, *first.projection.scales):
        assert isinstance(convolution, nn.Conv2d)
        bound = convolution.in_channels**-0.5
        assert 0.9 * bound < float(convolution.weight.abs().max()) <= bound
        assert float(convolution.weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.25)


def test_the_gradient_reaches_the_image_and_no_norm_wakes() -> None:
    discriminator = built(small()).train()
    image = random(2, 3, 32, 32).requires_grad_()
    said = judgement(discriminator, image)
    (gradient,) = torch.autograd.grad(said.of_images().sum(), image)
    assert all(float(one.abs().sum()) > 0 for one in gradient)
    for logits in judgement(discriminator, image).logits:  # of each of the four
        (own,) = torch.autograd.grad(logits.sum(), image, retain_graph=True)
        assert own.any()
    assert [module for module in discriminator.projection.modules() if module.training] == []
    assert discriminator.judges.training
    assert list(discriminator.projection.parameters()) == []


@pytest.mark.parametrize(
    "more",
    [
        {"objective__r1": 1.0, "objective__r2": 1.0},
        {"training__precision": "bf16"},
        {"objective__lambda_features": 10.0, "objective__generator_gradient": "fresh"},
    ],
)
def test_it_goes_with_penalties_matching_and_bf16(more: dict[str, Any]) -> None:
    config = small(**more)
    networks = build_networks(config)
    optimisers = build_optimisers(networks, config)
    for _ in range(2):
        losses = train_step(networks, optimisers, random(1, 3, 32, 32), random(1, 3, 32, 32, seed=1), config)
    assert torch.isfinite(losses).all()


def test_the_maps_are_the_formulas() -> None:
    """z_k = W_k (V_k h_k + ↑ z_k+1), by SqueezeNet's layers as torchvision has them and convolutions written out."""
    from torchvision.models import squeezenet1_1

    discriminator = built(small())
    projection, image = discriminator.projection, random(1, 3, 40, 60)
    squeezenet = squeezenet1_1(weights=None).features[:13].eval()
    squeezenet.load_state_dict(projection.layers.state_dict())
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    h = interpolate(image, (224, 336), mode="bilinear", align_corners=False)
    h = ((h + 1) / 2 - mean) / std
    state = projection.state_dict()
    mixed: list[Tensor] = []
    with torch.no_grad():
        for index, layer in enumerate(squeezenet):
            h = layer(h)
            if index in (1, 4, 7, 12):
                k = len(mixed)
                mixed.append(conv2d(h.clone(), state[f"channels.{k}.weight"], state[f"channels.{k}.bias"]))
        expected: list[Tensor] = []
        for k in (3, 2, 1, 0):
            total = mixed[k]
            if expected:
                total = total + interpolate(expected[0], total.shape[2:], mode="bilinear", align_corners=True)
            expected.insert(0, conv2d(total, state[f"scales.{k}.weight"], state[f"scales.{k}.bias"]))
        found = projection(image)
    assert [tuple(z.shape[1:]) for z in found] == [(4, 111, 167), (4, 55, 83), (8, 27, 41), (16, 13, 20)]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert set(TAPS) <= set(LPIPS_TAPS["squeeze"])
    torch.testing.assert_close(projection.shift.flatten(), torch.tensor(SHIFT))
    torch.testing.assert_close(projection.scale.flatten(), torch.tensor(SCALE))


def test_the_small_ones_have_the_weights_of_their_formula() -> None:
    n = 4
    discriminator = built(small())
    widths = [n, n, 2 * n, 4 * n, 8 * n]
    wanted = 0
    for k in range(4):
        chain = widths[k:]
        wanted += sum(16 * a * b + 3 * b for a, b in pairwise(chain)) + 16 * chain[-1]
    assert parameters(discriminator) == wanted
    said = judgement(discriminator, random(2, 3, 32, 32), features=True)
    assert [tuple(logits.shape) for logits in said.logits] == [(2, 1, 3, 3)] * 4
    assert len(said.features) == 4 + 3 + 2 + 1
    assert said.weight == 1.0


def test_beside_a_pair_it_sees_the_image_alone_and_patch70_the_pair() -> None:
    config = small(objective__name="l1+cgan")
    discriminator, pair = built(config), random(1, 6, 32, 32)
    of_pair = build_discriminator(small(objective__name="l1+cgan", discriminator__name="patch70"))
    assert discriminator.of_pair is not None
    assert of_pair is not None
    assert parameters(discriminator.of_pair) == parameters(of_pair)
    other = torch.cat([-pair[:, :3], pair[:, 3:]], dim=1)
    first, second = judgement(discriminator, pair).logits, judgement(discriminator, other).logits
    assert len(first) == 5
    assert [torch.equal(a, b) for a, b in zip(first, second, strict=True)] == [False, True, True, True, True]
    found = describe(config)["discriminator"]
    assert [one["receptive_field"] for one in found["maps"]] == [70] + ["whole image"] * 4
    assert found["parameters"] == parameters(discriminator)
    large = describe(small(objective__name="l1+gan", data__crop_size=400, data__load_size=400))["discriminator"]
    assert {one["receptive_field"] for one in large["maps"]} == {None}


def test_it_sees_through_the_pretrained_weights_which_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_squeezenet(home() / "weights", monkeypatch)
    config = small()
    pretrained = pretrained_of(config, None, fetch=False)
    assert pretrained.record["features"]["weights"] == path.name
    assert pretrained.perceptual is None
    assert pretrained.features is not None
    trained = {name: tensor + 1 for name, tensor in load_layers("squeeze", path).state_dict().items()}
    assert pretrained.features.keys() == trained.keys()
    discriminator = build_networks(config, pretrained._replace(features=trained)).discriminator
    assert isinstance(discriminator, Projected)
    for name, tensor in trained.items():
        assert torch.equal(discriminator.projection.layers.state_dict()[name], tensor)
        assert torch.equal(pretrained.features[name] + 1, tensor)
    untrained = built(config)
    for key in ("channels.0.weight", "scales.3.bias"):  # drawn from the seed alone
        assert torch.equal(untrained.projection.state_dict()[key], discriminator.projection.state_dict()[key])
    assert pretrained_of(config.changed("objective", name="l1"), None, fetch=False) == Pretrained()


def test_without_its_weights_the_way_out_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"SqueezeNet 1\.1.* not on this machine; put .* with --weights-dir"):
        pretrained_of(small(), tmp_path, fetch=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scoring__metrics": ["l1", "lpips-squeeze"]}, "leave lpips-squeeze out of scoring.metrics"),
        ({"training__select": "lpips-squeeze"}, "scored by lpips-squeeze, whose network it is trained through"),
        ({"discriminator__scales": 2}, "four scales of its own; leave it out"),
        ({"discriminator__attention": True}, "use patch16 to image286"),
        ({"data__channels": [3, 1]}, "no RGB image"),
        ({"data__channels": [1, 2], "data__colours": "lab"}, "no RGB image"),
        ({"objective__name": "l1+cgan", "data__crop_size": 16}, "patch70 judges the pair beside it, and needs a side"),
        ({"objective__r1": 1.0, "discriminator__norm": "batch"}, "use discriminator.norm instance or none"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small(**settings)
    small(**{**settings, "objective__name": "l1"})  # which has no D


def test_a_condition_may_be_anything_and_the_batch_too() -> None:
    config = small(objective__name="cgan", data__channels=[8, 3], data__crop_size=[32, 50], data__jitter=False)
    said = judgement(built(config), random(3, 11, 32, 50))
    assert all(len(logits) == 3 and logits.shape[1] == 1 for logits in said.logits)


def test_it_is_another_run(tiny: Tiny) -> None:
    ids = {run_id(small(objective__name=name, discriminator__name=d), "data")
           for name in ("l1+gan", "l1+cgan") for d in ("patch70", "projected")}  # fmt: skip
    assert len(ids) == 4
    assert small().pretrained == ("squeeze",)
    assert small(objective__perceptual="squeeze").pretrained == ("squeeze",)
    assert tiny().pretrained == tiny(objective__name="l1", discriminator__name="projected").pretrained == ()
