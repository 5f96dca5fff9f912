"""Flows and the Brownian bridge: G is asked for the way to the target at a random point of a path to it."""

import torch
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss

from p2pbench.models.transport import Bridge, Transport
from p2pbench.training.objectives.contract import GeneratorLoss, Judged


class Transported:
    """E |v(x_t, t, x) - goal|², t uniform for each image (Lipman et al. 2023, Eq. 9); of a bridge the L1 norm (BBDM,
    Li et al. 2023, Eq. 12 and its code). Of a network that says the target all times weigh alike. There is no D."""

    compares = features = False

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def question(self, condition: Tensor, target: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        def draw() -> Tensor:
            return torch.randn_like(target)

        time = torch.rand(len(target), 1, 1, 1, device=target.device)
        start = self.transport.start(condition, draw)
        point = self.transport.point(start, target, time, draw)
        return (condition, point, time.flatten()), self.transport.goal(start, target, point)

    def discriminator_loss(self, judged: Judged) -> Tensor:
        raise AssertionError(f"a flow has no discriminator, and so nothing is {judged}")

    def generator_loss(self, answer: Tensor, goal: Tensor, judged: Judged | None) -> GeneratorLoss:
        assert judged is None
        loss = l1_loss if isinstance(self.transport, Bridge) else mse_loss
        total = loss(answer.float(), goal)
        return GeneratorLoss(total, answer.new_zeros(()), l1_loss(answer.float(), goal))
