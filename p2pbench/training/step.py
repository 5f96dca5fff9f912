"""One update of D and one of G on one batch (pix2pix §3.3, Algorithm of GAN training with one D step).

Device code only: no host synchronisation and no Python branch on a tensor's value.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from p2pbench.config import RunConfig
from p2pbench.models.layers import convolution_biases
from p2pbench.objective import discriminator_input, discriminator_loss, generator_loss, gradient_penalty

LOSS_NAMES = ("d_loss", "g_loss", "g_adversarial", "g_l1")


@dataclass(frozen=True)
class Networks:
    generator: nn.Module
    discriminator: nn.Module | None


@dataclass(frozen=True)
class Optimisers:
    generator: torch.optim.Optimizer
    discriminator: torch.optim.Optimizer | None


def train_step(
    networks: Networks, optimisers: Optimisers, condition: Tensor, target: Tensor, config: RunConfig
) -> Tensor:
    """Update D, then G, on one batch.

    Args:
        condition, target: images (N, 3, S, S), float32 in [-1, 1].
    Returns:
        The losses before the update, (4,), float32, on the device, in the order of ``LOSS_NAMES``.
    """
    objective = config.objective
    generator, discriminator = networks.generator, networks.discriminator
    bf16 = torch.autocast(condition.device.type, torch.bfloat16, enabled=config.training.precision == "bf16")

    with bf16:
        fake = generator(condition)
    if config.training.bias_rule == "zeroed":
        _zero_biases(generator)  # Lua: after G's forward pass

    # The losses see the fake as a leaf: G's update needs their gradient with respect to the image alone.
    image = fake.detach().float().requires_grad_()
    d_loss = image.new_zeros(())
    if discriminator is None:
        g_loss = generator_loss(None, image, target, objective)
        (gradient,) = torch.autograd.grad(g_loss.total, image)
    else:
        assert optimisers.discriminator is not None
        if config.training.bias_rule == "zeroed":
            _zero_biases(discriminator)
        with bf16:
            real_pair = discriminator_input(condition, target, conditional=objective.conditional)
            fake_pair = discriminator_input(condition, image, conditional=objective.conditional)
            logits_real = discriminator(real_pair).float()
            logits_fake = discriminator(fake_pair).float()
        d_loss = discriminator_loss(logits_real, logits_fake, objective.discriminator_loss, objective.adversarial)
        if objective.adversarial == "wgan-gp":
            with bf16:
                d_loss = d_loss + gradient_penalty(
                    lambda point: discriminator(
                        discriminator_input(condition, point, conditional=objective.conditional)
                    ),
                    target,
                    fake.detach().float(),
                )
        if objective.generator_gradient == "stale":
            # Through D as it was before its update, so before the optimiser steps: afterwards autograd would refuse
            # (plain Adam), or mix old activations with new weights without a word (fused Adam).
            g_loss = generator_loss(logits_fake, image, target, objective)
            (gradient,) = torch.autograd.grad(g_loss.total, image, retain_graph=True)
        optimisers.discriminator.zero_grad(set_to_none=True)
        torch.autograd.backward(d_loss, inputs=list(discriminator.parameters()))
        optimisers.discriminator.step()
        if objective.generator_gradient == "fresh":
            with bf16:
                fake_pair = discriminator_input(condition, image, conditional=objective.conditional)
                logits_fake = discriminator(fake_pair).float()
            g_loss = generator_loss(logits_fake, image, target, objective)
            (gradient,) = torch.autograd.grad(g_loss.total, image)

    optimisers.generator.zero_grad(set_to_none=True)
    fake.backward(gradient.to(fake.dtype))
    optimisers.generator.step()
    return torch.stack([d_loss, *g_loss]).detach()


@torch.no_grad()
def _zero_biases(network: nn.Module) -> None:
    for bias in convolution_biases(network):
        bias.zero_()
