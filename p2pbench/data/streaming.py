"""Batches of a set that is larger than the device's memory: cut out of the mapped file ahead of their steps."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from p2pbench.config.schema import RunConfig
from p2pbench.data.batches import Batch, Batches, batch_of, plan_of
from p2pbench.system.hardware import let_go

MOST_OF_FREE = 0.6
"""Of a GPU's free memory, what the pairs may take; activations need the rest."""

MOST_MAPPED = 2**30
"""Bytes that training on the host keeps mapped at once: pages that were read count as the process's memory."""

LET_GO = 2**28
"""Bytes read from the file after which its pages are given back to the system, which still caches them."""


def open_batches(
    images: np.ndarray,
    config: RunConfig,
    device: torch.device,
    *,
    share: slice = slice(None),
    stream: bool | None = None,
) -> Batches | StreamedBatches:
    """The batches of ``images``, (N, H, W, C + C'), uint8 or uint16: the same bits on the device or streamed to it.

    Args:
        share: the positions of every batch that are wanted, where several processes divide it.
        stream: leave them in their file; where the device has too little room for them, unless given.
    """
    if stream is None:
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0
        stream = images.nbytes > (MOST_OF_FREE * free if device.type == "cuda" else MOST_MAPPED)
    return StreamedBatches(images, config, device, share) if stream else Batches(images, config, device, share)


class StreamedBatches:
    """As :class:`Batches`, but a thread cuts each batch out of the file while the one before is trained on.

    Two buffers, for even and odd steps. On CUDA they are pinned, the copy to the device is enqueued like any other
    work, and the thread, not the training, waits for it to end before it fills the buffer anew.
    """

    def __init__(self, images: np.ndarray, config: RunConfig, device: torch.device, share: slice = slice(None)) -> None:
        """``images``, ``share``: as those of :class:`Batches`."""
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
        if step not in self._coming:  # the first step of a sitting
            for future in self._coming.values():
                future.result()
            self._coming = {ahead: self._thread.submit(self._fill, ahead) for ahead in (step, step + 1)}
        self._coming.pop(step).result()
        pairs = self._buffers[step % 2].to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        if self._copied:
            self._copied[step % 2].record()
        batch = batch_of(pairs, self.config.data)
        self._coming[step + 2] = self._thread.submit(self._fill, step + 2)
        return batch

    def _fill(self, step: int) -> None:
        """Cut the batch of ``step`` out of the file, into its buffer."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._plan = epoch, plan_of(self.config, len(self.images), self.margin, epoch)
        if self._copied:
            self._copied[step % 2].synchronize()
        buffer = self._buffers[step % 2].numpy()
        _, height, width, _ = buffer.shape
        start = position * self.config.training.batch_size + self._first
        for row, place in enumerate(buffer, start=start):
            pair, top, left, mirror = (int(column[row]) for column in self._plan)
            cut = self.images[pair, top : top + height, left : left + width]
            place[...] = cut[:, ::-1] if mirror else cut
        self._let_go(len(buffer) * self.images[0].nbytes)

    def _let_go(self, read: int) -> None:
        self._unreturned += read
        if self._unreturned >= LET_GO:
            let_go(self.images)
            self._unreturned = 0
