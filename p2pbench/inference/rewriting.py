"""A trained network written as layers that runtimes run faster: the same function, to rounding.

On a CPU with AMX, OpenVINO in bf16 ran the U-Net 2.7 to 3.4 times, and ONNX Runtime in int8 2.6 to 4 times as fast with
convolutions and pixel shuffles as with transposed convolutions, for which they do not use its units; ONNX Runtime in
float32 1.03 to 1.08 times at batch 1, and 0.94 times at batch 16. The 3x3 transposed convolutions of the ResNet stay:
a 2x2 convolution to four times the channels multiplies twice as much, and was slower.
"""

import copy
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pixel_shuffle
from torch.nn.utils.fusion import fuse_conv_bn_eval

from p2pbench.models.convolution import Convolution, TransposedConvolution

PLAIN = (nn.Conv2d, Convolution, nn.ConvTranspose2d, TransposedConvolution)
"""What is rewritten. A parametrised layer, as of spectral norm, is of another type and stays."""


class ShuffledConvolution(nn.Module):
    """A 4x4 transposed convolution at stride 2 as a 2x2 convolution and a pixel shuffle (Shi et al. 2016).

    Maps (N, C, h, w) to (N, C', 2h, 2w). Rows 2i - 1 and 2i of the output come from rows i - 1 and i of the input
    alone, and so do columns. A 2x2 convolution at padding 1 with a channel for each of the four gives them all; the
    shuffled map begins a row and a column before the output, and ends as much behind it.
    """

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        super().__init__()
        weight = layer.weight.detach()  # (C, C', 4, 4)
        taps = torch.tensor([[2, 0], [3, 1]])  # of row 2i - 1, then of 2i: what rows i - 1 and i are multiplied by
        each = weight[:, :, taps][..., taps]  # (C, C', row, tap, column, tap)
        channels, wanted = weight.shape[:2]
        self.weight = nn.Parameter(each.permute(1, 2, 4, 0, 3, 5).reshape(4 * wanted, channels, 2, 2), False)
        bias = layer.bias
        self.bias = None if bias is None else nn.Parameter(bias.detach().repeat_interleave(4), False)

    def forward(self, images: Tensor) -> Tensor:
        return pixel_shuffle(conv2d(images, self.weight, self.bias, padding=1), 2)[..., 1:-1, 1:-1]


def rewritten(network: nn.Module, *, folded: bool = True) -> nn.Module:
    """A copy of ``network``, in an inference mode, without 4x4 transposed convolutions at stride 2.

    Args:
        network: maps images to images; left as it is, and its other weights are the copy's too.
        folded: multiply batch norms with running statistics, which come right after a convolution in an
            ``nn.Sequential``, into its weights. Not for networks that call a sequence's layers one by one.
    """
    # Parameters made under inference_mode could not be exported.
    with torch.inference_mode(False), torch.no_grad():
        twin = copy.deepcopy(network, {id(t): t for t in (*network.parameters(), *network.buffers())})
        if folded:
            for sequence in [module for module in twin.modules() if isinstance(module, nn.Sequential)]:
                _fold(sequence)
        for parent in list(twin.modules()):
            for name, child in list(parent.named_children()):
                if _doubles(child):
                    setattr(parent, name, ShuffledConvolution(child))
    return twin


def _fold(sequence: nn.Sequential) -> None:
    for position in range(1, len(sequence)):
        before, norm = sequence[position - 1], sequence[position]
        transposed = isinstance(before, nn.ConvTranspose2d)
        if type(before) in PLAIN and type(norm) is nn.BatchNorm2d:
            assert isinstance(before, nn.Conv2d | nn.ConvTranspose2d)
            sequence[position - 1] = fuse_conv_bn_eval(before, norm, transpose=transposed)
            sequence[position] = nn.Identity()


def _doubles(layer: nn.Module) -> TypeGuard[nn.ConvTranspose2d]:
    """Whether ``layer`` is what :class:`ShuffledConvolution` stands for."""
    if type(layer) not in PLAIN or not isinstance(layer, nn.ConvTranspose2d):
        return False
    shape = (layer.kernel_size, layer.stride, layer.padding, layer.output_padding, layer.dilation)
    return shape == ((4, 4), (2, 2), (1, 1), (0, 0), (1, 1)) and layer.groups == 1
