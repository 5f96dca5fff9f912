"""Batches in an order and with jitter that depend on (seed, epoch, position) alone (pix2pix §6.2).

They are cut from pairs on the device or, for a set larger than its memory, out of the mapped file ahead of their steps.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from p2pbench.config.schema import DataConfig, RunConfig
from p2pbench.data.transforms import to_model
from p2pbench.system.hardware import let_go


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

    An epoch has ``n // batch_size`` steps; each epoch leaves other pairs over.
    """

    def __init__(self, images: np.ndarray, config: RunConfig, device: torch.device, share: slice = slice(None)) -> None:
        """Hold ``images`` on the device.

        Args:
            images: (N, H, W, C + C'), uint8 or uint16, as :func:`p2pbench.data.cache.decoded` gives them.
            share: the positions of every batch that are wanted, where several processes divide it.
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
        return self.cut(self.crops(step))

    def crops(self, step: int) -> Tensor:
        """The crops of the batch of ``step``: pair, top, left, mirror of each, (4, B), int64, on the device."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            plan = np.stack(plan_of(self.config, len(self.images), self.margin, epoch))
            device = self.images.device  # only CUDA has read an unpinned array when the call returns
            self._epoch, self._plan = epoch, torch.from_numpy(plan).to(device, non_blocking=device.type == "cuda")
        size = self.config.training.batch_size
        return self._plan[:, position * size : (position + 1) * size][:, self.share]

    def cut(self, crops: Tensor) -> Batch:
        """The batch of these :meth:`crops`: device code only, so that a CUDA graph can hold it."""
        index, top, left, mirror = crops
        pairs = crop(self.images, index, top, left, mirror, self._rows, self._columns)
        return batch_of(pairs, self.config.data)


def plan_of(config: RunConfig, n_pairs: int, margin: tuple[int, int], epoch: int) -> EpochPlan:
    """The plan of one epoch of the run that ``config`` describes."""
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
    # CUDA indexes no uint16 (IndexKernel.cu), but these bits by any name of their size.
    bits = images.view(torch.int16) if images.dtype == torch.uint16 else images
    cut = bits[index[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return cut.view(images.dtype)


# ---- sets that are larger than the device's memory

MOST_OF_FREE = 0.6
"""The share of a GPU's free memory that the pairs may take; activations need the rest."""

MOST_MAPPED = 2**30
"""Maximum bytes that training on the host maps at once: pages that were read count as the process's memory."""

LET_GO = 2**28
"""Bytes read from the file after which its pages are given back to the system, which still caches them."""


def open_batches(
    images: np.ndarray,
    config: RunConfig,
    device: torch.device,
    *,
    share: slice = slice(None),
    sharers: int = 1,
    stream: bool | None = None,
) -> Batches | StreamedBatches:
    """The batches of ``images``, (N, H, W, C + C'), uint8 or uint16: the same bits on the device or streamed to it.

    Args:
        share: the positions of every batch that are wanted, where several processes divide it.
        sharers: the processes that train on the device; none may count on more than its part of the memory.
        stream: whether to leave them in their file; by default only where the device has too little memory for them.
    """
    if stream is None:
        room: float = MOST_MAPPED
        if device.type == "cuda":
            free, total = torch.cuda.mem_get_info(device)  # those that start at once see all of it free
            room = MOST_OF_FREE * min(free, total / sharers)
        stream = images.nbytes > room
    return StreamedBatches(images, config, device, share) if stream else Batches(images, config, device, share)


class StreamedBatches:
    """Like :class:`Batches`, but a thread cuts each batch out of the file during the step before it.

    There are two buffers, for even and odd steps. On CUDA they are pinned, the copy to the device is enqueued like any
    other work, and the thread, not the training, waits for it to end before it fills the buffer anew.
    """

    def __init__(self, images: np.ndarray, config: RunConfig, device: torch.device, share: slice = slice(None)) -> None:
        """Keep ``images`` in their file; the arguments are those of :class:`Batches`."""
        self.config, self.device, self.images = config, device, images
        rows = range(config.training.batch_size)[share]
        self._first = rows.start
        size, (height, width) = config.training.batch_size, config.data.crop_shape
        self.margin = (images.shape[1] - height, images.shape[2] - width)
        self.steps_per_epoch = len(images) // size
        on_cuda = device.type == "cuda"
        like = torch.from_numpy(images[:1]).new_empty((len(rows), height, width, images.shape[3]))
        self._buffers = [like.pin_memory() if on_cuda else like.clone() for _ in range(2)]
        self._copied = [torch.cuda.Event() for _ in range(2)] if on_cuda else []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._coming: dict[int, Future[None]] = {}
        self._epoch, self._plan = 0, plan_of(config, len(images), self.margin, 0)
        self._unreturned = 0

    def __getitem__(self, step: int) -> Batch:
        if step not in self._coming:  # the first step since it was opened or resumed
            for future in self._coming.values():
                future.result()
            self._coming = {ahead: self._thread.submit(self._fill, ahead) for ahead in (step, step + 1)}
        self._coming.pop(step).result()
        # Elsewhere the buffer is not pinned, and no event says when it may be filled anew.
        pairs = self._buffers[step % 2].to(self.device, non_blocking=self.device.type == "cuda").permute(0, 3, 1, 2)
        if self._copied:
            self._copied[step % 2].record()
        batch = batch_of(pairs, self.config.data)
        self._coming[step + 2] = self._thread.submit(self._fill, step + 2)
        return batch

    def _fill(self, step: int) -> None:
        """Cut the batch of ``step`` out of the file into its buffer."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._plan = epoch, plan_of(self.config, len(self.images), self.margin, epoch)
        if self._copied:
            self._copied[step % 2].synchronize()
        buffer = self._buffers[step % 2].numpy()
        _, height, width, _ = buffer.shape
        start = position * self.config.training.batch_size + self._first
        for row, image in enumerate(buffer, start=start):
            pair, top, left, mirror = (int(column[row]) for column in self._plan)
            cut = self.images[pair, top : top + height, left : left + width]
            image[...] = cut[:, ::-1] if mirror else cut
        self._unreturned += len(buffer) * self.images[0].nbytes
        if self._unreturned >= LET_GO:
            let_go(self.images)
            self._unreturned = 0
