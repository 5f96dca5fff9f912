"""Convolutions that train as matrix products where a map is small and its weights are many.

On a CPU oneDNN first reorders the weights of every convolution into blocks: for the forward pass, for the gradient of
the input, and for their own gradient. At the bottom of a U-Net, where 8 million weights meet a map of 4x4, that takes
most of the time: in bf16 with AMX 43 ms of one layer's step, against 7 ms as a product, which needs no reordering.
Where a map has more than half as many positions as the weights have rows, unfolding the map costs more than that.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import fold, unfold


def as_product(images: Tensor, weight: Tensor, positions: int) -> bool:
    """Whether a layer trains as a matrix product.

    Inference always uses the library, so that an image's translation does not depend on the others of its batch.

    Args:
        weight: (C, C', kernel, kernel), where C are the channels of the smaller map.
        positions: the number of positions of the smaller map over the whole batch.
    """
    # Sizes are compared last, because an export must not take them for conditions.
    return images.device.type == "cpu" and torch.is_grad_enabled() and 2 * positions <= len(weight)


FEW = 16
"""At so few positions a product does little but read its weights."""


def product(a: Tensor, b: Tensor, positions: int) -> Tensor:
    """The matrix product of two matrices, one of them of weights; float32 in a bf16 step where ``positions`` are few.

    Casting float32 weights to bf16, and their gradient back, moves more memory than bf16 saves there: in turns at 64x64
    steps in bf16 took 13 % less processor time without those casts, and at 256x256 5 %.
    """
    if positions > FEW:
        return a @ b
    with torch.autocast("cpu", enabled=False):
        wide = torch.promote_types(a.dtype, b.dtype)
        return a.to(wide) @ b.to(wide)


Pair = tuple[int, int]
"""A value for the height and one for the width."""


def _shape_of(layer: nn.Conv2d | nn.ConvTranspose2d) -> tuple[Pair, Pair, Pair]:
    """Kernel, stride and padding, of which PyTorch's types allow more kinds than are used here."""
    return cast(Pair, layer.kernel_size), cast(Pair, layer.stride), cast(Pair, layer.padding)


class Convolution(nn.Conv2d):
    """Zero-padded ``nn.Conv2d`` with the same weights and, to rounding, results: (N, C, H, W) to (N, C', h, w)."""

    def forward(self, images: Tensor) -> Tensor:
        n = images.shape[0]
        kernel, stride, padding = _shape_of(self)
        height, width = (
            (size + 2 * p - k) // s + 1 for size, k, s, p in zip(images.shape[2:], kernel, stride, padding, strict=True)
        )
        if not as_product(images, self.weight, n * height * width):
            return super().forward(images)
        columns = unfold(images, kernel, padding=padding, stride=stride)
        columns = columns.transpose(0, 1).flatten(1)  # (C * kernel, N * h * w)
        output: Tensor = product(self.weight.flatten(1), columns, n * height * width)
        output = output.unflatten(1, (n, height, width)).transpose(0, 1)
        return output if self.bias is None else output + self.bias.to(output.dtype)[:, None, None]


class TransposedConvolution(nn.ConvTranspose2d):
    """``nn.ConvTranspose2d`` with the same weights and, to rounding, results: (N, C, h, w) to (N, C', H, W)."""

    def forward(self, images: Tensor, output_size: list[int] | None = None) -> Tensor:
        n, _, height, width = images.shape
        if output_size is not None or not as_product(images, self.weight, n * height * width):
            return super().forward(images, output_size)
        columns = product(images.transpose(0, 1).flatten(1).t(), self.weight.flatten(1), n * height * width)
        columns = columns.unflatten(0, (n, height * width)).transpose(1, 2)
        kernel, stride, padding = _shape_of(self)
        size = tuple(
            (here - 1) * s - 2 * p + k + extra
            for here, k, s, p, extra in zip(
                (height, width), kernel, stride, padding, self.output_padding, strict=True
            )
        )  # fmt: skip
        output: Tensor = fold(columns, size, kernel, padding=padding, stride=stride)
        return output if self.bias is None else output + self.bias.to(output.dtype)[:, None, None]
