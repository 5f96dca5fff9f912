"""The whole state of a training in one safetensors file: written while training goes on, read back to the same bits."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from p2pbench.errors import ConfigError, P2PBenchError, WeightsError, first_line
from p2pbench.system.files import atomic
from p2pbench.training import tensorfile
from p2pbench.training.memory import is_of_the_machine
from p2pbench.training.step import LOSS_NAMES, Networks, Optimisers

log = logging.getLogger(__name__)

SCHEMA = "1"


@dataclass
class Best:
    """The generator with the best validation score so far (``training.select``)."""

    epoch: int
    """Epochs done by then."""
    value: float
    """Its distance from the best by the validation score that ``training.select`` names; lower is better."""
    generator: dict[str, Tensor]
    """Its weights, copies on the CPU."""


@dataclass
class Progress:
    """How far a training has come."""

    step: int
    """Steps done."""
    rows: list[list[float]]
    """The rows of losses.csv so far."""
    pending: Tensor
    """Losses of the steps since the last row, (k, 4), float32."""
    seconds: float
    """Seconds spent training, resumed sittings included."""
    best: Best | None = None


def state_of(networks: Networks, optimisers: Optimisers, progress: Progress) -> dict[str, Tensor]:
    """Everything that a training needs to be resumed to the same bits, by name.

    The tensors are not copies: the next step changes them. Each is of a dtype that the file format knows.
    """
    tensors: dict[str, Tensor] = {}
    for role, network in networks.by_name().items():
        tensors |= {f"network.{role}.{name}": value for name, value in network.state_dict().items()}
    for role, optimiser in optimisers.by_name().items():
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{role}.{index}.{name}": value for name, value in state.items()}
    tensors["random.cpu"] = torch.get_rng_state()  # dropout draws from these
    device = next(networks.generator.parameters()).device
    if device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(device)
    tensors["losses.rows"] = torch.tensor(progress.rows, dtype=torch.float64).reshape(-1, 2 + len(LOSS_NAMES))
    tensors["losses.pending"] = progress.pending
    if progress.best is not None:
        tensors |= {f"best.{name}": tensor for name, tensor in progress.best.generator.items()}
    return {name: tensorfile.as_storable(tensor) for name, tensor in tensors.items()}


def write(
    folder: Path, run_id: str, progress: Progress, tensors: Mapping[str, Tensor], *, keep: int, world_size: int = 1
) -> None:
    """Write the checkpoint of this step to ``folder`` and keep the newest ``keep - 1`` earlier ones.

    Args:
        tensors: the result of :func:`state_of`.
        world_size: the number of processes that share the training.
    Raises:
        StorageError: the checkpoint cannot be written; earlier ones stay.
    """
    about = {"schema": SCHEMA, "run_id": run_id, **metadata_of(progress)}
    if world_size > 1:
        about["world_size"] = world_size
    path = folder / f"step-{progress.step:08d}.safetensors"
    _write_file(path, about, tensorfile.on_host(tensors))
    before = sorted((other for other in folder.glob("step-*.safetensors") if other < path), reverse=True)
    for other in set(folder.glob("step-*.safetensors")) - {path, *before[: keep - 1]}:
        if other.is_file():  # later ones are among them: damaged, so that training was resumed before them
            other.unlink(missing_ok=True)


def _write_file(path: Path, about: dict[str, Any], on_host: dict[str, Tensor]) -> None:
    about = {**about, "crc32": tensorfile.checksum(about, on_host)}
    with atomic(path) as part:
        tensorfile.write(part, on_host, {"p2pbench": json.dumps(about)})


def take_over(source: Path, source_id: str, folder: Path, run_id: str, *, world_size: int = 1) -> bool:
    """Write the newest readable checkpoint of another run as this run's own; returns whether there is one.

    Args:
        source, source_id: the folder of the other run's checkpoints, and its id.
        folder, run_id: this run's.
        world_size: the number of processes that share the training, which must be that of the other.
    Raises:
        StorageError: the checkpoint cannot be written.
    """
    for path in sorted(source.glob("step-*.safetensors"), reverse=True):
        try:
            about, tensors = read(path)
        except WeightsError as error:
            log.warning("%s", error)
            continue
        if (about.get("schema"), about.get("run_id"), about.get("world_size", 1)) == (SCHEMA, source_id, world_size):
            _write_file(folder / path.name, {**about, "run_id": run_id}, tensors)
            return True
    return False


def metadata_of(progress: Progress) -> dict[str, Any]:
    """What a checkpoint says of a training beside its tensors."""
    about: dict[str, Any] = {"step": progress.step, "seconds": progress.seconds}
    if progress.best is not None:
        about["best"] = {"epoch": progress.best.epoch, "value": progress.best.value}
    return about


def load(
    folder: Path, run_id: str, networks: Networks, optimisers: Optimisers, *, steps: int, world_size: int = 1
) -> Progress | None:
    """Restore the newest readable checkpoint in ``folder`` into the networks and optimisers; None if there is none.

    Args:
        steps: the number of steps of the whole training.
        world_size: the number of processes that share the training.
    Raises:
        ConfigError: the checkpoint is of a training with another number of processes.
        WeightsError: the checkpoints belong to another run, or none of them can be read.
    """
    damaged = []
    for path in sorted(folder.glob("step-*.safetensors"), reverse=True):
        try:
            about, tensors = read(path)
        except WeightsError as error:
            damaged.append(str(error))
            continue
        if about.get("schema") != SCHEMA or about.get("run_id") != run_id:
            raise WeightsError(f"{path} belongs to another run or version; use another --out, or remove it")
        begun = about.get("world_size", 1)
        if begun != world_size:
            raise ConfigError(
                f"{path} is of a training in {begun} process{'es' * (begun > 1)}, and this one is in {world_size}: "
                "its noise and the order of its sums would differ; resume with as many (torchrun --nproc-per-node), or "
                "start again with another --out"
            )
        try:
            progress = restore(about, tensors, networks, optimisers, steps)
        except (KeyError, ValueError, TypeError, IndexError, RuntimeError, AttributeError) as error:
            if is_of_the_machine(error):
                raise  # the checkpoint is not to blame
            damaged.append(f"{path} cannot be restored ({_gist(error)})")
            continue
        for why in damaged:
            log.warning("%s: resuming from %s", why, path.name)
        return progress
    if damaged:
        raise WeightsError(f"{'; '.join(damaged)}; remove {folder} to train from the beginning")
    return None


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The metadata of the checkpoint at ``path`` and its tensors.

    Raises:
        WeightsError: it cannot be read, or its content is not what was written.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            about = json.loads((stored.metadata() or {})["p2pbench"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        if about.pop("crc32") != tensorfile.checksum(about, tensors):
            raise ValueError("its content has changed since it was written")
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path} cannot be read ({_gist(error)})") from None
    return about, tensors


def _gist(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else first_line(error)


def _best(about: Mapping[str, Any], tensors: Mapping[str, Tensor], generator: nn.Module) -> Best | None:
    if "best" not in about:
        return None
    state = generator.state_dict()
    weights = {name: tensorfile.from_stored(tensors[f"best.{name}"], state[name]) for name in state}
    return Best(int(about["best"]["epoch"]), float(about["best"]["value"]), weights)


def save_generator(path: Path, generator: nn.Module, metadata: dict[str, str]) -> None:
    """Write the generator's weights and buffers alone, as safetensors, for :func:`load_generator`."""
    tensors = {name: tensorfile.as_storable(tensor) for name, tensor in generator.state_dict().items()}
    with atomic(path) as part:
        tensorfile.write(part, tensorfile.on_host(tensors), metadata)


def load_generator(path: Path, generator: nn.Module) -> None:
    """Load the weights and buffers that :func:`save_generator` wrote to ``path`` into ``generator``.

    Raises:
        OSError, SafetensorError, RuntimeError: the file is missing, damaged, or of another network.
    """
    _load_state(generator, load_file(path))


def _load_state(network: nn.Module, stored: Mapping[str, Tensor]) -> None:
    state = network.state_dict()
    network.load_state_dict({k: tensorfile.from_stored(v, state[k]) if k in state else v for k, v in stored.items()})


def restore(
    about: dict[str, Any], tensors: dict[str, Tensor], networks: Networks, optimisers: Optimisers, steps: int
) -> Progress:
    """Restore one checkpoint. An error may leave the networks half restored: the next checkpoint overwrites them."""
    progress = Progress(
        int(about["step"]), tensors["losses.rows"].tolist(), tensors["losses.pending"], float(about["seconds"]),
        _best(about, tensors, networks.kept),
    )  # fmt: skip
    if not 0 <= progress.step <= steps:
        raise ValueError(f"it is of step {progress.step} of {steps}")
    for name, network in networks.by_name().items():
        prefix = f"network.{name}."
        _load_state(network, {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    for name, optimiser in optimisers.by_name().items():
        prefix = f"optimiser.{name}."
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            if key.startswith(prefix):
                index, field = key.removeprefix(prefix).split(".")
                state.setdefault(int(index), {})[field] = _laid_out_as(parameters[int(index)], tensor)
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"], next(networks.generator.parameters()).device)
    return progress


def _laid_out_as(parameter: Tensor, stored: Tensor) -> Tensor:
    """A moment in its parameter's memory format, which fused Adam takes for granted."""
    if stored.shape != parameter.shape:
        return stored  # Adam's step counter
    return torch.empty_like(parameter, memory_format=torch.preserve_format).copy_(stored).detach()


class Writer:
    """Writes the checkpoints of one training in a thread, one at a time and in order, while training goes on.

    It keeps a copy of the training's state in memory (U-Net-256 with Adam: 0.64 GiB). Training waits for the copying
    only, which takes a tenth of the time of writing to a disk.
    """

    def __init__(self, folder: Path, run_id: str, keep: int, world_size: int = 1) -> None:
        self._folder, self._run_id, self._keep, self._world_size = folder, run_id, keep, world_size
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None
        self._copies: dict[str, Tensor] = {}

    def save(self, networks: Networks, optimisers: Optimisers, progress: Progress, then: Callable[[], None]) -> None:
        """Copy the state of this step, then write it and call ``then`` in the thread.

        Raises:
            StorageError: the previous checkpoint could not be written; earlier ones stay.
        """
        self.wait()
        copies = self._copied(state_of(networks, optimisers, progress))

        def write_copies() -> None:
            write(self._folder, self._run_id, progress, copies, keep=self._keep, world_size=self._world_size)
            then()

        self._pending = self._thread.submit(write_copies)

    def wait(self) -> None:
        """Wait until the last checkpoint is on the disk. Raises :class:`StorageError` if it could not be written."""
        if self._pending is not None:
            done, self._pending = self._pending, None
            done.result()

    def _copied(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Copies on the host that reuse the memory of the previous ones: new memory costs several times the copying."""
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
        """Wait for the last checkpoint. Its error is raised, or logged if the block already raised another."""
        with self._thread:
            try:
                self.wait()
            except P2PBenchError as failure:
                if error is None:
                    raise
                log.warning("%s", failure)
