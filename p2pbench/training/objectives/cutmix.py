"""CutMix for a U-Net discriminator: of an image that is real in a box and fake around it, or the other way round, it
tells the pixels apart (Schönfeld et al. 2020, §3.2)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from p2pbench.training.objectives.contract import Judged
from p2pbench.training.processes import of_whole_batch

MOST = 0.5
"""The share of the steps in the end (§3.2, ``r_mix``)."""


class CutMix(nn.Module):
    """In a share of the steps, which rises from 0 to ``MOST`` in ``ramp`` images, the loss of D is :func:`cutmix_loss`.

    The images seen lie on the device and in the checkpoint: a captured step would freeze a Python number.
    """

    images: Tensor

    def __init__(self, ramp: float) -> None:
        super().__init__()
        self.ramp = ramp
        self.register_buffer("images", torch.zeros((), dtype=torch.int64))

    def share(self) -> Tensor:
        """The share of the steps by now, a scalar."""
        return MOST * (self.images / self.ramp).clamp(max=1)

    def in_place_of(self, plain: Tensor, judged: Judged, *, weight: float) -> Tensor:
        """``plain``, the loss of D, or the loss of a mixture; which, and the box, is drawn as dropout draws.

        A step is of one kind, also where processes that draw for themselves share it: the sum of their uniform numbers
        is uniform as well, but for its whole part.
        """
        chosen = of_whole_batch(torch.rand((), device=plain.device)) % 1 < self.share()
        return torch.where(chosen, cutmix_loss(judged, boxes(judged.target), weight), plain)

    @torch.no_grad()
    def update(self, n_images: int) -> None:
        """Take in an update on ``n_images`` images."""
        self.images += n_images


def cutmix_loss(judged: Judged, mask: Tensor, weight: float) -> Tensor:
    """The loss of D on M y + (1 - M) G(x): the cross-entropies of the image, which is fake, and of the pixels with M;
    and the mean square of how far D of the mixture is from the mixture of what it says of both; a scalar.

    Args:
        mask: M, (N, 1, H, W), 1 where the target is taken.
        weight: what the cross-entropies count.
    """
    assert judged.of_target is not None
    real, fake = judged.of_target.logits[1], judged.of_fake.logits[1]
    of_image, of_pixels = judged.judge(mask * judged.target + (1 - mask) * judged.fake.detach()).logits
    wrong = binary_cross_entropy_with_logits(of_image, torch.zeros_like(of_image))
    wrong = wrong + binary_cross_entropy_with_logits(of_pixels, mask)
    return weight * wrong + mse_loss(of_pixels, mask * real + (1 - mask) * fake)


def boxes(images: Tensor) -> Tensor:
    """For each image (N, C, H, W) a map (N, 1, H, W) that is 0 in a box and 1 around it, or the other way round.

    The box has the image's shape, a uniform share of its area, and a centre anywhere: parts of it may be cut off.
    """
    uniform = torch.rand(len(images), 4, device=images.device)
    within = []
    for axis, side in enumerate(images.shape[2:]):
        half, centre = uniform[:, 3:].sqrt() * side / 2, uniform[:, axis : axis + 1] * side
        places = torch.arange(side, device=images.device) + 0.5
        within.append((places - centre).abs() < half)  # (N, side)
    inside = within[0][:, :, None] & within[1][:, None, :]
    return (inside ^ (uniform[:, 2, None, None] < 0.5))[:, None].to(images.dtype)
