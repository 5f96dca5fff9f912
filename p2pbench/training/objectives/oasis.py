"""OASIS: D says of each pixel which label the condition has there, or that it is fake (Schönfeld et al. 2021, §3)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from p2pbench.config.schema import ObjectiveConfig
from p2pbench.data.label_classes import Palette
from p2pbench.training.objectives.contract import Judged
from p2pbench.training.objectives.translation import Translation, halves
from p2pbench.training.processes import of_whole_batch

LABELMIX = 10.0
"""λ of LabelMix; the authors' code has 5 for Cityscapes."""
MOST_WEIGHT = 100.0
"""Where a class has a hundredth of its share of the pixels, it does not count any more: at batch 1 one pixel of a rare
class would outweigh all others. The paper, in larger batches, has no such limit."""


class Oasis(Translation):
    """Cross-entropies of D's logits (N, 1 + classes, H, W), the first of which is ``fake``; G's other terms stay.

    L_D = E w_c CE(D(y), c) + CE(D(G(x)), fake) + LabelMix, L_G = E w_c CE(D(G(x)), c), where c are the classes of x.
    """

    def __init__(self, objective: ObjectiveConfig, perceptual: nn.Module | None, palette: Palette) -> None:
        super().__init__(objective, perceptual)
        self.palette = palette

    def discriminator_loss(self, judged: Judged) -> Tensor:
        assert judged.of_target is not None
        (real,), (fake,) = judged.of_target.logits, judged.of_fake.logits
        labels = labels_of(judged.condition, self.palette)
        counted = labels[:, : len(self.palette.classes)]
        loss = of_classes(real, counted) - fake.log_softmax(dim=1)[:, 0].mean()
        loss = loss + LABELMIX * self._labelmix(judged, labels, real, fake)
        return 0.5 * loss if halves(self.objective) else loss

    def _adversarial(self, judged: Judged) -> Tensor:
        labels = labels_of(judged.condition, self.palette)[:, : len(self.palette.classes)]
        return of_classes(judged.of_fake.logits[0], labels)

    def _labelmix(self, judged: Judged, labels: Tensor, real: Tensor, fake: Tensor) -> Tensor:
        """How far D of an image that is real in some classes and fake in others is from its logits mixed alike.

        Each class of each image is real with probability 1/2, drawn from the random state that dropout draws from.
        """
        chosen = torch.rand(*labels.shape[:2], 1, 1, device=labels.device) < 0.5
        mask = (labels * chosen).sum(dim=1, keepdim=True)  # (N, 1, H, W)
        mixed = judged.judge(mask * judged.target + (1 - mask) * judged.fake.detach())
        return mse_loss(mixed.logits[0], mask * real + (1 - mask) * fake)


def labels_of(condition: Tensor, palette: Palette) -> Tensor:
    """Label maps (N, 3, H, W), float in [-1, 1], as (N, classes + void colours, H, W), float, 1 at a pixel's class:
    that of the nearest colour, since JPEG and resizing blend them."""
    colours = [*palette.classes.values(), *palette.void]
    # Numbers, not constant tensors: nothing is copied from the host, so that a CUDA graph can hold it.
    distances = torch.stack([
        sum((condition[:, i] - (colour[i] / 127.5 - 1)).square() for i in range(3)) for colour in colours  # type: ignore[misc]
    ], dim=1)  # fmt: skip
    order = torch.arange(len(colours), device=condition.device)[:, None, None]
    return (distances.argmin(dim=1, keepdim=True) == order).float()


def class_weights(labels: Tensor) -> Tensor:
    """w_c = pixels / (classes there are x pixels of c) over a batch of labels (N, K, H, W); (K,), 0 for what is absent,
    at most ``MOST_WEIGHT`` (§3)."""
    counts = of_whole_batch(labels.sum(dim=(0, 2, 3)))
    present = (counts > 0).sum()
    return (counts.sum() / (present * counts).clamp(min=1)).clamp(max=MOST_WEIGHT) * (counts > 0)


def of_classes(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over pixels of w_c times the cross-entropy of logits (N, 1 + K, H, W) with labels (N, K, H, W)."""
    weighted = labels * class_weights(labels)[:, None, None]
    return -(weighted * logits.log_softmax(dim=1)[:, 1:]).sum(dim=1).mean()
