"""Adaptive augmentation: how often D's images are transformed follows how far it overfits (Karras et al. 2020, §3).

The paper's own transforms are others; here they are those of :mod:`p2pbench.training.augment`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from p2pbench.training.processes import of_whole_batch

TARGET = 0.6
"""The mean sign of D's logits of real images that is aimed at: above it D has learned them by heart (§3.2, ``r_t``)."""
INTERVAL = 4
"""Updates between two changes of p (§3.2)."""


class Adaptive(nn.Module):
    """The probability p that a transform is applied to an image: from 0 it rises by one in ``images`` images in which
    D is always too sure, and falls as fast; like the authors' code it does not end at 1.

    It lies on the device and in the checkpoint: a captured step would freeze a Python number.
    """

    p: Tensor
    signs: Tensor
    updates: Tensor

    def __init__(self, images: float) -> None:
        super().__init__()
        self.images = images
        self.register_buffer("p", torch.zeros(()))
        self.register_buffer("signs", torch.zeros(()))  # summed since p changed
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, real: Sequence[Tensor], n_images: int) -> None:
        """Take in D's logits of real images, maps (N, 1, h, w), of an update on ``n_images`` images.

        The logits are of this process's share of them; p is the same in all processes, by the mean of all.
        """
        own = torch.stack([logits.sign().mean() for logits in real]).mean()
        signs, processes = of_whole_batch(torch.stack([own, torch.ones_like(own)]))
        self.signs += signs / processes
        self.updates += 1
        due = self.updates % INTERVAL == 0
        move = torch.sign(self.signs / INTERVAL - TARGET) * (INTERVAL * n_images / self.images)
        self.p.copy_(torch.where(due, (self.p + move).clamp(min=0), self.p))
        self.signs.copy_(torch.where(due, torch.zeros_like(self.signs), self.signs))
