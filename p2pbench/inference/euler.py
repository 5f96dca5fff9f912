"""A flow's network as a generator: Euler's steps along its path, ``scoring.inference: euler-N``."""

import torch
from torch import Tensor, nn

from p2pbench.models.timed import TimedGenerator


class EulerSampler(nn.Module):
    """Maps conditions (N, C, H, W) to images (N, C', H, W), clipped to [-1, 1], in ``steps`` passes."""

    def __init__(self, network: TimedGenerator, steps: int, random: list[torch.Generator]) -> None:
        super().__init__()
        self.network, self.steps = network, steps
        self.random = random
        """One for each image of the current batch: its noise depends neither on the batch nor on the device."""

    def forward(self, condition: Tensor) -> Tensor:
        shape = (self.network.out_channels, *condition.shape[2:])

        def draw() -> Tensor:
            return torch.stack([torch.randn(shape, generator=one) for one in self.random]).to(condition)

        transport = self.network.transport
        point = transport.start(condition, draw)
        for step in range(self.steps):
            time, then = step / self.steps, (step + 1) / self.steps
            said = self.network(condition, point, torch.full_like(condition[:, 0, 0, 0], time))
            point = transport.step(point, said, time, then, draw)
        return point.clamp(-1.0, 1.0)
