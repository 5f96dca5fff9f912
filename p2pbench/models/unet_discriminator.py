"""A discriminator that is a U-Net: it judges the image and each of its pixels (Schönfeld et al. 2020, §3.1); or gives
each pixel a class (OASIS: Schönfeld et al. 2021, §3)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu

from p2pbench.models.judgement import Judgement
from p2pbench.models.layers import norm_layer, pad_to_multiple

MOST_HALVINGS = 6


def halvings(side: int) -> int:
    """How often a discriminator halves images whose shorter side is ``side``, 16 or more: to 4 to 7 pixels."""
    return min(MOST_HALVINGS, side.bit_length() - 3)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a 1x1 one, on a map that is halved after (``down``) or doubled before (``up``).

    Maps (N, C, h, w) to (N, C', h/2, w/2) or (N, C', 2h, 2w); 10 C C' + 9 C'² weights, biases and norms aside.
    """

    def __init__(self, before: int, after: int, resize: str, *, norm: str, bias: bool, activate: bool = True) -> None:
        super().__init__()
        self.resize, self.activate = resize, activate
        self.first = nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=bias), *norm_layer(norm, after))
        self.second = nn.Sequential(nn.Conv2d(after, after, 3, padding=1, bias=bias), *norm_layer(norm, after))
        self.shortcut = nn.Conv2d(before, after, 1, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        residual = leaky_relu(h, 0.2) if self.activate else h
        if self.resize == "up":
            h, residual = (interpolate(t, scale_factor=2.0, mode="nearest") for t in (h, residual))
        output: Tensor = self.shortcut(h) + self.second(leaky_relu(self.first(residual), 0.2))
        return avg_pool2d(output, 2) if self.resize == "down" else output


class UNetDiscriminator(nn.Module):
    """Maps (N, C, H, W) to logits of the image, (N, 1, 1, 1), and of each pixel, (N, 1, H, W), a half of the loss each;
    or, of ``classes``, to logits of each pixel alone, (N, classes, H, W).

    Sides that cannot be halved ``depth`` times are padded and cropped back.
    """

    def __init__(
        self, in_channels: int, *, ndf: int, depth: int, norm: str, bias: bool, classes: int | None = None
    ) -> None:
        super().__init__()
        widths = [in_channels, *(ndf * min(2**level, 8) for level in range(depth))]
        given = {"norm": norm, "bias": bias}
        self.encoder = nn.ModuleList(
            ResidualBlock(widths[k], widths[k + 1], "down", activate=k > 0, **given)  # type: ignore[arg-type]
            for k in range(depth)
        )
        self.of_image = None if classes else nn.Conv2d(widths[-1], 1, 1)
        self.decoder = nn.ModuleList()
        for k in range(depth, 0, -1):  # above the deepest, what comes up stands beside what the encoder had
            before, after = widths[k] * (1 if k == depth else 2), widths[k - 1] if k > 1 else ndf
            self.decoder.append(ResidualBlock(before, after, "up", **given))  # type: ignore[arg-type]
        self.of_pixels = nn.Conv2d(ndf, classes or 1, 1)

    def forward(self, images: Tensor, features: bool = False) -> Judgement:
        h, (rows, columns) = pad_to_multiple(images, 2 ** len(self.encoder))
        skips, maps = [], []
        for down in self.encoder:
            h = down(h)
            skips.append(h)
            maps.append(h)
        logits = []
        if self.of_image is not None:
            logits.append(self.of_image(leaky_relu(h, 0.2).mean(dim=(2, 3), keepdim=True)))
        skips.pop()
        for level, up in enumerate(self.decoder):
            h = up(h if level == 0 else torch.cat([skips.pop(), h], dim=1))
            maps.append(h)
        logits.append(self.of_pixels(leaky_relu(h, 0.2))[..., rows, columns])
        return Judgement(tuple(logits), tuple(maps) if features else (), 1 / len(logits))
