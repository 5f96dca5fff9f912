"""LPIPS as a term of G's loss (``objective.perceptual``), by another network than the one that scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from p2pbench.scoring import weights
from p2pbench.scoring.lpips import MODELS, SCALE, SHIFT, TAPS, load_heads, load_layers, maps_of


class LpipsLoss(nn.Module):
    """LPIPS v0.1 of two batches of images, differentiable in both (Zhang et al. 2018, eq. 1).

    No optimiser moves its weights, and ``train`` wakes nothing in it.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, net: str, layers: nn.Sequential, heads: list[Tensor]) -> None:
        """
        Args:
            net: a key of ``TAPS``.
            layers: the network's ``features`` up to the last layer that is compared.
            heads: the weight of each channel of each layer that is compared, (C,).
        """
        super().__init__()
        self.layers, self.taps = layers.requires_grad_(False).eval(), TAPS[net]
        self.settings: dict[str, Any] = {"net": net}
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])
        for index, head in enumerate(heads):
            self.register_buffer(f"head{index}", head)

    def forward(self, fake: Tensor, target: Tensor) -> Tensor:
        """The mean distance over images, a scalar; images are (N, 3, H, W), float32 in [-1, 1]."""
        with torch.no_grad():
            theirs = self._maps(target)
        ours = self._maps(fake)
        total = fake.new_zeros(())
        for index, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            squares = (_of_unit_length(a) - _of_unit_length(b)).square()
            total = total + (squares * self.get_buffer(f"head{index}")[:, None, None]).sum(dim=1).mean()
        return total

    def _maps(self, images: Tensor) -> list[Tensor]:
        return maps_of((images - self.shift) / self.scale, self.layers, self.taps)


def _of_unit_length(maps: Tensor) -> Tensor:
    # The square root has no gradient at 0, which maps after a ReLU reach; under it 1e-20 is LPIPS's own 1e-10.
    return maps / (maps.square().sum(dim=1, keepdim=True) + 1e-20).sqrt()


def load_lpips_loss(net: str, weights_dir: Path | None, *, fetch: bool) -> LpipsLoss:
    """The loss by the network ``net``, ``squeeze`` or ``vgg``.

    Raises:
        WeightsError: its weights are not on this machine and cannot be fetched, or are damaged.
    """
    path = weights.obtain(net, weights_dir, fetch=fetch)
    loss = LpipsLoss(net, load_layers(net, path), load_heads(net))
    loss.settings |= {"weights": path.name, "weights_sha256": weights.sha256(path)}
    return loss


def untrained_lpips_loss(net: str) -> LpipsLoss:
    """The loss by a network of random weights, whose time is that of the trained one: for benchmarks and plans."""
    import torchvision

    layers = getattr(torchvision.models, MODELS[net])(weights=None).features[: TAPS[net][-1] + 1]
    return LpipsLoss(net, layers, load_heads(net))
