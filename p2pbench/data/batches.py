"""Batches on the device, in an order and with jitter that depend on (seed, epoch, position) alone (pix2pix §6.2)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from p2pbench.config.schema import DataConfig, RunConfig
from p2pbench.data.transforms import to_model


class EpochPlan(NamedTuple):
    """For each position of an epoch: which pair, where its crop begins, whether it is mirrored; each (N,), int64."""

    pair: np.ndarray
    top: np.ndarray
    left: np.ndarray
    mirror: np.ndarray


def plan_epoch(n_pairs: int, *, seed: int, epoch: int, margin: tuple[int, int], mirror: bool) -> EpochPlan:
    """The random choices of one epoch, from a counter-based generator keyed by (seed, epoch).

    Args:
        margin: load_size - crop_size, in pixels, of height and width; crops begin at 0..margin.
    """
    random = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], dtype=np.uint64)))
    index = random.permutation(n_pairs)
    top, left = (random.integers(0, most + 1, size=n_pairs) for most in margin)
    flips = random.integers(0, 2, size=n_pairs) * int(mirror)
    return EpochPlan(index, top, left, flips)


class Batch(NamedTuple):
    """Condition and target, (N, C, H, W) and (N, C', H, W) of ``data.channels``, float32 in [-1, 1]."""

    condition: Tensor
    target: Tensor


class Batches:
    """The training pairs on the device, and the batch of every step; :class:`StreamedBatches` where they do not fit.

    An epoch has ``n // batch_size`` steps; the pairs left over are others in every epoch.
    """

    def __init__(self, images: np.ndarray, config: RunConfig, device: torch.device, share: slice = slice(None)) -> None:
        """Of every batch its ``share``, where several processes divide it.

        ``images``: (N, H, W, C + C'), uint8 or uint16, as :func:`p2pbench.data.cache.decoded` gives them.
        """
        self.config, self.share = config, share
        height, width = config.data.crop_shape
        self.margin = (images.shape[1] - height, images.shape[2] - width)
        self.steps_per_epoch = len(images) // config.training.batch_size
        self.images = torch.from_numpy(images).to(device)  # on the CPU this stays the mapped file
        self._rows, self._columns = torch.arange(height, device=device), torch.arange(width, device=device)
        self._epoch = -1
        self._plan = torch.empty(0)

    def __getitem__(self, step: int) -> Batch:
        return self.cut(self.places(step))

    def places(self, step: int) -> Tensor:
        """Where the batch of ``step`` is cut: pair, top, left, mirror of each image, (4, B), int64, on the device."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._plan = epoch, self._plan_on_device(epoch)
        size = self.config.training.batch_size
        return self._plan[:, position * size : (position + 1) * size][:, self.share]

    def cut(self, places: Tensor) -> Batch:
        """The batch at ``places``: device code only, so that a CUDA graph can hold it."""
        index, top, left, mirror = places
        pairs = crop(self.images, index, top, left, mirror, self._rows, self._columns)
        return batch_of(pairs, self.config.data)

    def _plan_on_device(self, epoch: int) -> Tensor:
        plan = plan_of(self.config, len(self.images), self.margin, epoch)
        return torch.from_numpy(np.stack(plan)).to(self.images.device, non_blocking=True)


def plan_of(config: RunConfig, n_pairs: int, margin: tuple[int, int], epoch: int) -> EpochPlan:
    """The plan of an epoch of the run of ``config``."""
    return plan_epoch(n_pairs, seed=config.training.seed, epoch=epoch, margin=margin, mirror=config.data.mirror)


def batch_of(pairs: Tensor, data: DataConfig) -> Batch:
    """What the networks see of cropped ``pairs``, (B, 6, H, W), uint8, channels-last in memory."""
    if pairs.device.type == "cpu":
        pairs = pairs.contiguous()  # measured: oneDNN is faster from NCHW than from channels-last here
    return Batch(*to_model(pairs, data))


def crop(
    images: Tensor, index: Tensor, top: Tensor, left: Tensor, mirror: Tensor, rows: Tensor, columns: Tensor
) -> Tensor:
    """Crop and mirror by indexing, on the device.

    Args:
        images: (N, L, M, C), any dtype.
        index, top, left, mirror: (B,), int64; ``mirror`` is 0 or 1.
        rows, columns: 0..H-1 and 0..W-1, int64.
    Returns:
        (B, C, H, W), channels-last in memory.
    """
    rows = top[:, None] + rows  # (B, H)
    columns = left[:, None] + torch.where(mirror[:, None] == 1, columns.flip(0), columns)  # (B, W)
    return images[index[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
