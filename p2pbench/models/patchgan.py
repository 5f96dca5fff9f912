"""The discriminators: PixelGAN, PatchGAN and ImageGAN (pix2pix §3.2.2, §6.1.2)."""

from itertools import pairwise

from torch import Tensor, nn

from p2pbench.models.attention import SelfAttention
from p2pbench.models.blur import Blur, convolution_at_stride_1
from p2pbench.models.convolution import Convolution
from p2pbench.models.judgement import Judgement
from p2pbench.models.layers import norm_layer


class PatchGAN(nn.Sequential):
    """A chain of layers that maps (N, C, H, W) to a map of logits (N, 1, h, w)."""

    def forward(self, images: Tensor, features: bool = False) -> Tensor | Judgement:
        """The logits; with ``features`` also the map after each activation, which pix2pixHD's loss matches (§3.2)."""
        maps = []
        for layer in self:
            images = layer(images)
            if features and isinstance(layer, nn.LeakyReLU):
                maps.append(images)
        return Judgement((images,), tuple(maps)) if features else images


def build_patchgan(
    in_channels: int, *, ndf: int, n_layers: int, norm: str, bias: bool, downsampling: str = "strided",
    attention_level: int | None = None,
) -> PatchGAN:  # fmt: skip
    """A discriminator with ``n_layers`` stride-2 layers: maps (N, C, S, S) to a map of logits (N, 1, h, h).

    Each logit classifies a patch of ``receptive_field`` pixels: 16, 34, 70, 142, 286 for 1 to 5 layers. With 0 layers
    it is PixelGAN, made of 1x1 convolutions. Of later papers: maps are thinned by a ``blur``, or there is attention
    after the layer ``attention_level``, counted from 0.
    """
    if n_layers == 0:
        return _pixelgan(in_channels, ndf=ndf, norm=norm, bias=bias)
    widths = [in_channels, *(ndf * min(2**level, 8) for level in range(n_layers + 1))]
    layers: list[nn.Module] = []
    for level, (before, width) in enumerate(pairwise(widths)):
        first, halves = level == 0, level < n_layers
        blurs = halves and downsampling == "blur"
        if blurs:
            layers += convolution_at_stride_1(before, width, bias=first or bias)
        else:
            layers.append(Convolution(before, width, 4, stride=2 if halves else 1, padding=1, bias=first or bias))
        if not first:
            layers += norm_layer(norm, width)
        layers.append(nn.LeakyReLU(0.2))
        layers += [Blur()] if blurs else []
        layers += [SelfAttention(width)] if level == attention_level else []
    layers.append(nn.Conv2d(widths[-1], 1, 4, stride=1, padding=1))
    return PatchGAN(*layers)


def _pixelgan(in_channels: int, *, ndf: int, norm: str, bias: bool) -> PatchGAN:
    # The port has a bias in the first convolution alone, the last one included.
    return PatchGAN(
        nn.Conv2d(in_channels, ndf, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(ndf, 2 * ndf, 1, bias=bias),
        *norm_layer(norm, 2 * ndf),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * ndf, 1, 1, bias=bias),
    )


def receptive_field(network: nn.Module) -> int | None:
    """Side in input pixels of the square that one output value depends on, from the convolutions and filters of a
    chain; None with attention, through which it depends on all."""
    field = 1
    for module in reversed(list(network.modules())):
        if isinstance(module, SelfAttention):
            return None
        if isinstance(module, nn.Conv2d | Blur):
            field = (field - 1) * module.stride[0] + module.kernel_size[0]
    return field
