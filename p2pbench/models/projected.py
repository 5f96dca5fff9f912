"""Four small discriminators on the features of a frozen, pretrained network, mixed at random (Projected GANs: Sauer et
al. 2021, §3). The paper's network is an EfficientNet; here it is SqueezeNet 1.1, and the scores are AlexNet's."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from p2pbench.models.convolution import Convolution
from p2pbench.models.judgement import Judgement, judgement
from p2pbench.models.layers import initialise, norm_layer
from p2pbench.models.patchgan import PatchGAN

TAPS, WIDTHS = (1, 4, 7, 12), (64, 128, 256, 512)
"""The layers of SqueezeNet's ``features`` whose maps are taken, at about 1/2, 1/4, 1/8 and 1/16 of the image's sides,
and their channels. Those of the authors' network begin at 1/4, and are doubled when mixed: D's see the same sizes."""
LEAST_SIDE = 224
"""Images with a shorter side are enlarged to it, as in the authors' code: the network was trained on such."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, of images from 0 to 1, by which SqueezeNet's input was scaled."""
SEEN_WHOLE = 256
"""Up to this side each logit depends on the whole image, but for a few rows and columns at its border."""


class Projection(nn.Module):
    """The maps that the small discriminators see, with n, n, 2n and 4n channels for n = ``width``, the finest first.

    z_k = W_k (V_k h_k + ↑ z_k+1), where h_k are SqueezeNet's maps, V_k 1x1 convolutions to n, 2n, 4n and 8n channels, ↑
    enlarges to the size of the next finer map, and W_k are 1x1 convolutions. That is the authors' code but for a last
    doubling; in the paper W_k is 3x3. Nothing of it is trained: its weights are buffers, and so in the checkpoint.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, width: int) -> None:
        from torchvision.models import squeezenet1_1

        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # of random weights, which serve to count and to time
            self.layers = squeezenet1_1(weights=None).features[: TAPS[-1] + 1]
        inner = [width * 2**k for k in range(4)]
        self.channels = nn.ModuleList(nn.Conv2d(*sides, 1) for sides in zip(WIDTHS, inner, strict=True))
        outer = [width, *inner[:-1]]
        self.scales = nn.ModuleList(nn.Conv2d(*sides, 1) for sides in zip(inner, outer, strict=True))
        self.register_buffer("shift", 2 * torch.tensor(MEAN)[:, None, None] - 1)
        self.register_buffer("scale", 2 * torch.tensor(STD)[:, None, None])
        _freeze(self)
        self.train()

    def train(self, mode: bool = True) -> Projection:  # noqa: ARG002
        """Stay as for inference: no norm or dropout of a frozen network wakes."""
        return super().train(False)

    def draw(self, generator: torch.Generator) -> None:
        """Draw the random mixing, as PyTorch draws a convolution that reads C channels: uniformly, within 1/√C."""
        for convolution in (*self.channels, *self.scales):
            bound = convolution.in_channels**-0.5
            for tensor in (convolution.weight, convolution.bias):
                nn.init.uniform_(tensor, -bound, bound, generator=generator)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Of images (N, 3, H, W), float in [-1, 1]."""
        if (side := min(images.shape[2:])) < LEAST_SIDE:
            size = [round(length * LEAST_SIDE / side) for length in images.shape[2:]]
            images = interpolate(images, size, mode="bilinear", align_corners=False)
        h = (images - self.shift) / self.scale
        mixed: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            h = layer(h)
            if index in TAPS:
                mixed.append(self.channels[len(mixed)](h))
        found: list[Tensor] = []
        for own, mix in zip(reversed(mixed), reversed(self.scales), strict=True):
            coarser = interpolate(found[0], own.shape[2:], mode="bilinear", align_corners=True) if found else 0.0
            found.insert(0, mix(own + coarser))
        return found


class Projected(nn.Module):
    """Maps (N, C, H, W), whose last three channels are the image, to a map of logits of each small discriminator.

    ``of_pair``, where there is one, judges all the channels, condition and image, and its map is the first: the paper
    has no condition, and a network of photographs is not asked what it makes of a label map.
    """

    def __init__(self, of_pair: nn.Module | None, *, ndf: int, norm: str, bias: bool) -> None:
        super().__init__()
        self.of_pair = of_pair
        self.projection = Projection(ndf)
        widths = [ndf, ndf, 2 * ndf, 4 * ndf, 8 * ndf]
        self.judges = nn.ModuleList(_judge(widths[k:], norm=norm, bias=bias) for k in range(4))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw every weight but the pretrained ones."""
        initialise(self, generator)
        self.projection.draw(generator)

    def see_through(self, features: Mapping[str, Tensor]) -> None:
        """Take over the pretrained weights of SqueezeNet's ``features``, by name."""
        self.projection.layers.load_state_dict(features)

    def forward(self, images: Tensor, features: bool = False) -> Judgement:
        maps = self.projection(images[:, -3:])
        said = [judgement(judge, h, features=features) for judge, h in zip(self.judges, maps, strict=True)]
        if self.of_pair is not None:
            said.insert(0, judgement(self.of_pair, images, features=features))
        lent = tuple(one for each in said for one in each.features)
        return Judgement(tuple(one for each in said for one in each.logits), lent)


def _judge(widths: list[int], *, norm: str, bias: bool) -> PatchGAN:
    """A small discriminator of a map with ``widths[0]`` channels, which it halves once for each width after that."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [Convolution(before, after, 4, stride=2, padding=1, bias=bias), *norm_layer(norm, after)]
        layers.append(nn.LeakyReLU(0.2))
    return PatchGAN(*layers, nn.Conv2d(widths[-1], 1, 4, bias=False))


def _freeze(network: nn.Module) -> None:
    """Make every parameter a buffer: no optimiser, initialisation or constraint of parameters finds it."""
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach())
