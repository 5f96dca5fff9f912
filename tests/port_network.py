"""The U-Net nested as the PyTorch port nests it, written here anew: what its weights are held against."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class Nested(nn.Module):
    """One level of the port's U-Net, the levels below it inside."""

    def __init__(self, outer: int, inner: int, below: nn.Module | None, norm: str, *, top: int = 0) -> None:
        super().__init__()
        self.top = bool(top)
        bias = norm == "instance"

        def normed(channels: int) -> nn.Module:
            return nn.BatchNorm2d(channels) if norm == "batch" else nn.InstanceNorm2d(channels)

        down = nn.Conv2d(top or outer, inner, 4, 2, 1, bias=bias)
        wide = inner if below is None else 2 * inner
        up = nn.ConvTranspose2d(wide, outer, 4, 2, 1, bias=bias or self.top)
        leak, rise = nn.LeakyReLU(0.2, inplace=True), nn.ReLU(inplace=True)
        if self.top:
            assert below is not None
            self.model = nn.Sequential(down, below, rise, up, nn.Tanh())
        elif below is None:
            self.model = nn.Sequential(leak, down, rise, up, normed(outer))
        else:
            self.model = nn.Sequential(leak, down, normed(inner), below, rise, up, normed(outer), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.model(x)
        return y if self.top else torch.cat([x, y], 1)


class Port(nn.Module):
    def __init__(self, depth: int, ngf: int, norm: str, channels: tuple[int, int]) -> None:
        super().__init__()
        widths = [ngf * min(2**level, 8) for level in range(depth)]
        level: nn.Module | None = None
        for outer, inner in reversed(list(pairwise(widths))):
            level = Nested(outer, inner, level, norm)
        self.model = Nested(channels[1], ngf, level, norm, top=channels[0])

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.model(x)
        return y


def trained(network: nn.Module) -> nn.Module:
    """With weights, statistics, scales and shifts that no initialisation gives."""
    random = torch.Generator().manual_seed(0)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=random) * 0.4 + (0.1 if tensor.dim() == 1 else -0.2))
    return network.eval()
