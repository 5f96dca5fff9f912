"""Any generator as the network of a flow: it also sees a point of the path, and its norms are told the time (FiLM:
Perez et al. 2018, §2, as in diffusion models)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from p2pbench.models.residual_unet import LayerNorm2d
from p2pbench.models.transport import Transport

FREQUENCIES, WIDTH = 32, 128
"""Sines of the time, and the width of what is made of them."""


class Clock(nn.Module):
    """The time of each image, from 0 to 1, as a vector: sines and cosines of 1000 t (Vaswani et al. 2017, §3.5)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * FREQUENCIES, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU())
        self.now: Tensor | None = None
        """What the norms of this pass read, (N, WIDTH)."""

    def forward(self, time: Tensor) -> Tensor:
        rates = torch.exp(torch.arange(FREQUENCIES, device=time.device) * (-math.log(1e4) / FREQUENCIES))
        angles = 1000 * time.float().reshape(-1, 1) * rates
        found: Tensor = self.layers(torch.cat([angles.sin(), angles.cos()], dim=1))
        return found


class TimedNorm(nn.Module):
    """norm(h) (1 + γ(t)) + β(t), with γ and β 0 at first."""

    def __init__(self, norm: nn.Module, channels: int, clock: Clock) -> None:
        super().__init__()
        self.norm, self.linear = norm, nn.Linear(WIDTH, 2 * channels)
        self._clock = (clock,)  # no module of this one, whose weights would count for each norm

    def forward(self, h: Tensor) -> Tensor:
        now = self._clock[0].now
        assert now is not None
        scale, shift = self.linear(now)[:, :, None, None].chunk(2, dim=1)
        timed: Tensor = self.norm(h) * (1 + scale) + shift
        return timed


class TimedGenerator(nn.Module):
    """Maps the condition (N, C, H, W), a point (N, C', H, W) and its time (N,) to what a transport asks, (N, C', H, W).

    ``network`` maps C + C' channels to C'. Its Tanh, if it has one, goes: a velocity has no bounds.
    """

    def __init__(self, network: nn.Module, out_channels: int, transport: Transport, random: torch.Generator) -> None:
        """``random`` draws the clock's weights."""
        super().__init__()
        self.network, self.clock = network, Clock()
        self.out_channels, self.transport = out_channels, transport
        for layer in self.clock.layers:
            if isinstance(layer, nn.Linear):
                bound = layer.in_features**-0.5
                nn.init.uniform_(layer.weight, -bound, bound, generator=random)
                nn.init.zeros_(layer.bias)
        for parent in list(network.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Tanh):
                    setattr(parent, name, nn.Identity())
                elif isinstance(child, nn.GroupNorm | LayerNorm2d):
                    channels = child.num_channels if isinstance(child, nn.GroupNorm) else len(child.weight)
                    timed = TimedNorm(child, channels, self.clock)
                    nn.init.zeros_(timed.linear.weight)
                    nn.init.zeros_(timed.linear.bias)
                    setattr(parent, name, timed)

    def forward(self, condition: Tensor, point: Tensor | None = None, time: Tensor | None = None) -> Tensor:
        """Without a point and a time it is asked of zeros at 0, which counts its operations."""
        if point is None:
            point = condition.new_zeros(len(condition), self.out_channels, *condition.shape[2:])
        if time is None:
            time = condition.new_zeros(len(condition))
        self.clock.now = self.clock(time)
        said: Tensor = self.network(torch.cat([point, condition], dim=1))
        self.clock.now = None
        return said
