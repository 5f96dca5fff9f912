"""Terms that later papers added to the objective, each against its formula or an invariant."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from p2pbench.config.run_id import run_id
from p2pbench.config.schema import ObjectiveConfig, RunConfig
from p2pbench.errors import ConfigError
from p2pbench.models.build import build_discriminator
from p2pbench.models.judgement import Judgement, judgement
from p2pbench.training.engine import build_networks, build_optimisers, compile_networks
from p2pbench.training.losses import charbonnier_loss, feature_matching, relativistic_loss, squared_gradient
from p2pbench.training.objectives.contract import Judged
from p2pbench.training.objectives.translation import Translation
from p2pbench.training.pretrained import Pretrained
from p2pbench.training.step import Networks, train_step

Tiny = Callable[..., RunConfig]


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    x, y = (torch.rand(2, 3, 16, 16, generator=random) * 2 - 1 for _ in range(2))
    return x, y


def two(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    first, second = (torch.randn(*shape, generator=random, dtype=torch.float64) for _ in range(2))
    return first, second


def test_the_squared_gradient_of_a_linear_discriminator_is_that_of_its_weight() -> None:
    """D(x) = mean over a map of 30x30 equal logits <w, x>, whose gradient is w: |w|², and its gradient is 2w."""
    w = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    images = torch.rand(2, 3, 4, 4, dtype=torch.float64)

    def judge(image: torch.Tensor) -> Judgement:
        return Judgement(((image * w).sum((1, 2, 3), keepdim=True).expand(-1, 1, 30, 30),))

    found = squared_gradient(judge, images)
    assert float(found.detach()) == pytest.approx(float(w.detach().square().sum()), rel=1e-12)
    found.backward()
    assert w.grad is not None
    torch.testing.assert_close(w.grad, 2 * w.detach())


def test_the_pairing_loss_is_that_of_the_difference() -> None:
    real, fake = two(2, 1, 3, 3)
    r, f = real.numpy(), fake.numpy()
    expected = {
        "bce": np.log1p(np.exp(-(r - f))).mean(),
        "lsgan": ((r - f - 1) ** 2).mean(),
        "hinge": np.maximum(0, 1 - (r - f)).mean(),
        "wgan-gp": (f - r).mean(),
    }
    for kind, value in expected.items():
        assert float(relativistic_loss(real, fake, kind)) == pytest.approx(value, rel=1e-12)
        moved = relativistic_loss(real + 7.0, fake + 7.0, kind)  # a constant added to D changes nothing
        assert float(moved) == pytest.approx(value, rel=1e-9)
    assert float(relativistic_loss(real, real, "bce")) == pytest.approx(np.log(2))


@pytest.mark.parametrize("settings", [{"pairing": "relativistic", "r1": 3.0, "r2": 5.0}, {"r1": 3.0}, {"r2": 5.0}])
def test_ds_loss_has_the_pairing_and_its_penalties(settings: dict[str, Any]) -> None:
    w = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target, fake = (torch.rand(2, 3, 4, 4) for _ in range(2))

    def judge(image: torch.Tensor) -> Judgement:  # the gradient is 2 w image
        return Judgement(((image.square() * w).sum((1, 2, 3), keepdim=True),))

    judged = Judged(judge, target, target, fake, judge(target), judge(fake))
    loss = Translation(ObjectiveConfig(**settings)).discriminator_loss(judged)
    plain = {"pairing": settings.get("pairing", "absolute")}
    without = Translation(ObjectiveConfig(**plain)).discriminator_loss(judged)
    norms = [(2 * w * image).square().sum((1, 2, 3)).mean() for image in (target, fake)]
    expected = without + settings.get("r1", 0) / 2 * norms[0] + settings.get("r2", 0) / 2 * norms[1]
    torch.testing.assert_close(loss, expected)
    halved = Translation(ObjectiveConfig(**settings, discriminator_loss="mean")).discriminator_loss(judged)
    torch.testing.assert_close(halved, expected if "pairing" in settings else expected / 2)


def test_feature_matching_is_pix2pixhds() -> None:
    """Two scales of three layers: 1/K Σ_k Σ_i 4/(n+1) mean|.|, and nothing where the images are equal."""
    shapes = [(2, 4, 8, 8), (2, 8, 4, 4), (2, 8, 3, 3), (2, 4, 4, 4), (2, 8, 2, 2), (2, 8, 1, 1)]
    pairs = [two(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    expected = sum(4 / 3 * np.abs(a.numpy() - b.numpy()).mean() for a, b in pairs) / 2
    real, fake = zip(*pairs, strict=True)
    assert float(feature_matching(real, fake)) == pytest.approx(expected, rel=1e-12)
    assert float(feature_matching(real, real)) == 0.0


def test_feature_matching_moves_the_generator_alone(tiny: Tiny) -> None:
    """In G's loss it adds its weight times the distance; the real features are constants, and D's loss has none."""
    config = tiny(objective__lambda_features=10.0, discriminator__norm="instance")
    discriminator = build_discriminator(config)
    assert discriminator is not None
    x, y = batch()
    fake = (-y).requires_grad_()
    target = y.clone().requires_grad_()

    def judge(image: torch.Tensor) -> Judgement:
        return judgement(discriminator, torch.cat([x, image], 1), features=True)

    judged = Judged(judge, x, target, fake, judge(target), judge(fake))
    objective, plain = Translation(config.objective), Translation(tiny(discriminator__norm="instance").objective)
    matching = feature_matching(judged.of_target.features, judged.of_fake.features)  # type: ignore[union-attr]
    ours, theirs = objective.generator_loss(fake, y, judged), plain.generator_loss(fake, y, judged)
    torch.testing.assert_close(ours.total, theirs.total + 10.0 * matching)
    assert torch.equal(ours.adversarial, theirs.adversarial)
    assert torch.equal(objective.discriminator_loss(judged), plain.discriminator_loss(judged))
    of_fake, of_target = torch.autograd.grad(matching, (fake, target), allow_unused=True)
    assert float(of_fake.abs().sum()) > 0
    assert of_target is None


IDEAS: dict[str, dict[str, Any]] = {
    "pairing": {"objective__pairing": "relativistic"},
    "r1": {"objective__r1": 1.0, "discriminator__norm": "instance"},
    "r2": {"objective__r2": 1.0, "discriminator__norm": "none"},
    "features": {"objective__lambda_features": 10.0},
    "r3gan": {
        "objective__pairing": "relativistic", "objective__r1": 0.1, "objective__r2": 0.1, "discriminator__norm": "none",
    },
}  # fmt: skip


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("how", ["stale", "fresh"])
@pytest.mark.parametrize("idea", IDEAS)
def test_each_idea_updates_both_networks_by_its_own_loss(idea: str, how: str, precision: str, tiny: Tiny) -> None:
    """Against plain autograd on copies: D from its loss alone, G through D before or after that update."""
    config = tiny(
        **IDEAS[idea], objective__generator_gradient=how, training__precision=precision, generator__dropout="none",
        training__bias_rule="by-norm",
    )  # fmt: skip
    networks = build_networks(config)
    x, y = batch()
    twin = copy.deepcopy(networks)
    g, d = twin.generator, twin.discriminator
    assert d is not None
    objective = Translation(config.objective)

    def judge(image: torch.Tensor) -> Judgement:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            return judgement(d, torch.cat([x, image], 1), features=objective.features).in_float32()

    def judged() -> Judged:
        return Judged(judge, x, y, leaf, judge(y), judge(leaf))

    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        leaf = g(x).detach().float().requires_grad_()
    expected = torch.autograd.grad(objective.discriminator_loss(judged()), list(d.parameters()))
    before = judged()
    train_step(networks, build_optimisers(networks, config), x, y, config)
    assert networks.discriminator is not None
    for ours, reference in zip(networks.discriminator.parameters(), expected, strict=True):
        rtol, atol = (1e-4, 1e-7) if precision == "fp32" else (0.1, 1e-2)
        torch.testing.assert_close(ours.grad, reference, rtol=rtol, atol=atol)
    if how == "stale" and precision == "fp32":
        (gradient,) = torch.autograd.grad(objective.generator_loss(leaf, y, before).total, leaf)
        g(x).backward(gradient)
        for ours, reference in zip(networks.generator.parameters(), g.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, reference.grad, rtol=1e-3, atol=1e-6)


class Distance(nn.Module):
    """Stands for a perceptual network: a squared distance, through a weight that must not move."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 1).requires_grad_(False)

    def forward(self, fake: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        difference: torch.Tensor = self.layer(fake) - self.layer(target)
        return difference.square().mean()


@pytest.mark.parametrize("name", ["l1", "l1+cgan"])
def test_the_perceptual_loss_counts_by_its_weight_in_gs_loss_alone(name: str, tiny: Tiny) -> None:
    config = tiny(objective__name=name, objective__perceptual="vgg", objective__lambda_perceptual=3.0)
    distance = Distance()
    start = copy.deepcopy(distance.state_dict())
    losses = {}
    x, y = batch()
    for there in (True, False):
        networks = build_networks(config, Pretrained(distance if there else None))
        torch.manual_seed(1)
        losses[there] = train_step(networks, build_optimisers(networks, config), x, y, config)
        if there:
            fake = build_networks(config).generator
            torch.manual_seed(1)
            expected = 3.0 * float(distance(fake(x).detach(), y))
    difference = losses[True] - losses[False]
    assert difference.tolist() == pytest.approx([0.0, expected, 0.0, 0.0], rel=1e-4, abs=1e-5)
    assert all(torch.equal(start[key], tensor) for key, tensor in distance.state_dict().items())
    assert "perceptual" not in networks.by_name()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective__r1": 1.0}, "objective.r1 is 1 and discriminator.norm 'batch'"),
        ({"objective__r2": 0.5}, "objective.r2 is 0.5 and discriminator.norm 'batch'"),
        (
            {"objective__r1": 1.0, "objective__adversarial": "wgan-gp", "discriminator__norm": "none"},
            "holds the length of D's gradient at 1",
        ),
        (
            {"objective__perceptual": "squeeze", "scoring__metrics": ["l1", "lpips-squeeze"], "data__crop_size": 32,
             "data__load_size": 36},
            "scored by lpips-squeeze, which is the same network",
        ),
        (
            {"objective__perceptual": "vgg", "training__select": "lpips-vgg"},
            "leave lpips-vgg out of scoring.metrics and training.select, or use perceptual squeeze",
        ),
        ({"objective__perceptual": "squeeze"}, "has a side of 16: the network takes 17 and more"),
        ({"objective__perceptual": "vgg", "data__channels": [3, 1]}, "the output is no RGB image"),
        (
            {"objective__perceptual": "vgg", "data__channels": [1, 2], "data__colours": "lab"},
            "the output is no RGB image",
        ),
    ],
)  # fmt: skip
def test_combinations_that_mean_nothing_are_refused(settings: dict[str, Any], message: str, tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny(**settings)


def test_penalties_are_refused_where_d_is_compiled(tiny: Tiny) -> None:
    config = tiny(objective__r2=1.0, discriminator__norm="none")
    with pytest.raises(ConfigError, match=r"objective.r2: the gradient penalty differentiates D twice"):
        compile_networks(Networks(nn.Identity(), nn.Identity()), config)


def test_ids_are_those_of_before_where_nothing_is_switched_on(tiny: Tiny) -> None:
    plain, no_d = run_id(tiny(), "data"), run_id(tiny(objective__name="l1"), "data")
    assert run_id(tiny(objective__lambda_perceptual=3.0), "data") == plain  # there is no perceptual loss
    found = {plain}
    for settings in (*IDEAS.values(), {"objective__perceptual": "vgg"}):
        found.add(run_id(tiny(**settings), "data"))
    assert len(found) == 2 + len(IDEAS)
    for idea in ("pairing", "r1", "features"):  # l1 has no D
        assert run_id(tiny(**IDEAS[idea], objective__name="l1"), "data") == no_d


@pytest.mark.parametrize("name", ["l2", "charbonnier"])
def test_regressions_are_their_formulas_alone(name: str) -> None:
    answer, goal = two(2, 3, 4, 4)
    d = answer.numpy() - goal.numpy()
    expected = {"l2": (d**2).mean(), "charbonnier": np.sqrt(d**2 + 1e-6).mean()}[name]
    loss = Translation(ObjectiveConfig(name=name, lambda_l1=7.0)).generator_loss(answer, goal, None)
    assert float(loss.total) == pytest.approx(expected, rel=1e-12)
    assert float(loss.l1) == pytest.approx(np.abs(d).mean(), rel=1e-6)


def test_charbonniers_gradient_is_0_at_0_and_a_sign_far_out() -> None:
    d = torch.tensor([0.0, 5.0, -5.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(3 * charbonnier_loss(d, torch.zeros_like(d)), d)
    assert gradient.tolist() == pytest.approx([0.0, 1.0, -1.0], abs=1e-6)
