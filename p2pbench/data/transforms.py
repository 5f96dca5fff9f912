"""Conversions between integers and what networks see, in both directions. No other module converts for networks.

Data are stored as uint8 or uint16, the channels of the condition before those of the target. They are scaled, and
turned to CIE L*a*b* for colorization, on the device, batch by batch.
"""

import numpy as np
import torch
from torch import Tensor

from p2pbench.config.schema import DataConfig

AB_RANGE = 110.0
"""The number that a and b are divided by: in sRGB they reach from -108 to 98."""
MAX_VALUE = {torch.uint8: 255.0, torch.uint16: 65535.0}
"""The whitest value of each integer type."""


def to_network(images: Tensor) -> Tensor:
    """uint8 or uint16 to float32 in [-1, 1], any shape: 0 becomes -1, the maximum 1."""
    return images.float().mul_(2 / MAX_VALUE[images.dtype]).sub_(1.0)


def to_integers(images: Tensor, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Float in [-1, 1] to uint8 or uint16, rounded to the nearest, any shape; values outside are clipped."""
    white = MAX_VALUE[dtype]
    return images.float().add(1.0).mul_(white / 2).round_().clamp_(0, white).to(dtype)


def conditions_of(pairs: np.ndarray, data: DataConfig) -> np.ndarray:
    """The stored images that conditions are made of, (N, H, W, C): for colorization these are the targets."""
    first = data.stored[0]
    return pairs[..., first:] if data.colours == "lab" else pairs[..., :first]


def targets_of(pairs: np.ndarray, data: DataConfig) -> np.ndarray:
    """The stored targets that outputs are compared with, (N, H, W, C')."""
    return np.ascontiguousarray(pairs[..., data.stored[0] :])


def to_model(pairs: Tensor, data: DataConfig) -> tuple[Tensor, Tensor]:
    """Pairs, (N, C + C', H, W), uint8 or uint16, as networks see them: condition and target, float32 in [-1, 1]."""
    first = data.stored[0]
    if data.colours == "lab":
        lab = rgb_to_lab(pairs[:, first:] / MAX_VALUE[pairs.dtype])
        return _lightness(lab), lab[:, 1:] / AB_RANGE
    return to_network(pairs[:, :first]), to_network(pairs[:, first:])


def condition_to_model(images: Tensor, data: DataConfig) -> Tensor:
    """Images of :func:`conditions_of`, now (N, C, H, W), as the generator sees them: float32 in [-1, 1]."""
    if data.colours == "lab":
        return _lightness(rgb_to_lab(images / MAX_VALUE[images.dtype]))
    return to_network(images)


def from_model(outputs: Tensor, conditions: Tensor, data: DataConfig, dtype: torch.dtype) -> Tensor:
    """A generator's ``outputs`` (N, C', H, W), float, as integers: uint8 or uint16.

    For colorization ``conditions``, RGB images (N, 3, H, W), give them their lightness, and they come out as RGB.
    """
    if data.colours == "lab":
        lightness = rgb_to_lab(conditions / MAX_VALUE[conditions.dtype])[:, :1]
        outputs = 2 * lab_to_rgb(torch.cat([lightness, outputs.float() * AB_RANGE], dim=1)) - 1
    return to_integers(outputs, dtype)


def as_displayed(conditions: np.ndarray, data: DataConfig) -> np.ndarray:
    """``conditions``, (N, H, W, C), as pictures of what the generator sees: for colorization, their L as RGB."""
    if data.colours == "rgb":
        return np.ascontiguousarray(conditions)
    images = torch.from_numpy(np.array(conditions)).permute(0, 3, 1, 2)
    lab = rgb_to_lab(images / MAX_VALUE[images.dtype])
    lab[:, 1:] = 0
    return to_integers(2 * lab_to_rgb(lab) - 1, images.dtype).permute(0, 2, 3, 1).contiguous().numpy()


def _lightness(lab: Tensor) -> Tensor:
    """L, which is 0..100, in [-1, 1]."""
    return lab[:, :1] / 50 - 1


# ---- sRGB and CIE L*a*b*, for colorization

# IEC 61966-2-1 and CIE 15, white point D65 of the 2 degree observer, with scikit-image's constants (a test compares).
# Numbers, not constant tensors: nothing is copied from the host, so that a CUDA graph can hold the conversion.
WHITE_X, WHITE_Z = 0.95047, 1.08883


def rgb_to_lab(images: Tensor) -> Tensor:
    """sRGB (N, 3, H, W), float in [0, 1], to L*a*b*: L 0..100, a and b about -108..98."""
    coded = images.float()
    linear = torch.where(coded > 0.04045, ((coded + 0.055) / 1.055) ** 2.4, coded / 12.92)
    red, green, blue = linear.unbind(1)
    x = _root((0.412453 * red + 0.357580 * green + 0.180423 * blue) / WHITE_X)
    y = _root(0.212671 * red + 0.715160 * green + 0.072169 * blue)
    z = _root((0.019334 * red + 0.119193 * green + 0.950227 * blue) / WHITE_Z)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """L*a*b*, (N, 3, H, W), float, to sRGB in [0, 1]; colours that sRGB does not have are clipped."""
    lightness, a, b = lab.float().unbind(1)
    y = (lightness + 16) / 116
    x, z = _power(y + a / 500) * WHITE_X, _power(y - b / 200) * WHITE_Z
    y = _power(y)
    red = 3.24048134 * x - 1.53715152 * y - 0.49853633 * z
    green = -0.96925495 * x + 1.87599000 * y + 0.04155593 * z
    blue = 0.05564664 * x - 0.20404134 * y + 1.05731107 * z
    linear = torch.stack([red, green, blue], dim=1)
    coded = torch.where(linear > 0.0031308, 1.055 * linear.clamp_min(0) ** (1 / 2.4) - 0.055, 12.92 * linear)
    return coded.clamp(0, 1)


def _root(t: Tensor) -> Tensor:
    return torch.where(t > 0.008856, t ** (1 / 3), 7.787 * t + 16 / 116)


def _power(t: Tensor) -> Tensor:
    return torch.where(t > 0.2068966, t**3, (t - 16 / 116) / 7.787)
