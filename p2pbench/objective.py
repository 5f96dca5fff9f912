"""The losses, as pure functions (pix2pix §3.1)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss

from p2pbench.config import ObjectiveConfig


def discriminator_input(condition: Tensor, image: Tensor, *, conditional: bool) -> Tensor:
    """What D judges: condition and image side by side (N, 2C, H, W), Eq. 1, or the image alone (N, C, H, W), Eq. 2."""
    return torch.cat([condition, image], dim=1) if conditional else image


def discriminator_loss(logits_real: Tensor, logits_fake: Tensor, how: str) -> Tensor:
    """-log D(x, y) - log(1 - D(x, G(x))), each averaged over patches and images; a scalar.

    ``how`` is ``sum`` for the two halves added, as Lua's release has it, or ``mean`` for half of that, as the port has
    it (§3.3: "we divide the objective by 2 while optimizing D").
    """
    real = binary_cross_entropy_with_logits(logits_real, torch.ones_like(logits_real))
    fake = binary_cross_entropy_with_logits(logits_fake, torch.zeros_like(logits_fake))
    return real + fake if how == "sum" else 0.5 * (real + fake)


def adversarial_loss(logits_fake: Tensor) -> Tensor:
    """-log D(x, G(x)), averaged over patches and images: the non-saturating form (§3.3); a scalar."""
    return binary_cross_entropy_with_logits(logits_fake, torch.ones_like(logits_fake))


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
    adversarial = zero if logits_fake is None else adversarial_loss(logits_fake.float())
    # The L1 distance is always reported; it is part of the objective only where its name says so.
    l1 = l1_loss(fake.float(), target)
    total = adversarial + objective.lambda_l1 * l1 if objective.has_l1 else adversarial
    return GeneratorLoss(total, adversarial, l1)
