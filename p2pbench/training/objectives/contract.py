"""The contract of an objective: what G is asked, and what makes the losses of D and G."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from torch import Tensor

from p2pbench.models.judgement import Judgement


class Judged(NamedTuple):
    """One batch, images (N, C, H, W), float32 in [-1, 1], and what D says of it."""

    judge: Callable[[Tensor], Judgement]  # D as a function of the image, all else fixed
    condition: Tensor
    target: Tensor
    fake: Tensor
    of_target: Judgement | None  # None in the loss of G by a D that is updated, unless the objective ``compares``
    of_fake: Judgement


class GeneratorLoss(NamedTuple):
    """Scalars; ``adversarial`` and ``l1`` are unweighted, so they compare across λ, and 0 where there is no such."""

    total: Tensor
    adversarial: Tensor
    l1: Tensor


class Objective(Protocol):
    """A family of losses. Whether it has a D is ``ObjectiveConfig.has_discriminator``, which plans read too."""

    compares: bool  # whether the loss of G needs what D says of the target
    features: bool  # whether it needs the maps of D's layers

    def question(self, condition: Tensor, target: Tensor) -> tuple[tuple[Tensor, ...], Tensor]: ...  # for G; its goal
    def discriminator_loss(self, judged: Judged) -> Tensor: ...  # with its penalties
    def generator_loss(self, answer: Tensor, goal: Tensor, judged: Judged | None) -> GeneratorLoss: ...  # None: no D
