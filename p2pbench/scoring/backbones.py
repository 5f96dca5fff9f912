"""The convolutions of torchvision's classifiers, and the layers at which LPIPS looks into them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from p2pbench.errors import WeightsError
from p2pbench.scoring import weights

if TYPE_CHECKING:
    from torch import Tensor

Backbone = Callable[["Tensor"], "list[Tensor]"]
"""From images, (B, 3, H, W), uint8, to what each of ``TAPS`` gives, (B, C, h, w), float32."""

MODELS = {"alex": "alexnet", "squeeze": "squeezenet1_1", "vgg": "vgg16"}
"""What torchvision calls them."""
TAPS = {"alex": (1, 4, 7, 9, 11), "squeeze": (1, 4, 7, 9, 10, 11, 12), "vgg": (3, 8, 15, 22, 29)}
"""The layers of ``features`` that LPIPS compares (Zhang et al. 2018): after a ReLU, or a fire module."""

CHUNK_PIXELS = 8 * 256 * 256
"""Of the images that a network sees at once: what bounds the memory of its activations."""

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""LPIPS's input: ImageNet's mean and standard deviation, of images in [-1, 1]."""


def load(net: str, path: Path, device: str) -> Backbone:
    """The backbone ``net`` with the weights at ``path``, cut after its last tap.

    Channels last: on a CPU SqueezeNet takes half the time so, AlexNet nine tenths.

    Raises:
        WeightsError: ``path`` does not hold that backbone.
    """
    import torch
    import torchvision

    from p2pbench.data.transforms import to_network

    taps = TAPS[net]
    with torch.device("meta"):  # the classifier's millions of parameters are not drawn in vain
        layers = getattr(torchvision.models, MODELS[net])(weights=None).features[: taps[-1] + 1]
    tensors = {name.removeprefix("features."): tensor for name, tensor in weights.load_backbone(path).items()}
    names = layers.state_dict().keys()
    if lacking := [name for name in names if name not in tensors]:
        raise WeightsError(f"{path} lacks features.{lacking[0]}: not the backbone {net!r}")
    try:
        layers.load_state_dict({name: tensors[name] for name in names}, assign=True)
    except RuntimeError:
        raise WeightsError(f"{path} holds layers of other shapes than backbone {net!r}") from None
    layers = layers.requires_grad_(False).eval().to(device, memory_format=torch.channels_last)
    shift, scale = (torch.tensor(values, device=device)[:, None, None] for values in (SHIFT, SCALE))

    def backbone(images: Tensor) -> list[Tensor]:
        seen = ((to_network(images) - shift) / scale).contiguous(memory_format=torch.channels_last)
        given = []
        for index, layer in enumerate(layers):
            seen = layer(seen)
            if index in taps:
                given.append(seen)
        return given

    return backbone


def chunk_size(height: int, width: int) -> int:
    """How many images of that size a network sees at once, 1 to 8."""
    return max(1, min(8, CHUNK_PIXELS // (height * width)))


def on_device(images: np.ndarray, device: str) -> Tensor:
    """(B, H, W, 3), uint8, as networks take them: (B, 3, H, W), uint8, on ``device``."""
    import torch

    return torch.from_numpy(np.array(images)).to(device).permute(0, 3, 1, 2)


def mean_over_space(given: list[Tensor]) -> Tensor:
    """What the last tap gives, averaged over space: (B, C), float32."""
    return given[-1].mean(dim=(2, 3))
