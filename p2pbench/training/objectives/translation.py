"""pix2pix's own family: G maps the condition to the target at once, and D, where there is one, judges it (Eq. 4)."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from p2pbench.config.schema import ObjectiveConfig
from p2pbench.training.losses import (
    GAN_LOSSES,
    charbonnier_loss,
    discriminator_loss,
    feature_matching,
    gradient_penalty,
    relativistic_loss,
    squared_gradient,
)
from p2pbench.training.objectives.contract import GeneratorLoss, Judged
from p2pbench.training.objectives.cutmix import CutMix

REGRESSIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"l2": mse_loss, "charbonnier": charbonnier_loss}
"""The objectives without D besides L1, each by itself."""


def halves(objective: ObjectiveConfig) -> bool:
    """Whether D's loss is half the sum of its terms, penalties included, whose published weights stand beside the sum.

    The port halves it so (§3.3: "we divide the objective by 2 while optimizing D"). A pair's one term is not halved.
    """
    return objective.discriminator_loss == "mean" and objective.pairing == "absolute"


class Translation:
    """Adversarial plus λ times L1, and the terms that later papers added, as far as ``objective`` has them."""

    def __init__(
        self, objective: ObjectiveConfig, perceptual: nn.Module | None = None, mixture: CutMix | None = None
    ) -> None:
        self.objective, self.perceptual, self.mixture = objective, perceptual, mixture
        self.features = objective.lambda_features > 0
        self.compares = self.features or objective.pairing == "relativistic"

    def question(self, condition: Tensor, target: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        return (condition,), target

    def discriminator_loss(self, judged: Judged) -> Tensor:
        objective, real, fake = self.objective, judged.of_target, judged.of_fake
        assert real is not None
        maps = zip(real.logits, fake.logits, strict=True)
        if objective.pairing == "relativistic":
            loss = fake.weight * _total(relativistic_loss(*pair, objective.adversarial) for pair in maps)
        else:
            loss = fake.weight * _total(discriminator_loss(*pair, objective.adversarial) for pair in maps)
        if self.mixture is not None:  # a mixture stands for two images
            loss = self.mixture.in_place_of(loss, judged, weight=2 * fake.weight)
        if objective.adversarial == "wgan-gp":
            loss = loss + gradient_penalty(judged.judge, judged.target, judged.fake.detach())
        for gamma, images in ((objective.r1, judged.target), (objective.r2, judged.fake)):
            if gamma > 0:
                loss = loss + gamma / 2 * squared_gradient(judged.judge, images)
        return 0.5 * loss if halves(objective) else loss

    def generator_loss(self, answer: Tensor, goal: Tensor, judged: Judged | None) -> GeneratorLoss:
        objective = self.objective
        adversarial = answer.new_zeros(())
        if judged is not None:
            adversarial = judged.of_fake.weight * self._adversarial(judged)
        # The L1 distance is always reported; it is part of the objective only where its name says so.
        l1 = l1_loss(answer.float(), goal)
        total = adversarial + objective.lambda_l1 * l1 if objective.has_l1 else adversarial
        if objective.name in REGRESSIONS:
            total = total + REGRESSIONS[objective.name](answer, goal)
        if judged is not None and self.features:
            assert judged.of_target is not None
            matching = feature_matching(judged.of_target.features, judged.of_fake.features)
            total = total + objective.lambda_features * matching
        if self.perceptual is not None:
            total = total + objective.lambda_perceptual * self.perceptual(answer, goal)
        return GeneratorLoss(total, adversarial, l1)

    def _adversarial(self, judged: Judged) -> Tensor:
        kind, fakes = self.objective.adversarial, judged.of_fake.logits
        if self.objective.pairing == "absolute":
            return _total(GAN_LOSSES[kind].generator(fake) for fake in fakes)
        assert judged.of_target is not None
        pairs = zip(fakes, judged.of_target.logits, strict=True)
        return _total(relativistic_loss(fake, real.detach(), kind) for fake, real in pairs)


def _total(losses: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(losses)).sum()
