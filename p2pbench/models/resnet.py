"""The ResNet generator of Johnson et al. 2016, as the PyTorch port has it beside the U-Net."""

from torch import Tensor, nn

from p2pbench.models.layers import norm_layer, pad_to_multiple


class ResidualBlock(nn.Module):
    """x + F(x), F two 3x3 convolutions with reflected borders; maps (N, C, h, w) to the same."""

    def __init__(self, channels: int, *, norm: str, dropout: bool, bias: bool) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), *norm_layer(norm, channels), nn.ReLU(),
            *([nn.Dropout(0.5)] if dropout else []),
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), *norm_layer(norm, channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.residual(x)
        return x + residual


class ResNet(nn.Sequential):
    """A chain of layers on images padded to a multiple of 4, since it halves them twice, and cropped back."""

    def forward(self, condition: Tensor) -> Tensor:
        h, (rows, columns) = pad_to_multiple(condition, 4)
        for layer in self:
            h = layer(h)
        return h[..., rows, columns]


def build_resnet(
    in_channels: int, out_channels: int, *, ngf: int, n_blocks: int, norm: str, dropout: bool, bias: bool
) -> ResNet:
    """c7s1-64, d128, d256, ``n_blocks`` residual blocks of 256, u128, u64, c7s1-3, Tanh, for ngf 64.

    Maps (N, in_channels, H, W), float in [-1, 1], to (N, out_channels, H, W) in (-1, 1).
    """
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(in_channels, ngf, 7, bias=bias)]
    layers += [*norm_layer(norm, ngf), nn.ReLU()]
    for width in (ngf, 2 * ngf):
        layers.append(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=bias))
        layers += [*norm_layer(norm, 2 * width), nn.ReLU()]
    layers += [ResidualBlock(4 * ngf, norm=norm, dropout=dropout, bias=bias) for _ in range(n_blocks)]
    for width in (4 * ngf, 2 * ngf):
        layers.append(nn.ConvTranspose2d(width, width // 2, 3, stride=2, padding=1, output_padding=1, bias=bias))
        layers += [*norm_layer(norm, width // 2), nn.ReLU()]
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, out_channels, 7), nn.Tanh()]
    return ResNet(*layers)
