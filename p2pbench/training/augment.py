"""DiffAugment (Zhao et al. 2020, §3): D sees real and fake images through transforms that gradients pass.

What moves pixels moves condition and image alike, or D could not judge whether they fit; colours change in the image
alone. That, and that the target and the fake of a pair get the same draw, is ours: the paper has no paired data.
"""

from typing import NamedTuple

import torch
from torch import Tensor

SHIFT = 1 / 8
"""The most that images are moved, of their sides."""
CUTOUT = 1 / 2
"""The sides of the square that is cut out, of those of the image."""
AUGMENTATIONS = {
    "none": (),
    "translation": ("translation",),
    "translation+cutout": ("translation", "cutout"),
    "diffaugment": ("colour", "translation", "cutout"),
    "ada": ("colour", "translation", "cutout"),  # each with the probability of :class:`Adaptive`
}
"""The values of ``training.augment``."""


class Draw(NamedTuple):
    """What one batch goes through, drawn for each image: uniform numbers, (N, 7), from 0 to 1, and which are used."""

    uniform: Tensor
    used: tuple[str, ...]
    applied: Tensor | None = None
    """To which images each of those used is applied, (N, len(used)), bool; None for all."""

    @property
    def colour(self) -> tuple[Tensor, Tensor, Tensor]:
        """Brightness that is added, -0.5 to 0.5, and factors of saturation, 0 to 2, and contrast, 0.5 to 1.5."""
        added, saturation, contrast = self.uniform[:, :3, None, None, None].unbind(1)
        return added - 0.5, 2 * saturation, contrast + 0.5

    def shift(self, axis: int, side: int) -> Tensor:
        """By how many pixels images of that ``side`` are moved, (N,), whole numbers as floats."""
        most = int(side * SHIFT + 0.5)
        return (self.uniform[:, 3 + axis] * (2 * most + 1)).floor().clamp(max=2 * most) - most

    def cut(self, axis: int, side: int) -> Tensor:
        """The first pixel of the square that is cut out, (N,); the centre lies in the image."""
        size = int(side * CUTOUT + 0.5)
        return (self.uniform[:, 5 + axis] * (side + 1 - size % 2)).floor().clamp(max=side - size % 2) - size // 2


def draw_augmentation(kind: str, images: Tensor, probability: Tensor | None = None) -> Draw | None:
    """The draw of one update for a batch (N, ...) from the global random state; None for ``none``, which draws nothing.

    Args:
        kind: a key of ``AUGMENTATIONS``.
        probability: a scalar, that each transform is applied to an image; None for always.
    """
    if not (used := AUGMENTATIONS[kind]):
        return None
    uniform = torch.rand(len(images), 7, device=images.device)
    applied = None if probability is None else torch.rand(len(images), len(used), device=images.device) < probability
    return Draw(uniform, used, applied)


def augmented(condition: Tensor, image: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    """``condition`` and ``image``, (N, C, H, W) each, as D sees them; values of the image may leave [-1, 1]."""
    for position, name in enumerate(draw.used):
        transformed = TRANSFORMS[name](condition, image, draw)
        if draw.applied is None:
            condition, image = transformed
        else:
            there = draw.applied[:, position, None, None, None]
            condition, image = torch.where(there, transformed[0], condition), torch.where(there, transformed[1], image)
    return condition, image


def _coloured(condition: Tensor, image: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    added, saturation, contrast = draw.colour
    image = image + added
    image = _about(image.mean(dim=1, keepdim=True), image, saturation)
    return condition, _about(image.mean(dim=(1, 2, 3), keepdim=True), image, contrast)


def _translated(condition: Tensor, image: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    return _moved(condition, draw), _moved(image, draw)


def _cut_out(condition: Tensor, image: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    kept = _kept(image, draw)
    return condition * kept, image * kept


TRANSFORMS = {"colour": _coloured, "translation": _translated, "cutout": _cut_out}
"""What condition and image go through, by name."""


def _about(centre: Tensor, image: Tensor, factor: Tensor) -> Tensor:
    return centre + (image - centre) * factor


def _moved(images: Tensor, draw: Draw) -> Tensor:
    """``images`` moved by whole pixels; zeros, which are mid-grey here, move in."""
    for axis, dim in ((0, 2), (1, 3)):
        side, shape = images.shape[dim], [len(images), 1, 1, 1]
        shape[dim] = images.shape[dim]
        source = torch.arange(side, device=images.device) - draw.shift(axis, side)[:, None]  # (N, side)
        inside = ((source >= 0) & (source < side)).view(shape)
        index = source.clamp(0, side - 1).long().view(shape).expand_as(images)
        images = images.gather(dim, index) * inside
    return images


def _kept(images: Tensor, draw: Draw) -> Tensor:
    """1 where ``images`` are kept and 0 in the square that is cut out: (N, 1, H, W)."""
    within = []
    for axis, side in enumerate(images.shape[2:]):
        places, first = torch.arange(side, device=images.device), draw.cut(axis, side)[:, None]
        within.append((places >= first) & (places < first + int(side * CUTOUT + 0.5)))
    return (~(within[0][:, :, None] & within[1][:, None, :]))[:, None].to(images.dtype)
