"""One full update against a reference written out here, for both presets; the ``stale`` gradient by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import l1_loss

from p2pbench.config.schema import RunConfig
from p2pbench.models.build import build_discriminator, build_generator
from p2pbench.models.layers import convolution_biases
from p2pbench.training.engine import build_optimisers
from p2pbench.training.step import LOSS_NAMES, Networks, train_step

Tiny = Callable[..., RunConfig]


def setting(config: RunConfig) -> tuple[Networks, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    x, y = (torch.rand(2, 3, 16, 16, generator=random) * 2 - 1 for _ in range(2))
    return Networks(build_generator(config), build_discriminator(config)), x, y


class KeepsItsBias(torch.nn.Module):
    """A network whose backward pass reads its bias, as a compiled one may."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 3, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert self.convolution.bias is not None
        assert all(parameter.grad is None for parameter in self.parameters())  # activations find their memory free
        return torch.tanh(self.convolution(images) * self.convolution.bias[:, None, None])


def test_biases_are_zeroed_once_the_backward_pass_has_read_them(tiny: Tiny) -> None:
    config = tiny(training__preset="paper", objective__name="l1")
    assert config.training.bias_rule == "zeroed"
    networks = Networks(KeepsItsBias(), None)
    (bias,) = convolution_biases(networks.generator)
    optimisers = build_optimisers(networks, config)
    _, x, y = setting(config)
    for _ in range(2):
        with torch.no_grad():
            bias.fill_(1.0)
        train_step(networks, optimisers, x, y, config)
        assert bias.abs().max() <= 2.1e-4  # from 0, one update of Adam
        assert (bias != 0).all()


def reference_update(
    config: RunConfig, networks: Networks, x: torch.Tensor, y: torch.Tensor
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The update of D and G, from the table of the two releases' differences; plain Adam, plain autograd.

    Returns the parameters of G and D after it.
    """
    g, d = networks.generator, networks.discriminator
    assert d is not None
    lua = config.training.preset == "paper"
    adam = {"lr": 2e-4, "betas": (0.5, 0.999), "eps": 1e-8, "foreach": False, "fused": False}
    optimiser_g, optimiser_d = (torch.optim.Adam(n.parameters(), **adam) for n in (g, d))  # type: ignore[arg-type]

    def zero_biases() -> None:
        for network in (g, d):
            for module in network.modules():
                if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d) and module.bias is not None:
                    module.bias.data.zero_()

    fake = g(x)
    if lua:
        zero_biases()
    before = copy.deepcopy(d)
    real_loss = bce(d(torch.cat([x, y], 1)), torch.ones(()).expand(2, 1, 6, 6))
    fake_loss = bce(d(torch.cat([x, fake.detach()], 1)), torch.zeros(()).expand(2, 1, 6, 6))
    (real_loss + fake_loss if lua else (real_loss + fake_loss) / 2).backward()
    optimiser_d.step()

    judge = before if lua else d
    verdict = bce(judge(torch.cat([x, fake], 1)), torch.ones(()).expand(2, 1, 6, 6))
    (verdict + 100 * l1_loss(fake, y)).backward()
    optimiser_g.step()
    return dict(g.named_parameters()), dict(d.named_parameters())


@pytest.mark.parametrize("preset", ["paper", "pytorch"])
def test_one_update_is_the_releases_update(preset: str, tiny: Tiny) -> None:
    config = tiny(training__preset=preset)
    networks, x, y = setting(config)
    with torch.no_grad():  # biases that are not zero, so that zeroing them shows
        for network in (networks.generator, networks.discriminator):
            assert network is not None
            for name, parameter in network.named_parameters():
                if name.endswith("bias"):
                    parameter.fill_(0.05)
    twin = copy.deepcopy(networks)
    torch.manual_seed(5)  # dropout
    g_after, d_after = reference_update(config, twin, x, y)
    torch.manual_seed(5)
    train_step(networks, build_optimisers(networks, config), x, y, config)
    for network, after in ((networks.generator, g_after), (networks.discriminator, d_after)):
        assert network is not None
        for name, parameter in network.named_parameters():
            # Adam's first step is lr * sign(gradient) wherever the gradient is not tiny: 2e-4 is its whole size. The
            # two sums of G's gradient are added in another order, which rounding shows as a few 1e-6 of that.
            torch.testing.assert_close(parameter, after[name], atol=2e-6, rtol=1e-5, msg=name)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_stale_is_the_gradient_through_d_before_its_update(precision: str, fused: bool, tiny: Tiny) -> None:
    """The gradient that reaches the fake, taken by hand from a copy of D made beforehand; fresh is another one."""
    seen = {}
    for how in ("stale", "fresh"):
        config = tiny(objective__generator_gradient=how, training__precision=precision, training__learning_rate=0.01)
        networks, x, y = setting(config)
        assert networks.discriminator is not None
        before = copy.deepcopy(networks.discriminator)
        captured: dict[str, torch.Tensor] = {}

        def keep(_: object, __: object, output: torch.Tensor, into: dict[str, torch.Tensor] = captured) -> None:
            into["fake"] = output.detach()
            output.register_hook(lambda gradient: into.__setitem__("gradient", gradient))

        networks.generator.register_forward_hook(keep)
        optimisers = build_optimisers(networks, config)
        for optimiser in (optimisers.generator, optimisers.discriminator):
            assert optimiser is not None
            for group in optimiser.param_groups:
                group["fused"] = fused
        torch.manual_seed(5)
        train_step(networks, optimisers, x, y, config)
        image = captured["fake"].float().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = before(torch.cat([x, image], 1)).float()
        (bce(logits, torch.ones_like(logits)) + 100 * l1_loss(image, y)).backward()
        assert image.grad is not None
        seen[how] = (captured["gradient"].float(), image.grad.to(captured["gradient"].dtype).float())
    torch.testing.assert_close(*seen["stale"], rtol=1e-5, atol=1e-9)
    ours, by_hand = seen["fresh"]
    assert not torch.allclose(ours, by_hand, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("objective", ["l1", "gan", "cgan", "l1+gan", "l1+cgan"])
def test_every_objective_updates_and_reports(objective: str, tiny: Tiny) -> None:
    config = tiny(objective__name=objective)
    networks, x, y = setting(config)
    start = [p.detach().clone() for p in networks.generator.parameters()]
    losses = train_step(networks, build_optimisers(networks, config), x, y, config)
    assert losses.shape == (len(LOSS_NAMES),)
    assert torch.isfinite(losses).all()
    assert not losses.requires_grad
    assert any(not torch.equal(a, b) for a, b in zip(start, networks.generator.parameters(), strict=True))
    d_loss, _, g_adversarial, g_l1 = losses.tolist()
    assert (d_loss > 0) == (g_adversarial > 0) == (objective != "l1")
    assert g_l1 > 0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["lsgan", "hinge", "wgan-gp"])
@pytest.mark.parametrize("how", ["stale", "fresh"])
def test_every_adversarial_loss_trains(how: str, kind: str, precision: str, tiny: Tiny) -> None:
    config = tiny(
        objective__adversarial=kind, objective__generator_gradient=how, discriminator__norm="instance",
        discriminator__spectral_norm=kind == "hinge", training__precision=precision,
    )  # fmt: skip
    networks, x, y = setting(config)
    assert networks.discriminator is not None
    start = [p.detach().clone() for p in networks.discriminator.parameters()]
    optimisers = build_optimisers(networks, config)
    for _ in range(2):
        losses = train_step(networks, optimisers, x, y, config)
    assert torch.isfinite(losses).all()
    assert any(not torch.equal(a, b) for a, b in zip(start, networks.discriminator.parameters(), strict=True))


def test_each_network_learns_from_its_own_loss_only(tiny: Tiny) -> None:
    config = tiny(objective__name="gan", objective__generator_gradient="fresh", training__bias_rule="by-norm")
    networks, x, y = setting(config)
    assert networks.discriminator is not None
    twin = copy.deepcopy(networks)
    assert twin.discriminator is not None
    torch.manual_seed(5)
    train_step(networks, build_optimisers(networks, config), x, y, config)
    torch.manual_seed(5)
    fake = twin.generator(x).detach()
    logits_real, logits_fake = twin.discriminator(y), twin.discriminator(fake)
    (bce(logits_real, torch.ones_like(logits_real)) + bce(logits_fake, torch.zeros_like(logits_fake))).backward()
    for ours, reference in zip(networks.discriminator.parameters(), twin.discriminator.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, reference.grad, rtol=1e-4, atol=1e-7)


def test_bf16_keeps_master_weights_and_moments_in_float32(tiny: Tiny) -> None:
    config = tiny(training__precision="bf16")
    networks, x, y = setting(config)
    optimisers = build_optimisers(networks, config)
    train_step(networks, optimisers, x, y, config)
    assert {p.dtype for p in networks.generator.parameters()} == {torch.float32}
    state = optimisers.generator.state_dict()["state"]
    assert {value.dtype for entry in state.values() for value in entry.values()} == {torch.float32}
