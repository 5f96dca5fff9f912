"""One training in several processes, a GPU or a share of the cores each: ``torchrun ... -m p2pbench train``.

Each process takes its share of every batch; gradients are averaged before each optimiser's step, so that the update is
the one that a single process makes of the whole batch. Not DistributedDataParallel: it averages when a network's
``backward`` has run once for each of its forward passes, but here D is run three times for two gradients, one of them
with respect to the image alone (:mod:`p2pbench.training.step`), which its hooks do not see. A plain all-reduce
of all gradients at once is right for any objective, gradient penalty included, leaves the networks (and so their
checkpoints) as they are, and can be part of a captured step. It does not overlap with the backward pass: DDP could hide
some of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError, P2PBenchError, TrainingError
from p2pbench.models.build import build_generator
from p2pbench.system.hardware import available_cores
from p2pbench.training import checkpoint
from p2pbench.training.step import Networks, Optimisers

TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others; the first may be decoding the pairs meanwhile."""


@dataclass(frozen=True)
class Group:
    """The processes of one training, as one of them sees them."""

    rank: int = 0
    size: int = 1
    control: Any = None
    """A second, gloo group for what the hosts agree on: asking over it does not make them wait for the device."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share_of(self, batch_size: int) -> slice:
        """The positions of a batch that are this process's: disjoint, together all of them."""
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
        """What dropout draws from in ``step``: other noise in every process and step, the same after a resume.

        A single process goes on with its own random state, which its checkpoint holds.
        """
        if self.size > 1:
            torch.manual_seed((seed * 2**20 + step) * 2**10 + self.rank)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Put in place of each tensor its mean over the processes."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with lost_processes_told():
            dist.all_reduce(flat)
        flat /= self.size
        parts = flat.split([tensor.numel() for tensor in tensors])
        torch._foreach_copy_(list(tensors), [p.view_as(t) for p, t in zip(parts, tensors, strict=True)])

    def attach(self, optimisers: Optimisers) -> None:
        """Have gradients averaged before each step of each optimiser."""
        if self.size == 1:
            return

        def average_gradients(optimiser: torch.optim.Optimizer, *_: object) -> None:
            parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
            self.average([parameter.grad for parameter in parameters if parameter.grad is not None])

        for optimiser in (optimisers.generator, optimisers.discriminator):
            if optimiser is not None:
                optimiser.register_step_pre_hook(average_gradients)

    def synchronise_norms(self, networks: Networks, config: RunConfig) -> Networks:
        """The networks, batch norm with the statistics of the whole batch where the configuration asks for it."""
        if self.size == 1 or config.training.batch_norm == "local":
            return networks

        def synchronised(network: nn.Module) -> nn.Module:
            return nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-any-return]

        discriminator = networks.discriminator
        return Networks(
            synchronised(networks.generator), None if discriminator is None else synchronised(discriminator)
        )

    def as_alone(self, generator: nn.Module, config: RunConfig) -> nn.Module:
        """The generator for one process to translate with: synchronised norms would wait for the others."""
        if self.size == 1 or config.training.batch_norm == "local":
            return generator
        twin = build_generator(config).to(next(generator.parameters()).device)
        twin.load_state_dict(generator.state_dict())
        return twin

    def mean(self, losses: Tensor) -> Tensor:
        """The mean of each loss over the processes, whose shares are equally large: that of the whole batch."""
        losses = losses.clone()
        self.average([losses])
        return losses

    def any(self, said: bool) -> bool:
        """Whether any process says so: all hear the same."""
        if self.size == 1:
            return said
        flag = torch.tensor(int(said))
        with lost_processes_told():
            dist.all_reduce(flag, dist.ReduceOp.MAX, group=self.control)
        return bool(flag)

    def tell(self, value: Any) -> Any:
        """What the first process says, a plain value or an error, in all of them."""
        if self.size == 1:
            return value
        said = [value]
        with lost_processes_told():
            dist.broadcast_object_list(said, src=0, group=self.control)
        return said[0]

    def resume(
        self, folder: Path, run_id: str, networks: Networks, optimisers: Optimisers, steps: int
    ) -> checkpoint.Progress | None:
        """As :func:`p2pbench.training.checkpoint.load`: the first process reads; all go on from its very state.

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
        if problem := self.tell(problem):
            raise problem
        with TemporaryDirectory() as scratch:
            content = None
            if done is not None:
                state = checkpoint.state_of(networks, optimisers, done)
                checkpoint.write(Path(scratch), run_id, done, state, keep=1, world_size=self.size)
                content = next(Path(scratch).glob("*.safetensors")).read_bytes()
            content = self.tell(content)
            if content is not None and not self.is_first:
                (Path(scratch) / "step-00000000.safetensors").write_bytes(content)
                done = checkpoint.load(Path(scratch), run_id, networks, optimisers, steps=steps, world_size=self.size)
        if done is None:  # another processor may draw other last bits from the same seed
            for network in (networks.generator, networks.discriminator):
                for tensor in network.state_dict().values() if network is not None else ():
                    dist.broadcast(tensor, src=0)
        return done


ALONE = Group()


def launched() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def process_group(device: str) -> Iterator[Group]:
    """The group that torchrun started this process in, over nccl on CUDA and gloo elsewhere; else a group of one.

    Args:
        device: ``cuda``, ``cpu`` or ``mps``.
    """
    if not launched():
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


@contextmanager
def lost_processes_told() -> Iterator[None]:
    """Raise :class:`TrainingError` where another process does not take part."""
    try:
        yield
    except RuntimeError as error:
        raise TrainingError(
            f"another process of this training has ended ({str(error).splitlines()[0][:120]}); go on from the last "
            "checkpoint with --resume, with as many processes"
        ) from error
