"""One update of D and one of G on one batch (pix2pix §3.3, Algorithm of GAN training with one D step).

Device code only: no host synchronisation and no Python branch on a tensor's value.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from p2pbench.config.schema import RunConfig
from p2pbench.models.judgement import Judgement, judgement
from p2pbench.models.layers import convolution_biases
from p2pbench.training.adaptive import Adaptive
from p2pbench.training.augment import Draw, augmented, draw_augmentation
from p2pbench.training.average import Average
from p2pbench.training.losses import discriminator_input
from p2pbench.training.objectives import objective_of
from p2pbench.training.objectives.contract import Judged
from p2pbench.training.objectives.cutmix import CutMix

LOSS_NAMES = ("d_loss", "g_loss", "g_adversarial", "g_l1")


@dataclass(frozen=True)
class Networks:
    """The networks of one training; ``discriminator`` is None where the objective has none."""

    generator: nn.Module
    discriminator: nn.Module | None
    average: nn.Module | None = None
    """An :class:`Average` of G's weights, where ``training.ema`` asks for it."""
    augmentation: nn.Module | None = None
    """The :class:`Adaptive` probability of D's transforms, where ``training.augment`` is ``ada``."""
    mixture: nn.Module | None = None
    """The :class:`CutMix` of D's images, where ``objective.cutmix`` asks for it."""
    perceptual: nn.Module | None = None
    """A frozen distance of two batches of images, where ``objective.perceptual`` asks for it."""

    @property
    def kept(self) -> nn.Module:
        """The generator that is sampled, selected, scored and kept: the average, where there is one."""
        return self.generator if self.average is None else cast(Average, self.average).network

    def each(self, change: Callable[[nn.Module], nn.Module]) -> Networks:
        """The networks as ``change`` gives them."""
        there = {name: network for name, network in vars(self).items() if network is not None}
        return replace(self, **{name: change(network) for name, network in there.items()})

    def by_name(self) -> dict[str, nn.Module]:
        """The networks that there are and that training changes."""
        there = {name: network for name, network in vars(self).items() if network is not None}
        return {name: network for name, network in there.items() if name != "perceptual"}


@dataclass(frozen=True)
class Optimisers:
    """The optimiser of each network."""

    generator: torch.optim.Optimizer
    discriminator: torch.optim.Optimizer | None

    def by_name(self) -> dict[str, torch.optim.Optimizer]:
        """The optimisers that there are."""
        named = {"generator": self.generator, "discriminator": self.discriminator}
        return {name: optimiser for name, optimiser in named.items() if optimiser is not None}

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for optimiser in self.by_name().values():
            optimiser.zero_grad(set_to_none=True)


def train_step(
    networks: Networks, optimisers: Optimisers, condition: Tensor, target: Tensor, config: RunConfig
) -> Tensor:
    """Update D, then G, on one batch.

    Args:
        condition, target: images, (N, C, H, W) and (N, C', H, W), float32 in [-1, 1].
    Returns:
        The losses before the update, (4,), float32, on the device, in the order of ``LOSS_NAMES``.
    """
    mixture = cast(CutMix | None, networks.mixture)
    objective = objective_of(config, networks.perceptual, mixture)
    generator, discriminator = networks.generator, networks.discriminator
    optimisers.zero_grad()  # first, so that activations take the memory of the last step's gradients
    question, goal = objective.question(condition, target)
    with _precision(condition, config):
        answer = generator(*question)

    # The losses get the answer as a leaf, because G's update needs their gradient with respect to it alone.
    leaf = answer.detach().float().requires_grad_()
    d_loss = leaf.new_zeros(())
    if discriminator is None:
        g_loss = objective.generator_loss(leaf, goal, None)
        (gradient,) = torch.autograd.grad(g_loss.total, leaf)
    else:
        assert optimisers.discriminator is not None
        _zero_biases(discriminator, config)
        judge_by = partial(_judge, discriminator, condition, config=config, features=objective.features)
        adaptive = cast(Adaptive | None, networks.augmentation)
        draw = partial(draw_augmentation, config.training.augment, condition, adaptive.p if adaptive else None)
        judge = partial(judge_by, draw=draw())
        of_target = judge(target)
        judged = Judged(judge, condition, target, leaf, of_target, judge(leaf))
        d_loss = objective.discriminator_loss(judged)
        if config.objective.generator_gradient == "stale":
            # This goes through D as it was before its update, so it must come before the optimiser's step: afterwards
            # autograd would refuse (plain Adam), or silently mix old activations with new weights (fused Adam).
            g_loss = objective.generator_loss(leaf, goal, judged)
            (gradient,) = torch.autograd.grad(g_loss.total, leaf, retain_graph=True)
        torch.autograd.backward(d_loss, inputs=list(discriminator.parameters()))
        optimisers.discriminator.step()
        if adaptive is not None:
            adaptive.update(of_target.logits, config.training.batch_size)
        if mixture is not None:
            mixture.update(config.training.batch_size)
        if config.objective.generator_gradient == "fresh":
            judge = partial(judge_by, draw=draw())
            compared = judge(target) if objective.compares else None
            judged = Judged(judge, condition, target, leaf, compared, judge(leaf))
            g_loss = objective.generator_loss(leaf, goal, judged)
            (gradient,) = torch.autograd.grad(g_loss.total, leaf)

    answer.backward(gradient.to(answer.dtype))
    _zero_biases(generator, config)  # in Lua after G's forward pass; here a compiled backward pass may read them too
    optimisers.generator.step()
    if networks.average is not None:
        cast(Average, networks.average).update(generator, config.training.batch_size)
    return torch.stack([d_loss, *g_loss]).detach()


def _precision(images: Tensor, config: RunConfig) -> AbstractContextManager[None]:
    """A block whose forward passes run in bf16 where the configuration asks for it; weights and losses stay float32."""
    return torch.autocast(images.device.type, torch.bfloat16) if config.training.precision == "bf16" else nullcontext()


def _judge(
    discriminator: nn.Module, condition: Tensor, image: Tensor, *, config: RunConfig, features: bool, draw: Draw | None
) -> Judgement:
    """What D says, in float32, of condition and ``image`` together, or of the image alone (Eq. 1 and 2)."""
    if draw is not None:
        condition, image = augmented(condition, image, draw)
    with _precision(condition, config):
        seen = discriminator_input(condition, image, conditional=config.objective.conditional)
        said = judgement(discriminator, seen, features=features)
    return said.in_float32()


@torch.no_grad()
def _zero_biases(network: nn.Module, config: RunConfig) -> None:
    """Set the biases of all convolutions to zero where ``training.bias_rule`` says so, as Lua's release does."""
    biases: list[Tensor] = [*convolution_biases(network)] if config.training.bias_rule == "zeroed" else []
    if biases:
        torch._foreach_zero_(biases)  # few kernels on CUDA, instead of one for each
