"""Checkpoints that are written while training goes on: the state is copied at once, and a thread writes the copy."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from p2pbench.errors import P2PBenchError
from p2pbench.training import checkpoint
from p2pbench.training.step import Networks, Optimisers

log = logging.getLogger(__name__)


class Writer:
    """Writes the checkpoints of one training, one at a time and in order, as whole as if training waited for each.

    It keeps a copy of the training's state in memory (U-Net-256 with Adam: 0.64 GiB). Copying that takes a tenth of the
    time that a disk takes to write it, and is all that training waits for.
    """

    def __init__(self, folder: Path, run_id: str, keep: int, world_size: int = 1) -> None:
        self._folder, self._run_id, self._keep, self._world_size = folder, run_id, keep, world_size
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._at_work: Future[None] | None = None
        self._copies: dict[str, Tensor] = {}

    def save(
        self, networks: Networks, optimisers: Optimisers, progress: checkpoint.Progress, then: Callable[[], None]
    ) -> None:
        """Have the state of this step written, and ``then`` called; returns when the state is copied.

        Raises:
            StorageError: the checkpoint before could not be written; those before it stay.
        """
        self.wait()
        copies = self._copied(checkpoint.state_of(networks, optimisers, progress))

        def write() -> None:
            checkpoint.write(self._folder, self._run_id, progress, copies, keep=self._keep, world_size=self._world_size)
            then()

        self._at_work = self._thread.submit(write)

    def wait(self) -> None:
        """Until the last checkpoint is on the disk. Raises :class:`StorageError` if it could not be written."""
        if self._at_work is not None:
            done, self._at_work = self._at_work, None
            done.result()

    def _copied(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Copies on the host, in the memory of those before: new memory costs several times the copy itself."""
        on_cuda = False
        for name, tensor in state.items():
            copy = self._copies.get(name)
            if copy is None or copy.shape != tensor.shape:
                copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
            self._copies[name] = copy.copy_(tensor, non_blocking=tensor.is_cuda)
            on_cuda |= tensor.is_cuda
        if on_cuda:
            torch.cuda.current_stream().synchronize()
        return self._copies

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Wait for the last one. What went wrong with it is raised, unless something else did before."""
        with self._thread:
            try:
                self.wait()
            except P2PBenchError as failure:
                if error is None:
                    raise
                log.warning("%s", failure)
