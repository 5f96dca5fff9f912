"""How the steps of a run are executed: device, precision, threads, optimisers; eager, compiled or captured."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import sys
import warnings
from dataclasses import dataclass
from typing import Protocol

import torch
import torch._functorch.config as functorch
from torch import Tensor, nn

from p2pbench.config.schema import RunConfig, TrainingConfig
from p2pbench.data.batches import Batch, Batches, StreamedBatches
from p2pbench.errors import ConfigError
from p2pbench.system.hardware import keep_freed_memory
from p2pbench.training.step import Networks, Optimisers, train_step

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Engine:
    """What the steps of one run are executed on."""

    device: torch.device
    memory_format: torch.memory_format
    threads: int
    kind: str = "eager"
    """``eager``, ``compile`` or ``graph``."""


def prepare_engine(training: TrainingConfig, threads: int) -> Engine:
    """Set this process up for training: threads, float32 arithmetic, the allocator.

    Raises:
        ConfigError: a device that is not here, or an engine or precision that it does not have.
    """
    device = torch.device(available_device(training.device))
    kind = available_engine(training.engine, device)
    if training.precision == "tf32" and device.type != "cuda":
        raise ConfigError(f"training.precision is tf32, which needs CUDA; on {device.type} use fp32 or bf16")
    if training.precision == "bf16" and device.type == "mps":
        raise ConfigError("training.precision is bf16, which is not supported on mps; use fp32")
    torch.set_num_threads(threads)
    # PyTorch lets cuDNN use TF32 unless told otherwise; fp32 means fp32 here.
    torch.backends.cudnn.allow_tf32 = training.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = training.precision == "tf32"
    if device.type == "cpu":
        keep_freed_memory()
    # Measured at 256x256: channels-last helps cuDNN; on CPUs it makes Adam and the casts to bf16 copy every
    # transposed convolution's weights, and the step takes 5 to 20 % longer than in PyTorch's own layout.
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    return Engine(device, layout, threads, kind)


def available_device(device: str) -> str:
    """``device``, or for ``auto`` the best one here. Raises :class:`ConfigError` if it is not here."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    if (device == "cuda" and not cuda) or (device == "mps" and not mps):
        raise ConfigError(f"training.device is {device}, which this machine does not have; use auto or cpu")
    return device


def available_engine(engine: str, device: torch.device) -> str:
    """``engine``, or for ``auto`` the best one for ``device``. Raises :class:`ConfigError` if it cannot run there."""
    if engine == "auto":
        return "graph" if device.type == "cuda" else "eager"
    if engine == "graph" and device.type != "cuda":
        raise ConfigError(f"training.engine is graph, a CUDA graph, and the device is {device.type}; use auto or eager")
    if engine == "compile":
        if device.type not in ("cpu", "cuda"):
            raise ConfigError(f"training.engine is compile, which is not supported on {device.type}; use auto or eager")
        compilers = filter(None, (os.environ.get("CXX"), "g++", "clang++"))
        if not any(shutil.which(compiler) for compiler in compilers):
            raise ConfigError(
                "training.engine is compile, which needs a C++ compiler: neither g++ nor clang++ is here; install one, "
                "name it in CXX, or use training.engine eager"
            )
    return engine


def place_networks(networks: Networks, engine: Engine) -> Networks:
    """The networks on the engine's device, in its memory format."""

    def on_device(network: nn.Module) -> nn.Module:
        return network.to(engine.device, memory_format=engine.memory_format)  # type: ignore[call-overload, no-any-return]

    return Networks(
        on_device(networks.generator),
        None if networks.discriminator is None else on_device(networks.discriminator),
    )


def build_optimisers(networks: Networks, config: RunConfig, *, capturable: bool = False) -> Optimisers:
    """Adam for each network (pix2pix §3.3), its update fused into one kernel where the device has that.

    Args:
        capturable: for a CUDA graph: step counters and learning rate live on the device.
    """

    def adam(network: nn.Module) -> torch.optim.Optimizer:
        training = config.training
        parameters = list(network.parameters())
        device = parameters[0].device
        return torch.optim.Adam(
            parameters,
            lr=torch.tensor(training.learning_rate, device=device) if capturable else training.learning_rate,
            betas=(training.beta1, training.beta2),
            eps=1e-8,
            fused=device.type in ("cpu", "cuda"),
            capturable=capturable,
        )

    discriminator = networks.discriminator
    return Optimisers(adam(networks.generator), None if discriminator is None else adam(discriminator))


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory this process has held: on the device for CUDA, resident elsewhere."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Runner(Protocol):
    """Runs the steps of one training, in order."""

    kind: str
    """``eager``, ``compile`` or ``graph``."""

    def feed(self, step: int) -> None:
        """Enqueue the batch of ``step``."""

    def run(self) -> Tensor:
        """Enqueue the update on it; its losses, (4,), float32, on the device, are valid until the next."""


class Eager:
    def __init__(
        self,
        networks: Networks,
        optimisers: Optimisers,
        batches: Batches | StreamedBatches,
        config: RunConfig,
        kind: str = "eager",
    ) -> None:
        self.kind = kind
        self.networks, self.optimisers, self.batches, self.config = networks, optimisers, batches, config
        self._batch: Batch | None = None

    def feed(self, step: int) -> None:
        self._batch = self.batches[step]

    def run(self) -> Tensor:
        assert self._batch is not None
        return train_step(self.networks, self.optimisers, *self._batch, self.config)


def runner(
    engine: Engine,
    networks: Networks,
    optimisers: Optimisers,
    batches: Batches | StreamedBatches,
    config: RunConfig,
) -> Runner:
    """What runs the steps of ``config`` on ``engine``, from the state that networks, optimisers and dropout have now.

    Raises:
        ConfigError: a step that the engine asked for cannot run. Where ``auto`` chose it, eager steps in, and the log
            says so.
    """
    if engine.kind == "graph":
        from p2pbench.training.cuda_graph import Captured, NotCapturable

        try:
            return Captured(networks, optimisers, batches, config)
        except NotCapturable as error:
            if config.training.engine == "graph":
                raise ConfigError(f"training.engine is graph: {error}; use training.engine eager") from error
            log.warning("%s: going on with the eager engine", error)
    if engine.kind == "compile":
        compile_networks(networks, config)
        return Eager(networks, optimisers, batches, config, "compile")
    return Eager(networks, optimisers, batches, config)


def compile_networks(networks: Networks, config: RunConfig) -> None:
    """Have torch.compile make kernels of the networks' passes, in place; parameters keep their names.

    Dropout still draws from PyTorch's own generator, so that masks are those of the eager engine.

    Raises:
        ConfigError: the Wasserstein loss, whose penalty differentiates D twice.
    """
    if networks.discriminator is not None and config.objective.adversarial == "wgan-gp":
        raise ConfigError(
            "training.engine is compile and objective.adversarial wgan-gp: the gradient penalty differentiates D "
            "twice, which torch.compile does not support; use training.engine eager"
        )
    # While it traces, torch looks at the gradient of D's input, and warns itself of it.
    warnings.filterwarnings(
        "ignore", message="The .grad attribute of a Tensor that is not a leaf", category=UserWarning
    )
    # The stale gradient goes back through D twice, so that nothing its forward pass saved may be given away.
    functorch.donated_buffer = False
    for network in (networks.generator, networks.discriminator):
        if network is not None:
            network.compile(dynamic=False, options={"fallback_random": True})
