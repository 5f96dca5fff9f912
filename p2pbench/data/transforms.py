"""Between integers and what networks see, in both directions. No other module converts images for networks.

Data are kept as uint8 or uint16, the channels of the condition before those of the target. They are scaled, and turned
to L*a*b* for colorization, on the device, batch by batch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from p2pbench.config.schema import DataConfig
from p2pbench.data.lab import lab_to_rgb, rgb_to_lab

AB_RANGE = 110.0
"""What a and b are divided by: sRGB reaches -108 to 98."""
MOST = {torch.uint8: 255.0, torch.uint16: 65535.0}
"""The whitest value of each integer type."""


def to_network(images: Tensor) -> Tensor:
    """uint8 or uint16 to float32 in [-1, 1], any shape: 0 becomes -1, the most 1."""
    return images.float().mul_(2 / MOST[images.dtype]).sub_(1.0)


def to_integers(images: Tensor, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Float in [-1, 1] to uint8 or uint16, rounded to the nearest, any shape; values outside are clipped."""
    most = MOST[dtype]
    return images.float().add(1.0).mul_(most / 2).round_().clamp_(0, most).to(dtype)


def conditions_of(pairs: np.ndarray, data: DataConfig) -> np.ndarray:
    """What conditions are made of: the channels of A, or for colorization the targets; (N, H, W, C), as stored."""
    first = data.stored[0]
    return pairs[..., first:] if data.colours == "lab" else pairs[..., :first]


def targets_of(pairs: np.ndarray, data: DataConfig) -> np.ndarray:
    """What outputs are compared with: the channels of the target, (N, H, W, C'), as stored."""
    return np.ascontiguousarray(pairs[..., data.stored[0] :])


def to_model(pairs: Tensor, data: DataConfig) -> tuple[Tensor, Tensor]:
    """What the networks see of pairs (N, C + C', H, W), uint8 or uint16: condition and target, float32 in [-1, 1]."""
    first = data.stored[0]
    if data.colours == "lab":
        lab = rgb_to_lab(pairs[:, first:] / MOST[pairs.dtype])
        return _lightness(lab), lab[:, 1:] / AB_RANGE
    return to_network(pairs[:, :first]), to_network(pairs[:, first:])


def condition_to_model(images: Tensor, data: DataConfig) -> Tensor:
    """What the generator sees of images (N, C, H, W) as :func:`conditions_of` gives them: float32 in [-1, 1]."""
    if data.colours == "lab":
        return _lightness(rgb_to_lab(images / MOST[images.dtype]))
    return to_network(images)


def from_model(outputs: Tensor, conditions: Tensor, data: DataConfig, dtype: torch.dtype) -> Tensor:
    """A generator's ``outputs`` (N, C', H, W), float, as integers: uint8 or uint16.

    For colorization ``conditions``, RGB images (N, 3, H, W), give them their lightness, and they come out as RGB.
    """
    if data.colours == "lab":
        lightness = rgb_to_lab(conditions / MOST[conditions.dtype])[:, :1]
        outputs = 2 * lab_to_rgb(torch.cat([lightness, outputs.float() * AB_RANGE], dim=1)) - 1
    return to_integers(outputs, dtype)


def as_displayed(conditions: np.ndarray, data: DataConfig) -> np.ndarray:
    """``conditions``, (N, H, W, C), as far as the generator sees them: of colour images in L*a*b*, L alone, as RGB."""
    if data.colours == "rgb":
        return np.ascontiguousarray(conditions)
    images = torch.from_numpy(np.array(conditions)).permute(0, 3, 1, 2)
    lab = rgb_to_lab(images / MOST[images.dtype])
    lab[:, 1:] = 0
    return to_integers(2 * lab_to_rgb(lab) - 1, images.dtype).permute(0, 2, 3, 1).contiguous().numpy()


def _lightness(lab: Tensor) -> Tensor:
    """L of 0..100 in [-1, 1]."""
    return lab[:, :1] / 50 - 1
