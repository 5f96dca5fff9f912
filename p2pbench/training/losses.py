"""The losses of D and G, as pure functions (pix2pix §3.1).

To add an adversarial loss, write it as a row of ``GAN_LOSSES`` below and add its name to
``ObjectiveConfig.adversarial`` in ``config/sections.py``; ``--set objective.adversarial=NAME`` then trains with it. The
objectives that are made of these losses are ``training/objectives``.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss, mse_loss, relu

from p2pbench.models.judgement import Judgement


def discriminator_input(condition: Tensor, image: Tensor, *, conditional: bool) -> Tensor:
    """The input of D: condition and image side by side (Eq. 1), or the image alone (Eq. 2).

    Args:
        condition, image: (N, C, H, W) and (N, C', H, W), float in [-1, 1].
    Returns:
        (N, C + C', H, W) or (N, C', H, W).
    """
    return torch.cat([condition, image], dim=1) if conditional else image


def _bce(logits: Tensor, label: float) -> Tensor:
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def _squared(logits: Tensor, label: float) -> Tensor:
    return mse_loss(logits, torch.full_like(logits, label))


class GanLoss(NamedTuple):
    """One kind of adversarial loss: functions from patch logits of D, (N, 1, h, w), unbounded, to a scalar."""

    real: Callable[[Tensor], Tensor]
    """The loss of D on logits of real images."""
    fake: Callable[[Tensor], Tensor]
    """The loss of D on logits of G's outputs."""
    generator: Callable[[Tensor], Tensor]
    """The loss of G on logits of its outputs."""


GAN_LOSSES = {
    # Cross-entropy (pix2pix §3.1); G maximises log D(x, G(x)), the non-saturating form (§3.3).
    "bce": GanLoss(lambda real: _bce(real, 1.0), lambda fake: _bce(fake, 0.0), lambda fake: _bce(fake, 1.0)),
    # Mao et al. 2017 with b = 1 and a = 0, without the factor 1/2.
    "lsgan": GanLoss(
        lambda real: _squared(real, 1.0), lambda fake: _squared(fake, 0.0), lambda fake: _squared(fake, 1.0)
    ),
    # Lim and Ye 2017.
    "hinge": GanLoss(lambda real: relu(1 - real).mean(), lambda fake: relu(1 + fake).mean(), lambda fake: -fake.mean()),
    # Arjovsky et al. 2017, Eq. 2; the training step adds the gradient penalty.
    "wgan-gp": GanLoss(lambda real: -real.mean(), lambda fake: fake.mean(), lambda fake: -fake.mean()),
}
"""The values of ``objective.adversarial``."""


def discriminator_loss(logits_real: Tensor, logits_fake: Tensor, kind: str = "bce") -> Tensor:
    """The loss of D: -log D(x, y) - log(1 - D(x, G(x))), or what ``kind`` has in its place; a scalar.

    Args:
        logits_real, logits_fake: patch logits of D, (N, 1, h, w), unbounded.
        kind: a key of ``GAN_LOSSES``.
    """
    loss = GAN_LOSSES[kind]
    return loss.real(logits_real) + loss.fake(logits_fake)


PENALTY_WEIGHT = 10.0
"""λ of Gulrajani et al. 2017, Eq. 3, the same in all their experiments."""


def gradient_penalty(judge: Callable[[Tensor], Judgement], real: Tensor, fake: Tensor) -> Tensor:
    """λ (|gradient of D at a point between real and fake| - 1)², averaged over images (Gulrajani et al. 2017, Eq. 3).

    Args:
        judge: D as a function of the image, its condition fixed.
        real, fake: images, (N, C, H, W), float in [-1, 1], without gradient. The points are drawn uniformly, one per
            image, from the global random state that dropout draws from.
    Returns:
        A scalar, 0 or more.
    """
    position = torch.rand(len(real), 1, 1, 1, dtype=real.dtype, device=real.device)
    between = torch.lerp(fake, real, position).requires_grad_()
    (gradient,) = torch.autograd.grad(judge(between).of_images().sum(), between, create_graph=True)
    penalty: Tensor = PENALTY_WEIGHT * ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()
    return penalty


CHARBONNIER_EPS = 1e-3
"""ε of Lai et al. 2017, §3.2."""


def charbonnier_loss(answer: Tensor, goal: Tensor) -> Tensor:
    """The mean of √(d² + ε²) over the differences d, an L1 that is smooth at 0; a scalar."""
    return ((answer - goal).square() + CHARBONNIER_EPS**2).sqrt().mean()


def relativistic_loss(first: Tensor, second: Tensor, kind: str) -> Tensor:
    """How far ``first`` is from being judged more real than ``second``, patch by patch of the same condition; a scalar.

    With ``bce`` it is softplus(-(first - second)), the pairing loss of Jolicoeur-Martineau 2018, §4.2, and of R3GAN
    (Huang et al. 2024, §2). D's loss has the real patch first, that of G its own.

    Args:
        first, second: patch logits of D, (N, 1, h, w), unbounded.
        kind: a key of ``GAN_LOSSES``.
    """
    return GAN_LOSSES[kind].real(first - second)


def squared_gradient(judge: Callable[[Tensor], Judgement], images: Tensor) -> Tensor:
    """|gradient of D|² at ``images``, averaged over them: R1 at real ones, R2 at fakes (Mescheder et al. 2018, Eq. 9).

    D's number of an image is the mean of its logits. The papers have one logit an image; the sum of 30x30 logits
    would have 810,000 times the penalty.

    Args:
        judge: D as a function of the image, its condition fixed.
        images: (N, C, H, W), float32 in [-1, 1]; no gradient goes back into them.
    Returns:
        A scalar, 0 or more, without the factor γ/2.
    """
    here = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(judge(here).of_images().sum(), here, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def feature_matching(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """How far D's layers tell fake from target: 4 times the mean over layers and scales of the mean L1 distance.

    That is pix2pixHD's 1/K Σ_k Σ_i 4/(n+1) mean|D_k^i(x,y) - D_k^i(x,G(x))| for K scales of n+1 layers (Wang et al.
    2018, §3.2, Eq. 4). The real features are constants.
    """
    distances = [l1_loss(ours, theirs.detach()) for ours, theirs in zip(fake, real, strict=True)]
    return 4.0 * torch.stack(distances).mean()
