"""An exponential moving average of G's weights (StyleGAN2-ADA, ``training_loop.py``; its ramp as in edm's)."""

import copy
import math

import torch
from torch import Tensor, nn

from p2pbench.config.sections import EMA_RAMP


class Average(nn.Module):
    """θ̄ <- β θ̄ + (1 - β) θ after each update of G, where β halves what is older than ``half_life`` images.

    Running statistics and other buffers are not averaged but those of G.
    """

    images: Tensor

    def __init__(self, generator: nn.Module, half_life: float) -> None:
        """The average of ``generator`` over what it will be, with a ``half_life`` in images."""
        super().__init__()
        self.network = copy.deepcopy(generator).requires_grad_(False)
        self.half_life = half_life
        # Images seen, on the device: a captured step would freeze a Python number.
        self.register_buffer("images", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, generator: nn.Module, n_images: int) -> None:
        """Take in the weights of ``generator`` after an update on ``n_images`` images."""
        half_life = (EMA_RAMP * self.images).clamp(max=self.half_life)
        share = -torch.expm1(-n_images * math.log(2) / half_life)  # 1 - β, all of it at the first update
        mine: list[Tensor] = list(self.network.parameters())
        moves: list[Tensor] = list(torch._foreach_sub(list(generator.parameters()), mine))
        torch._foreach_mul_(moves, share)
        torch._foreach_add_(mine, moves)
        for own, given in zip(self.network.buffers(), generator.buffers(), strict=True):
            own.copy_(given)
        self.images += n_images
