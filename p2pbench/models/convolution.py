"""Convolutions that train as matrix products where a map is small and its weights are many.

On a CPU oneDNN first rewrites the weights of every convolution into blocks that suit it, forward, for the gradient of
the input, and back for their own. At the bottom of a U-Net, where 8 million weights meet a map of 4x4, that is most of
the time: in bf16 with AMX, 43 ms of one layer's step against 7 ms as a product, which reads the weights as they
lie. Where a map has more than half as many positions as the weights have rows, unfolding it costs more than that.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import fold, unfold


def as_product(images: Tensor, weight: Tensor, positions: int) -> bool:
    """Whether to train by a product.

    Inference keeps to the library, so that an image's translation does not depend on the others of its batch.

    Args:
        weight: rows of channels of the smaller map, (C, C', kernel, kernel).
        positions: of the smaller map, over the whole batch.
    """
    return 2 * positions <= len(weight) and images.device.type == "cpu" and torch.is_grad_enabled()


class Convolution(nn.Conv2d):
    """``nn.Conv2d``, zero-padded: maps (N, C, H, W) to (N, C', h, w). Weights and results are the same, to rounding."""

    def forward(self, images: Tensor) -> Tensor:
        n = len(images)
        height, width = (
            (size + 2 * p - k) // s + 1
            for size, k, p, s in zip(images.shape[2:], self.kernel_size, self.padding, self.stride, strict=True)  # type: ignore[arg-type]
        )
        if not as_product(images, self.weight, n * height * width):
            return super().forward(images)
        columns = unfold(images, self.kernel_size, padding=self.padding, stride=self.stride)  # type: ignore[arg-type]
        columns = columns.transpose(0, 1).flatten(1)  # (C * kernel, N * h * w)
        output = self.weight.flatten(1) @ columns
        output = output.unflatten(1, (n, height, width)).transpose(0, 1)
        return output if self.bias is None else output + self.bias.to(output.dtype)[:, None, None]


class TransposedConvolution(nn.ConvTranspose2d):
    """``nn.ConvTranspose2d``: maps (N, C, h, w) to (N, C', H, W). Weights and results are the same, to rounding."""

    def forward(self, images: Tensor, output_size: list[int] | None = None) -> Tensor:
        n, _, height, width = images.shape
        if output_size is not None or not as_product(images, self.weight, n * height * width):
            return super().forward(images, output_size)
        columns = images.transpose(0, 1).flatten(1).t() @ self.weight.flatten(1)  # (N * h * w, C' * kernel)
        columns = columns.unflatten(0, (n, height * width)).transpose(1, 2)
        size = [
            (here - 1) * s - 2 * p + k + extra
            for here, k, p, s, extra in zip(
                (height, width),
                self.kernel_size,
                self.padding,
                self.stride,
                self.output_padding,
                strict=True,  # type: ignore[arg-type]
            )
        ]
        output = fold(columns, size, self.kernel_size, padding=self.padding, stride=self.stride)  # type: ignore[arg-type]
        return output if self.bias is None else output + self.bias.to(output.dtype)[:, None, None]
