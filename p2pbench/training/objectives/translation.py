"""pix2pix's own family: G maps the condition to the target at once, and D, where there is one, judges it (Eq. 4)."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import l1_loss

from p2pbench.config.schema import ObjectiveConfig
from p2pbench.training.losses import GAN_LOSSES, discriminator_loss, gradient_penalty
from p2pbench.training.objectives.contract import GeneratorLoss, Judged


class Translation:
    """Adversarial plus λ times L1, as far as ``objective`` has them."""

    compares = features = False

    def __init__(self, objective: ObjectiveConfig) -> None:
        self.objective = objective

    def question(self, condition: Tensor, target: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        return (condition,), target

    def discriminator_loss(self, judged: Judged) -> Tensor:
        objective, real, fake = self.objective, judged.of_target, judged.of_fake
        assert real is not None
        maps = zip(real.logits, fake.logits, strict=True)
        loss = fake.weight * _total(
            discriminator_loss(*pair, objective.discriminator_loss, objective.adversarial) for pair in maps
        )
        if objective.adversarial == "wgan-gp":
            loss = loss + gradient_penalty(judged.judge, judged.target, judged.fake.detach())
        return loss

    def generator_loss(self, answer: Tensor, goal: Tensor, judged: Judged | None) -> GeneratorLoss:
        objective = self.objective
        adversarial = answer.new_zeros(())
        if judged is not None:
            of_generator = GAN_LOSSES[objective.adversarial].generator
            adversarial = judged.of_fake.weight * _total(of_generator(logits) for logits in judged.of_fake.logits)
        # The L1 distance is always reported; it is part of the objective only where its name says so.
        l1 = l1_loss(answer.float(), goal)
        total = adversarial + objective.lambda_l1 * l1 if objective.has_l1 else adversarial
        return GeneratorLoss(total, adversarial, l1)


def _total(losses: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(losses)).sum()
