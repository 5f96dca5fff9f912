"""Between sRGB and CIE L*a*b*, on any device, for colorization.

IEC 61966-2-1 and CIE 15, white point D65 of the 2 degree observer, with scikit-image's constants (a test compares).
Numbers, not constant tensors: nothing is copied from the host, so that a step with it can be captured.
"""

from __future__ import annotations

import torch
from torch import Tensor

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
