"""Noise beside the condition of any generator: a vector for each image, the same at every pixel (OASIS: Schönfeld et
al. 2021, §3)."""

import torch
from torch import Tensor, nn


class Noise(nn.Module):
    """Normal noise for conditions (N, C, H, W): (N, channels, H, W), from the global random state that dropout draws
    from. :func:`p2pbench.inference.modes.inference` puts each image's own in its place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, condition: Tensor) -> Tensor:
        vectors = torch.randn(len(condition), self.channels, 1, 1, device=condition.device, dtype=condition.dtype)
        return vectors.expand(-1, -1, *condition.shape[2:])


class NoisyGenerator(nn.Module):
    """Maps a condition (N, C, H, W) to an image, by a ``network`` that also sees ``channels`` of noise, after it."""

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network, self.noise = network, Noise(channels)

    def forward(self, condition: Tensor) -> Tensor:
        image: Tensor = self.network(torch.cat([condition, self.noise(condition)], dim=1))
        return image
