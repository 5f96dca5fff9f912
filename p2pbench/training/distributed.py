"""One training in several processes, a GPU or a share of the cores each: ``torchrun ... -m p2pbench train``.

Each process takes its share of every batch, and gradients are averaged before each optimiser's step, so that the
update is the one that a single process makes of the whole batch. DistributedDataParallel would not do: it averages when
a network's ``backward`` has run once for each of its forward passes, but here D runs three times for two gradients, one
of them with respect to the image alone (:mod:`p2pbench.training.step`), which its hooks do not see. One all-reduce of
all gradients is right for any objective, gradient penalty included, leaves the networks (and so their checkpoints) as
they are, and can be part of a captured step. Unlike DDP's it does not overlap with the backward pass.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError, P2PBenchError
from p2pbench.models.build import build_generator
from p2pbench.system.hardware import available_cores
from p2pbench.training import checkpoint, tensorfile
from p2pbench.training.processes import lost_processes_raise
from p2pbench.training.step import Networks, Optimisers

TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others: the first one may be decoding the pairs meanwhile."""


@dataclass(frozen=True)
class Group:
    """The processes that share one training, as one of them sees them."""

    rank: int = 0
    size: int = 1
    control: Any = None
    """A second process group over gloo, for what the hosts agree on without waiting for the device."""

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files and takes samples."""
        return self.rank == 0

    def share_of(self, batch_size: int) -> slice:
        """The positions of a batch that this process trains on: shares are disjoint and together the whole batch."""
        size = batch_size // self.size
        return slice(self.rank * size, (self.rank + 1) * size)

    def threads(self) -> int:
        """This process's share of the machine's cores."""
        return max(1, available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1") if self.size > 1 else 1))

    def check(self, config: RunConfig, device: str) -> None:
        """Raises :class:`ConfigError` where the training of ``config`` cannot be shared like this."""
        batch_size = config.training.batch_size
        if batch_size % self.size:
            raise ConfigError(
                f"training.batch_size is {batch_size}, which {self.size} processes cannot share evenly: it is the size "
                "of the whole batch; use a multiple of the number of processes"
            )
        if config.training.batch_norm == "synchronised" and self.size > 1 and device != "cuda":
            raise ConfigError(
                f"training.batch_norm is 'synchronised', which PyTorch has on CUDA alone, not on {device}; use "
                "local, or generator.norm and discriminator.norm instance or none"
            )

    def seed(self, seed: int, step: int) -> None:
        """Seed dropout's noise of ``step``: other noise for each seed, step and process, the same after a resume.

        A single process goes on with its own random state, which its checkpoint holds. The three are hashed, because
        torch's CPU generator reads no more than the lower 32 bits of its seed.
        """
        if self.size > 1:
            hashed = np.random.SeedSequence([seed, step, self.rank]).generate_state(1, np.uint64)
            torch.manual_seed(int(hashed[0]))

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor, in place, by its mean over the processes."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with lost_processes_raise():
            dist.all_reduce(flat)
        flat /= self.size
        parts = flat.split([tensor.numel() for tensor in tensors])
        torch._foreach_copy_(list(tensors), [p.view_as(t) for p, t in zip(parts, tensors, strict=True)])

    def attach(self, optimisers: Optimisers) -> None:
        """Make each optimiser average its gradients over the processes before each of its steps."""
        if self.size == 1:
            return

        def average_gradients(optimiser: torch.optim.Optimizer, *_: object) -> None:
            parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
            self.average([parameter.grad for parameter in parameters if parameter.grad is not None])

        for optimiser in optimisers.by_name().values():
            optimiser.register_step_pre_hook(average_gradients)

    def synchronise_norms(self, networks: Networks, config: RunConfig) -> Networks:
        """The networks; their batch norm uses the statistics of the whole batch where the configuration asks for it."""
        if self.size == 1 or config.training.batch_norm == "local":
            return networks
        return networks.each(nn.SyncBatchNorm.convert_sync_batchnorm)

    def for_one_process(self, generator: nn.Module, config: RunConfig) -> nn.Module:
        """The generator without synchronised norms, which would wait for other processes, for one to translate with."""
        if self.size == 1 or config.training.batch_norm == "local":
            return generator
        twin = build_generator(config).to(next(generator.parameters()).device)
        twin.load_state_dict(generator.state_dict())
        return twin

    def mean(self, losses: Tensor) -> Tensor:
        """The mean of each loss over the processes: that of the whole batch, since shares are equally large."""
        losses = losses.clone()
        self.average([losses])
        return losses

    def any_rank(self, value: bool) -> bool:
        """Whether ``value`` is true in any process; all get the same answer."""
        if self.size == 1:
            return value
        flag = torch.tensor(int(value))
        with lost_processes_raise():
            dist.all_reduce(flag, dist.ReduceOp.MAX, group=self.control)
        return bool(flag)

    def broadcast(self, value: Any) -> Any:
        """The ``value`` of the first process, a plain value or an error, in all of them."""
        if self.size == 1:
            return value
        values = [value]
        with lost_processes_raise():
            dist.broadcast_object_list(values, src=0, group=self.control)
        return values[0]

    def resume(
        self, folder: Path, run_id: str, networks: Networks, optimisers: Optimisers, steps: int
    ) -> checkpoint.Progress | None:
        """Restore the newest checkpoint in all processes: the first one reads it and sends its state to the others.

        Without a checkpoint the others take over the first one's initial networks. Arguments and result are those of
        :func:`p2pbench.training.checkpoint.load`.

        Raises:
            ConfigError: the checkpoint is of another number of processes.
        """
        if self.size == 1:
            return checkpoint.load(folder, run_id, networks, optimisers, steps=steps)
        done, problem = None, None
        if self.is_first:
            try:
                done = checkpoint.load(folder, run_id, networks, optimisers, steps=steps, world_size=self.size)
            except P2PBenchError as error:
                problem = error
        if problem := self.broadcast(problem):
            raise problem
        state = None
        if done is not None:
            tensors = checkpoint.state_of(networks, optimisers, done)
            state = checkpoint.metadata_of(done), tensorfile.on_host(tensors)
        state = self.broadcast(state)
        if state is not None and not self.is_first:
            about, tensors = state
            done = checkpoint.restore(about, tensors, networks, optimisers, steps)
        if done is None:  # from the same seed, processors of another kind may draw weights that differ in the last bits
            for network in networks.by_name().values():
                for tensor in network.state_dict().values():
                    content = tensor.contiguous().reshape(-1).view(torch.uint8)  # gloo does not know every dtype
                    dist.broadcast(content, src=0)
                    tensor.copy_(content.view(tensor.dtype).reshape(tensor.shape))
        return done


ALONE = Group()


@contextmanager
def process_group(device: str) -> Iterator[Group]:
    """The group in which torchrun started this process, over nccl on CUDA and gloo elsewhere; otherwise a group of one.

    Args:
        device: ``cuda``, ``cpu`` or ``mps``.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    if device == "cuda":
        local_rank = int(os.environ["LOCAL_RANK"])
        if local_rank >= torch.cuda.device_count():
            raise ConfigError(
                f"torchrun started process {local_rank + 1} on this machine, which has {torch.cuda.device_count()} "
                "GPUs; use --nproc-per-node with as many"
            )
        torch.cuda.set_device(local_rank)
    dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield Group(dist.get_rank(), dist.get_world_size(), dist.new_group(backend="gloo", timeout=TIMEOUT))
    finally:
        dist.destroy_process_group()
