"""What a discriminator says of a batch: the contract between discriminators and the losses that are made of them.

A discriminator is a module that maps images (N, C, H, W) to a map of logits (N, 1, h, w). One that has several maps, a
scale or a head each, or that lends its inner maps to feature matching, returns a :class:`Judgement` of them instead.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Judgement(NamedTuple):
    """The logits of D, and what it made them of."""

    logits: tuple[Tensor, ...]
    """Its maps, each (N, 1, h, w), unbounded; the loss is summed over them."""
    features: tuple[Tensor, ...] = ()
    """The maps of all its layers before the logits, (N, C, h, w), of all scales one after another; empty where D was
    not asked for them."""
    weight: float = 1.0
    """What the loss of each map counts: 1 for scales (pix2pixHD), 1/2 for a U-Net's two halves."""

    def of_images(self) -> Tensor:
        """One number for each image, (N,): its mean logit, summed over the maps; what gradient penalties go through."""
        return self.weight * torch.stack([logits.mean(dim=(1, 2, 3)) for logits in self.logits]).sum(dim=0)

    def in_float32(self) -> "Judgement":
        """The same in float32."""
        logits, features = (tuple(tensor.float() for tensor in maps) for maps in (self.logits, self.features))
        return Judgement(logits, features, self.weight)


def judgement(discriminator: nn.Module, images: Tensor, *, features: bool = False) -> Judgement:
    """What ``discriminator`` says of ``images``, (N, C, H, W).

    With ``features`` it is called as ``discriminator(images, features=True)``, and returns a :class:`Judgement`.
    """
    said = discriminator(images, features=True) if features else discriminator(images)
    return Judgement((said,)) if isinstance(said, Tensor) else said
