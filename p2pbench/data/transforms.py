"""Between 8-bit images and what networks see, in both directions. No other module converts images.

Data are kept as RGB, uint8. What of them the networks see is decided by ``data.colours`` and ``data.channels``, and
made on the device, batch by batch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from p2pbench.config import DataConfig
from p2pbench.data.lab import lab_to_rgb, rgb_to_lab

AB_RANGE = 110.0
"""What a and b are divided by: sRGB reaches -108 to 98."""


def to_network(images: Tensor) -> Tensor:
    """uint8 0..255 to float32 in [-1, 1], any shape."""
    return images.float().mul_(1 / 127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Float in [-1, 1] to uint8 0..255, rounded to the nearest, any shape; values outside are clipped."""
    return images.float().add(1.0).mul_(127.5).round_().clamp_(0, 255).byte()


def conditions_of(pairs: np.ndarray, data: DataConfig) -> np.ndarray:
    """The RGB images, (N, H, W, 3), uint8, that conditions are made of: for colorization the targets themselves."""
    return pairs[..., 3:] if data.colours == "lab" else pairs[..., :3]


def seen(pairs: Tensor, data: DataConfig) -> tuple[Tensor, Tensor]:
    """What the networks see of pairs (N, 6, H, W), uint8: condition and target, float32 in [-1, 1]."""
    condition, target = pairs[:, :3], pairs[:, 3:]
    if data.colours == "lab":
        lab = rgb_to_lab(target)
        return _lightness(lab), lab[:, 1:] / AB_RANGE
    return _channels(condition, data.channels[0]), _channels(target, data.channels[1])


def seen_condition(images: Tensor, data: DataConfig) -> Tensor:
    """What the generator sees of RGB images (N, 3, H, W), uint8: (N, C, H, W), float32 in [-1, 1]."""
    if data.colours == "lab":
        return _lightness(rgb_to_lab(images))
    return _channels(images, data.channels[0])


def shown(outputs: Tensor, conditions: Tensor, data: DataConfig) -> Tensor:
    """A generator's ``outputs`` (N, C', H, W), float, as RGB (N, 3, H, W), uint8.

    For colorization ``conditions``, RGB images (N, 3, H, W), uint8, give them their lightness. One channel is repeated.
    """
    if data.colours == "lab":
        lightness = rgb_to_lab(conditions)[:, :1]
        return lab_to_rgb(torch.cat([lightness, outputs.float() * AB_RANGE], dim=1))
    return to_uint8(outputs).expand(-1, 3, -1, -1)


def _channels(images: Tensor, count: int) -> Tensor:
    return to_network(images) if count == 3 else to_network(grey(images))


def _lightness(lab: Tensor) -> Tensor:
    """L of 0..100 in [-1, 1]."""
    return lab[:, :1] / 50 - 1


def grey(images: Tensor) -> Tensor:
    """Luma of RGB images (N, 3, H, W), uint8, as Rec. 601 has it: (N, 1, H, W), float32 0..255, whole numbers."""
    red, green, blue = images.float().unbind(1)
    return (0.299 * red + 0.587 * green + 0.114 * blue).round_().unsqueeze(1)
