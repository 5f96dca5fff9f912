"""Holistically-nested edge detection (Xie and Tu 2015): the edges that pix2pix made shoes and handbags from.

The network is VGG-16's convolutions in five stages, the resolution halved between them. Each stage has a side output,
a 1x1 convolution to one map of scores, which is brought back to the input's size; a last 1x1 convolution weighs the
five, and its sigmoid is the probability of an edge. As pix2pix did, the photo is continued by its mirror image on all
sides first, for the network takes the end of the image for an edge.

What pix2pix did next, in Matlab, is not built: thinning to lines of one pixel by non-maximum suppression, a threshold,
and the removal of short lines. These edges are soft.

The weights are the authors' Caffe model as it was re-packed for PyTorch. That re-packing's own program rounds odd sizes
down where it halves and stretches the side outputs to fit; here they are rounded up and cut, as in Caffe, so that edges
stay where they are at every size. Where both sides are multiples of 16, the two are one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from p2pbench.errors import ConfigError, WeightsError
from p2pbench.system.files import sha256_of

if TYPE_CHECKING:
    from torch import Tensor

FILE = "network-bsds500.pytorch (56 MB, http://content.sniklaus.com/github/pytorch-hed/network-bsds500.pytorch)"
STAGES = {"One": (64, 64), "Two": (128, 128), "Thr": (256,) * 3, "Fou": (512,) * 3, "Fiv": (512,) * 3}
"""The channels that each convolution gives, by the name of the stage in the weights' file."""
MEANS = (104.00698793, 116.66876762, 122.67891434)
"""Of blue, green and red, 0 to 255, over the photos that VGG-16 was trained on."""
BORDER = 128
"""Pixels of mirror image on each side: more than the 114 that the end of the image reaches inwards."""


@dataclass(frozen=True, eq=False)
class Detector:
    """The network with its weights, called with one photo at a time, from any thread."""

    sha256: str
    """Of the file of weights."""
    weights: dict[str, Tensor]
    """By the names of :func:`layout`, float32, all on the device that the network runs on."""
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, photo: np.ndarray) -> np.ndarray:
        """The edges of ``photo``, dark on white: (H, W, 3), uint8, all channels (1 - probability) * 255, rounded.

        Args:
            photo: (H, W, 3), uint8, RGB.
        Raises:
            ConfigError: the photo does not fit in the GPU's memory.
        """
        import torch

        height, width = photo.shape[:2]
        mirrored = np.pad(photo, ((BORDER, BORDER), (BORDER, BORDER), (0, 0)), "reflect")
        blue_first = mirrored[..., ::-1].astype(np.float32) - np.array(MEANS, np.float32)
        image = torch.from_numpy(np.ascontiguousarray(blue_first.transpose(2, 0, 1)[None]))
        # One run of the network uses all cores, or fills the GPU: more at once would only need more memory.
        with self._one_at_a_time:
            try:
                probability = edge_probability(self.weights, image)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                raise ConfigError(
                    f"--condition hed: the network does not fit in the GPU's memory with a photo of {height}x{width} "
                    "pixels; give a smaller --size"
                ) from None
        inside = probability[0, 0, BORDER : BORDER + height, BORDER : BORDER + width]
        return np.repeat(np.rint((1 - inside.numpy()) * 255).astype(np.uint8)[..., None], 3, axis=2)


def read_detector(path: Path | None) -> Detector:
    """The detector with the weights in the file at ``path``, on the GPU where CUDA has one, else on the CPU.

    Raises:
        ConfigError: no file is given, or there is none.
        WeightsError: it holds something else; names the first layer that is missing or does not fit.
    """
    if path is None:
        raise ConfigError(
            f"--condition hed needs the network's weights: download {FILE} and name it with --hed-weights"
        )
    if not path.is_file():
        raise ConfigError(f"--hed-weights {path}: there is no such file; download {FILE}")

    import torch

    from p2pbench.system.torch_files import load_tensors

    tensors = load_tensors(path)
    prefix = "net" if any(name.startswith("netVgg") for name in tensors) else "module"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    weights = {}
    for name, shape in layout():
        tensor = tensors.get(prefix + name)
        if tensor is None:
            problem = "is missing"
        elif tensor.shape != shape:
            problem = f"has the shape {tuple(tensor.shape)} and not {shape}"
        elif not bool(tensor.isfinite().all()):
            problem = "has values that are not finite"
        else:
            weights[name] = tensor.to(device, torch.float32)
            continue
        raise WeightsError(f"--hed-weights {path}: its layer {prefix}{name} {problem}; give {FILE}")
    return Detector(sha256_of(path), weights)


def layout() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor of the network and its shape, named as in the file but for what the names begin with there."""
    before = 3
    for stage, channels in STAGES.items():
        for layer, after in zip(_convolutions(stage), channels, strict=True):
            yield f"{layer}.weight", (after, before, 3, 3)
            yield f"{layer}.bias", (after,)
            before = after
    for layer, inputs in (*((f"Score{stage}", channels[-1]) for stage, channels in STAGES.items()), ("Combine.0", 5)):
        yield f"{layer}.weight", (1, inputs, 1, 1)
        yield f"{layer}.bias", (1,)


def _convolutions(stage: str) -> list[str]:
    """A stage's convolutions: each is followed by a ReLU, and all but the first stage begin with the pooling."""
    first = 0 if stage == "One" else 1
    return [f"Vgg{stage}.{first + 2 * index}" for index in range(len(STAGES[stage]))]


def edge_probability(weights: dict[str, Tensor], image: Tensor) -> Tensor:
    """The probability of an edge at each pixel, (N, 1, H, W), on the CPU, for ``image``, (N, 3, H, W), BGR - MEANS."""
    import torch
    from torch.nn.functional import conv2d

    # Neither TF32 nor cuDNN's faster sums in changing order: one file of weights, one edge map.
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    with torch.inference_mode(), exact:
        sides = torch.cat(side_outputs(weights, image), dim=1)
        return conv2d(sides, weights["Combine.0.weight"], weights["Combine.0.bias"]).sigmoid().cpu()


def side_outputs(weights: dict[str, Tensor], image: Tensor) -> list[Tensor]:
    """The scores (before any sigmoid) of the five stages at the size of ``image``: each (N, 1, H, W)."""
    from torch.nn.functional import conv2d, interpolate, max_pool2d

    height, width = image.shape[2:]
    x, sides = image.to(weights["Combine.0.bias"].device), []
    for index, stage in enumerate(STAGES):
        if index:
            x = max_pool2d(x, 2, ceil_mode=True)
        for layer in _convolutions(stage):
            x = conv2d(x, weights[f"{layer}.weight"], weights[f"{layer}.bias"], padding=1).relu_()
        score = conv2d(x, weights[f"Score{stage}.weight"], weights[f"Score{stage}.bias"])
        if index:
            score = interpolate(score, scale_factor=2**index, mode="bilinear", align_corners=False)
        sides.append(score[..., :height, :width])
    return sides
