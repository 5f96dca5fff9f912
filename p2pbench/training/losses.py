"""The losses, as pure functions (pix2pix §3.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss, mse_loss, relu

from p2pbench.config.schema import ObjectiveConfig


def discriminator_input(condition: Tensor, image: Tensor, *, conditional: bool) -> Tensor:
    """What D judges: condition and image side by side (N, 2C, H, W), Eq. 1, or the image alone (N, C, H, W), Eq. 2."""
    return torch.cat([condition, image], dim=1) if conditional else image


def gan_loss(logits: Tensor, kind: str, *, real: bool) -> Tensor:
    """What D loses by these logits of real images, or of fakes; averaged over patches and images; a scalar.

    ``bce``: cross-entropy with 1 or 0 (pix2pix §3.1). ``lsgan``: squared distance to 1 or 0 (Mao et al. 2017, b = 1,
    a = 0, without the factor 1/2). ``hinge``: max(0, 1 - D) or max(0, 1 + D) (Lim and Ye 2017). ``wgan-gp``: -D or D
    (Arjovsky et al. 2017, Eq. 2), without its penalty.
    """
    if kind == "bce":
        return binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))
    if kind == "lsgan":
        return mse_loss(logits, torch.full_like(logits, float(real)))
    signed = -logits if real else logits
    return relu(1 + signed).mean() if kind == "hinge" else signed.mean()


def discriminator_loss(logits_real: Tensor, logits_fake: Tensor, how: str, kind: str = "bce") -> Tensor:
    """-log D(x, y) - log(1 - D(x, G(x))), or what ``kind`` has in its place; a scalar.

    ``how`` is ``sum`` for the two halves added, as Lua's release has it, or ``mean`` for half of that, as the port has
    it (§3.3: "we divide the objective by 2 while optimizing D").
    """
    halves = gan_loss(logits_real, kind, real=True) + gan_loss(logits_fake, kind, real=False)
    return halves if how == "sum" else 0.5 * halves


def adversarial_loss(logits_fake: Tensor, kind: str = "bce") -> Tensor:
    """What G loses by D's logits of its fakes: -log D(x, G(x)), the non-saturating form (§3.3); a scalar.

    ``lsgan``: squared distance to 1. ``hinge`` and ``wgan-gp``: -D.
    """
    return -logits_fake.mean() if kind in ("hinge", "wgan-gp") else gan_loss(logits_fake, kind, real=True)


PENALTY_WEIGHT = 10.0
"""λ of Gulrajani et al. 2017, Eq. 3, the same in all their experiments."""


def gradient_penalty(judge: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """λ (|gradient of D at a point between real and fake| - 1)², averaged over images (Gulrajani et al. 2017, Eq. 3).

    Args:
        judge: D as a function of the image, its condition fixed; maps (N, C, H, W) to logits.
        real, fake: images, (N, C, H, W), float, without gradient. The points are drawn uniformly, one per image, from
            the global random state that dropout draws from.
    """
    position = torch.rand(len(real), 1, 1, 1, dtype=real.dtype, device=real.device)
    between = torch.lerp(fake, real, position).requires_grad_()
    (gradient,) = torch.autograd.grad(judge(between).float().mean(dim=(1, 2, 3)).sum(), between, create_graph=True)
    penalty: Tensor = PENALTY_WEIGHT * ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()
    return penalty


class GeneratorLoss(NamedTuple):
    """Scalars. ``adversarial`` and ``l1`` are unweighted, so they compare across λ; 0 where the objective has none."""

    total: Tensor
    adversarial: Tensor
    l1: Tensor


def generator_loss(
    logits_fake: Tensor | None, fake: Tensor, target: Tensor, objective: ObjectiveConfig
) -> GeneratorLoss:
    """The generator's side of Eq. 4: adversarial plus λ times L1, as far as the objective has them.

    Args:
        logits_fake: patch logits of D for the fake, (N, 1, h, w), unbounded; None where there is no discriminator.
        fake, target: images (N, C, H, W), float in [-1, 1].
        objective: which terms count, and λ.
    """
    zero = fake.new_zeros(())
    adversarial = zero if logits_fake is None else adversarial_loss(logits_fake.float(), objective.adversarial)
    # The L1 distance is always reported; it is part of the objective only where its name says so.
    l1 = l1_loss(fake.float(), target)
    total = adversarial + objective.lambda_l1 * l1 if objective.has_l1 else adversarial
    return GeneratorLoss(total, adversarial, l1)
