"""Building blocks of the networks: normalisation, upsampling, padding, initialisation (pix2pix §6.1)."""

from math import gcd

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import is_parametrized, register_parametrization

from p2pbench.models.attention import SelfAttention
from p2pbench.models.convolution import Convolution, TransposedConvolution


def norm_layer(kind: str, channels: int, *, affine: bool = True) -> list[nn.Module]:
    """Normalisation of a map with ``channels`` channels, as a list of one layer or none.

    All kinds have scale and shift (unless ``affine`` is false), so that they differ only in whose
    statistics they use.
    """
    if kind == "none":
        return []
    if kind == "group":  # up to 32 groups of at least 4 channels, as in edm
        return [nn.GroupNorm(gcd(channels, max(1, min(32, channels // 4))), channels, affine=affine)]
    return [(nn.BatchNorm2d if kind == "batch" else nn.InstanceNorm2d)(channels, affine=affine)]


def bias_before_norm(bias_rule: str, norm: str) -> bool:
    """Whether convolutions before a norm have a bias: always in Lua's release, not with batch norm in the port."""
    return bias_rule == "zeroed" or norm != "batch"


def upsample(kind: str, in_channels: int, out_channels: int, *, bias: bool) -> list[nn.Module]:
    """Layers that map (N, in_channels, h, w) to (N, out_channels, 2h, 2w).

    ``transposed`` is the paper's 4x4 transposed convolution; ``nearest`` and ``bilinear`` resize and then convolve 3x3
    (Odena et al. 2016, against checkerboards); ``pixel-shuffle`` convolves 3x3 to four times the channels and
    rearranges them (Shi et al. 2016).
    """
    if kind == "transposed":
        return [TransposedConvolution(in_channels, out_channels, 4, stride=2, padding=1, bias=bias)]
    if kind == "pixel-shuffle":
        return [Convolution(in_channels, 4 * out_channels, 3, padding=1, bias=bias), nn.PixelShuffle(2)]
    corners = False if kind == "bilinear" else None
    resize = nn.Upsample(scale_factor=2, mode=kind, align_corners=corners)
    return [resize, Convolution(in_channels, out_channels, 3, padding=1, bias=bias)]


def pad_to_multiple(images: Tensor, multiple: int) -> tuple[Tensor, tuple[slice, slice]]:
    """Repeat the border until both sides of (N, C, H, W) are multiples of ``multiple``.

    Returns:
        The padded images, or the images themselves where no padding is needed, and the rows and columns of the
        original. The border is repeated, not reflected, because that is defined for a border wider than the image too.
    """
    height, width = images.shape[-2:]
    below, right = -height % multiple, -width % multiple
    top, left = below // 2, right // 2
    inside = (slice(top, top + height), slice(left, left + width))
    if not (below or right):
        return images, inside
    return pad(images, (left, right - left, top, below - top), mode="replicate"), inside


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw every weight, in place: N(0, 0.02); the scale of a norm N(1, 0.02); every bias and shift is 0 (§6.2).

    The draws come from ``generator`` alone, so that two networks of one shape and one seed start alike. Attention,
    which starts as the identity, is drawn last: the rest of its network starts as it does without. What has no
    parameters, because it is frozen, stays.
    """
    attention = {part for m in network.modules() if isinstance(m, SelfAttention) for part in m.modules()}
    for module in sorted(network.modules(), key=attention.__contains__):
        if not any(True for _ in module.parameters(recurse=False)):
            continue
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02, generator=generator)
        elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm):
            nn.init.normal_(module.weight, 1.0, 0.02, generator=generator)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class SpectralNorm(_SpectralNorm):
    """PyTorch's parametrisation, in float32 also where the network runs in bf16: autocast would round its vectors."""

    def forward(self, weight: Tensor) -> Tensor:
        if weight.is_meta or not torch.is_autocast_enabled(weight.device.type):
            return super().forward(weight)
        with torch.autocast(weight.device.type, enabled=False):
            return super().forward(weight)


def apply_spectral_norm(network: nn.Module, seed: int) -> None:
    """Divide the weight of every convolution that is not frozen by its largest singular value, in place (Miyato et al.
    2018).

    Call it after :func:`initialise`; the power iteration starts from ``seed``.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in network.modules():
            if (
                isinstance(module, nn.Conv2d)
                and isinstance(module.weight, nn.Parameter)
                and not is_parametrized(module)
            ):
                register_parametrization(module, "weight", SpectralNorm(module.weight))


def convolution_biases(network: nn.Module) -> list[nn.Parameter]:
    """The biases of convolutions, which Lua's release sets to zero before each update; not those that later ideas add,
    whose blocks say ``keeps_biases``."""
    kept = {part for m in network.modules() if getattr(m, "keeps_biases", False) for part in m.modules()}
    found = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    convolutions = [module for module in found if module not in kept]
    return [module.bias for module in convolutions if isinstance(module.bias, nn.Parameter)]
