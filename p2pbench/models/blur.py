"""Anti-aliased downsampling: a fixed low-pass filter before the map is thinned (Zhang 2019, §3)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from p2pbench.models.convolution import Convolution

BINOMIAL = (1.0, 2.0, 1.0)
"""Odd, because the convolution before it is even: that stands half a pixel to the right of its map, as one at stride 2
does, and another even filter would shift each level by half a pixel of the one before."""


class Blur(nn.Module):
    """The binomial filter [1, 2, 1]⊗[1, 2, 1] / 16 at stride 2: maps (N, C, 2h, 2w) to (N, C, h, w).

    The border is repeated, not reflected as in the paper's code, because that is defined for a map of one pixel too.
    """

    kernel_size = (3, 3)
    stride = (2, 2)

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor(BINOMIAL) / sum(BINOMIAL)
        self.filter: Tensor
        self.register_buffer("filter", torch.outer(line, line), persistent=False)

    def forward(self, h: Tensor) -> Tensor:
        channels = h.shape[1]
        kernel = self.filter.to(h.dtype).expand(channels, 1, 3, 3)
        return conv2d(pad(h, (1, 1, 1, 1), mode="replicate"), kernel, stride=2, groups=channels)


def convolution_at_stride_1(in_channels: int, out_channels: int, *, bias: bool) -> list[nn.Module]:
    """A 4x4 convolution that keeps the size of its map, zero-padded by one pixel above and left, two below and right.

    It stands for one at stride 2, whose weights it has; a :class:`Blur` after its activation halves the map.
    """
    return [nn.ZeroPad2d((1, 2, 1, 2)), Convolution(in_channels, out_channels, 4, bias=bias)]
