"""U-Nets of residual blocks that later work on regression uses: NAFNet's (Chen et al. 2022) and ConvNeXt's (Liu et al.
2022), as wide as it takes to have the parameters of pix2pix's U-Net."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn, ones, zeros
from torch.nn.functional import layer_norm

from p2pbench.models.layers import pad_to_multiple


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of each pixel, with scale and shift: maps (N, C, h, w) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(ones(channels)), nn.Parameter(zeros(channels))

    def forward(self, h: Tensor) -> Tensor:
        return layer_norm(h.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6).permute(0, 3, 1, 2)


class SimpleGate(nn.Module):
    """The first half of the channels times the second: (N, 2C, h, w) to (N, C, h, w) (NAFNet §4)."""

    def forward(self, h: Tensor) -> Tensor:
        first, second = h.chunk(2, dim=1)
        return first * second


class ChannelAttention(nn.Module):
    """h times a 1x1 convolution of its mean over the whole map (NAFNet §4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Conv2d(channels, channels, 1)

    def forward(self, h: Tensor) -> Tensor:
        scale: Tensor = self.scale(h.mean(dim=(2, 3), keepdim=True))
        return h * scale


class NafBlock(nn.Module):
    """NAFNet's block: two residuals, each times a scale a channel that starts at 0; 7C² + 33C weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.spatial = nn.Sequential(
            LayerNorm2d(channels), nn.Conv2d(channels, wide, 1), nn.Conv2d(wide, wide, 3, padding=1, groups=wide),
            SimpleGate(), ChannelAttention(channels), nn.Conv2d(channels, channels, 1),
        )  # fmt: skip
        self.mixing = nn.Sequential(
            LayerNorm2d(channels), nn.Conv2d(channels, wide, 1), SimpleGate(), nn.Conv2d(channels, channels, 1)
        )
        self.spatial_scale = nn.Parameter(zeros(channels, 1, 1))
        self.mixing_scale = nn.Parameter(zeros(channels, 1, 1))

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.spatial_scale * self.spatial(h)
        mixed: Tensor = h + self.mixing_scale * self.mixing(h)
        return mixed


class ConvNextBlock(nn.Module):
    """ConvNeXt's block (§2), its residual times a scale a channel of 1e-6 at first; 8C² + 58C weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels), LayerNorm2d(channels),
            nn.Conv2d(channels, 4 * channels, 1), nn.GELU(), nn.Conv2d(4 * channels, channels, 1),
        )  # fmt: skip
        self.scale = nn.Parameter(1e-6 * ones(channels, 1, 1))

    def forward(self, h: Tensor) -> Tensor:
        output: Tensor = h + self.scale * self.residual(h)
        return output


class ResidualUNet(nn.Module):
    """Maps a condition (N, C_in, H, W), float in [-1, 1], to an image (N, C_out, H, W), float in (-1, 1).

    Blocks on maps of ``width``, 2 ``width``, ... channels, each half as large; what the encoder made of a size is added
    where the decoder comes back to it. Unlike NAFNet, it does not add its input to its output, which is another
    domain's here, and it ends with Tanh, as the other generators do.

    Args:
        encoder, decoder: how many blocks there are of each size, the largest first; the smallest is the encoder's.
        stem: how many times smaller than the image the largest map is, 1 or 2.
    """

    keeps_biases = True

    def __init__(
        self, in_channels: int, out_channels: int, *, width: int, block: Callable[[int], nn.Module],
        encoder: Sequence[int], decoder: Sequence[int], stem: int,
    ) -> None:  # fmt: skip
        super().__init__()
        widths = [width * 2**level for level in range(len(encoder))]
        self.multiple = stem * 2 ** (len(encoder) - 1)

        def stage(channels: int, count: int) -> nn.Sequential:
            return nn.Sequential(*(block(channels) for _ in range(count)))

        self.first = nn.Conv2d(in_channels, width, 3 if stem == 1 else stem, stride=stem, padding=1 if stem == 1 else 0)
        self.encoder = nn.ModuleList(map(stage, widths, encoder))
        self.down = nn.ModuleList(nn.Conv2d(before, after, 2, stride=2) for before, after in pairwise(widths))
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, 4 * after, 1, bias=False), nn.PixelShuffle(2))
            for before, after in pairwise(reversed(widths))
        )
        self.decoder = nn.ModuleList(map(stage, reversed(widths[:-1]), reversed(decoder)))
        self.last = nn.Sequential(nn.Conv2d(width, stem**2 * out_channels, 3, padding=1), nn.PixelShuffle(stem))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw every convolution as PyTorch does and NAFNet leaves it, U(-1/√n, 1/√n) with n inputs: at the paper's
        N(0, 0.02) a depthwise convolution, a gate and a mean in a row let next to nothing through."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                limit = module.weight[0].numel() ** -0.5
                for parameter in (module.weight, module.bias):
                    if parameter is not None:
                        nn.init.uniform_(parameter, -limit, limit, generator=generator)

    def forward(self, condition: Tensor) -> Tensor:
        condition, (rows, columns) = pad_to_multiple(condition, self.multiple)
        h = self.encoder[0](self.first(condition))  # (N, width, H / stem, W / stem)
        skips = []
        for down, stage in zip(self.down, self.encoder[1:], strict=True):
            skips.append(h)
            h = stage(down(h))
        for up, stage in zip(self.up, self.decoder, strict=True):
            h = stage(up(h) + skips.pop())
        image: Tensor = self.last(h).tanh()
        return image[..., rows, columns]


BLOCKS: dict[str, Callable[[int], nn.Module]] = {"nafnet": NafBlock, "convnext_unet": ConvNextBlock}
ENCODERS = {"nafnet": (1, 1, 1, 28, 1), "convnext_unet": (2, 2, 4, 2)}
DECODERS = {"nafnet": (1, 1, 1, 1), "convnext_unet": (2, 2, 4)}
STEMS = {"nafnet": 1, "convnext_unet": 2}
"""NAFNet as its authors have it for deblurring; ConvNeXt's blocks after a stem that halves the image, where the
classifier's quarters it: on one, a copy at a quarter of the size is the most that a skip could bring."""


def build_residual_unet(name: str, in_channels: int, out_channels: int, *, parameters: int) -> ResidualUNet:
    """The network ``name`` of the width whose number of parameters is nearest to ``parameters``."""
    width = 1
    while count_parameters(name, width + 1, in_channels, out_channels) <= parameters:
        width += 1
    width = min(
        (width, width + 1), key=lambda w: abs(count_parameters(name, w, in_channels, out_channels) - parameters)
    )
    return ResidualUNet(
        in_channels, out_channels, width=width, block=BLOCKS[name], encoder=ENCODERS[name], decoder=DECODERS[name],
        stem=STEMS[name],
    )  # fmt: skip


def count_parameters(name: str, width: int, in_channels: int, out_channels: int) -> int:
    """Parameters of the network ``name`` by formula, from its shape alone."""
    square, line = {"nafnet": (7, 33), "convnext_unet": (8, 58)}[name]  # of a block, C² and C
    stem, blocks = STEMS[name], [sum(pair) for pair in zip(ENCODERS[name], (*DECODERS[name], 0), strict=True)]
    total = width * (in_channels * (9 if stem == 1 else stem**2) + 1) + stem**2 * out_channels * (9 * width + 1)
    for level, count in enumerate(blocks):
        c = width * 2**level
        total += count * (square * c**2 + line * c)
        total += 16 * c**2 + 2 * c if level < len(blocks) - 1 else 0  # down and up again
    return total
