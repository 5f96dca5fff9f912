"""The generator: a U-Net, and without its skips an encoder-decoder (pix2pix §3.2.1, §6.1.1)."""

import torch
from torch import Tensor, nn

from p2pbench.models.attention import SelfAttention
from p2pbench.models.blur import Blur, convolution_at_stride_1
from p2pbench.models.convolution import Convolution
from p2pbench.models.layers import norm_layer, pad_to_multiple, upsample
from p2pbench.models.spade import Spade


def dropout_levels(rule: str, depth: int) -> range:
    """The decoder levels, counted from the bottleneck and from 1, that have dropout.

    ``first-three``: Lua's release at any size. ``middle``: the port's, between the innermost level and the four
    outermost, so 2-4 at 256, 2-3 at 128, 2 at 64.
    """
    return {"first-three": range(1, 4), "middle": range(2, depth - 3), "none": range(0)}[rule]


class UNet(nn.Module):
    """Maps a condition (N, C_in, H, W), float in [-1, 1], to an image (N, C_out, H, W), float in (-1, 1).

    At H = W = ``2**depth`` the bottleneck is 1x1, as in the paper. Sides that are not a multiple of ``2**depth`` are
    padded and cropped back. Unless ``skips`` is false, decoder level i also gets the output of encoder level
    ``depth - i``.

    Later ideas: ``downsampling`` is ``strided`` or ``blur``; ``attention_level`` is the encoder's level, from 0, after
    which there is attention, as there is after the decoder's level whose map is as large; ``spade`` is ``none``, or how
    the condition is shrunk that modulates the decoder's norms.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        ngf: int,
        depth: int,
        skips: bool,
        dropout: str,
        norm: str,
        upsampling: str,
        bias: bool,
        downsampling: str = "strided",
        attention_level: int | None = None,
        spade: str = "none",
    ) -> None:
        super().__init__()
        self.skips = skips
        widths = [ngf * min(2**level, 8) for level in range(depth)]  # C64-C128-C256-C512-C512-... for ngf 64
        with_dropout = dropout_levels(dropout, depth)

        # The first level has no norm, nor has the bottleneck, whose 1x1 map batch norm would zero at batch 1. The port
        # leaves the bias out of every encoder convolution, these two included.
        self.encoder = nn.ModuleList()
        for level, width in enumerate(widths):
            before = in_channels if level == 0 else widths[level - 1]
            norms = norm_layer(norm, width) if 0 < level < depth - 1 else []
            layers: list[nn.Module]
            if downsampling == "blur":  # the activation comes before the filter, because it makes what would alias
                layers = [*convolution_at_stride_1(before, width, bias=bias), *norms, nn.LeakyReLU(0.2), Blur()]
            else:
                layers = [] if level == 0 else [nn.LeakyReLU(0.2)]
                layers += [Convolution(before, width, 4, stride=2, padding=1, bias=bias), *norms]
            if level == attention_level:
                layers.append(SelfAttention(width))
            self.encoder.append(nn.Sequential(*layers))

        self.decoder = nn.ModuleList()
        for level in range(1, depth + 1):
            before = widths[depth - level] * (2 if skips and level > 1 else 1)
            layers = [nn.ReLU()]
            if level == depth:
                layers += [*upsample(upsampling, before, out_channels, bias=True), nn.Tanh()]
            else:
                width = widths[depth - 1 - level]
                norms = norm_layer(norm, width, affine=spade == "none")
                if spade != "none":
                    how = {"shrink": 2 ** (depth - level), "hidden": 2 * ngf}
                    norms = [Spade(norms[0], in_channels, width, kind=spade, **how)]
                layers += [*upsample(upsampling, before, width, bias=bias), *norms]
                if level in with_dropout:
                    layers.append(nn.Dropout(0.5))  # the only noise z (§3.1)
                if attention_level is not None and level == depth - 1 - attention_level:
                    layers.append(SelfAttention(width))
            self.decoder.append(nn.Sequential(*layers))

    def forward(self, condition: Tensor) -> Tensor:
        condition, (rows, columns) = pad_to_multiple(condition, 2 ** len(self.encoder))
        h = condition
        skips: list[Tensor] = []
        for down in self.encoder:
            h = down(h)  # level k: (N, widths[k], H / 2**(k + 1), W / 2**(k + 1))
            skips.append(h)
        skips.pop()  # the bottleneck is the decoder's own input
        for level, up in enumerate(self.decoder):
            if self.skips and level > 0:
                h = torch.cat([skips.pop(), h], dim=1)
            for layer in up:  # type: ignore[attr-defined]
                h = layer(h, condition) if isinstance(layer, Spade) else layer(h)
        return h[..., rows, columns]
