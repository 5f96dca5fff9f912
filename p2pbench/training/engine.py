"""How the steps of a run are executed: device, precision, threads, optimisers; eager, compiled or captured."""

import logging
import os
import resource
import shutil
import sys
import warnings
from dataclasses import dataclass

import torch
import torch._functorch.config as functorch
from torch import Tensor, nn

from p2pbench.config.schema import RunConfig, TrainingConfig
from p2pbench.data.batches import Batch, Batches, StreamedBatches
from p2pbench.errors import ConfigError
from p2pbench.system.hardware import available_cores, keep_freed_memory
from p2pbench.training import cuda_graph
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


def prepare_engine(training: TrainingConfig, threads: int | None = None) -> Engine:
    """Set this process up for training: threads, float32 arithmetic, the allocator.

    Args:
        threads: CPU threads; unless given, ``training.threads``, or all cores where that is 0.
    Raises:
        ConfigError: the device is not on this machine, or does not have the engine or precision.
    """
    device = torch.device(available_device(training.device))
    kind = available_engine(training.engine, device)
    if training.precision == "tf32" and device.type != "cuda":
        raise ConfigError(f"training.precision is tf32, which needs CUDA; on {device.type} use fp32 or bf16")
    if training.precision == "bf16" and device.type == "mps":
        raise ConfigError("training.precision is bf16, which is not supported on mps; use fp32")
    threads = threads or training.threads or available_cores()
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
    """``device``, or for ``auto`` the fastest one of this machine.

    Raises:
        ConfigError: this machine does not have the device.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    if (device == "cuda" and not cuda) or (device == "mps" and not mps):
        raise ConfigError(f"training.device is {device}, which this machine does not have; use auto or cpu")
    return device


def available_engine(engine: str, device: torch.device) -> str:
    """``engine``, or for ``auto`` the fastest one for ``device``.

    Raises:
        ConfigError: the engine does not run on the device.
    """
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
                "training.engine is compile, which needs a C++ compiler: neither g++ nor clang++ was found; install "
                "one, name it in CXX, or use training.engine eager"
            )
    return engine


def place_networks(networks: Networks, engine: Engine) -> Networks:
    """The networks on the engine's device, in its memory format."""
    return networks.each(lambda network: network.to(engine.device, memory_format=engine.memory_format))  # type: ignore[call-overload]


def build_optimisers(networks: Networks, config: RunConfig, *, capturable: bool = False) -> Optimisers:
    """Adam for each network (pix2pix §3.3), its update fused into one kernel where the device has that.

    Args:
        capturable: keep step counters and learning rate on the device, as a CUDA graph requires.
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
    """The largest amount of memory this process has held: on the device for CUDA, resident elsewhere."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Eager:
    """Runs each step as it is written, with networks that may be compiled."""

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
        """Enqueue the batch of ``step``."""
        self._batch = self.batches[step]

    def run(self) -> Tensor:
        """Enqueue the update on that batch; returns its losses, (4,), float32, on the device, until the next step."""
        assert self._batch is not None
        return train_step(self.networks, self.optimisers, *self._batch, self.config)


def runner(
    engine: Engine, networks: Networks, optimisers: Optimisers, batches: Batches | StreamedBatches, config: RunConfig
) -> Eager | cuda_graph.Captured:
    """The runner of the steps of ``config`` on ``engine``, starting from the current state of networks and optimisers.

    Where ``auto`` chose an engine that cannot run this step, the eager one replaces it and the log says so.

    Raises:
        ConfigError: the configured engine cannot run this step.
    """
    if engine.kind == "graph":
        try:
            return cuda_graph.Captured(networks, optimisers, batches, config)
        except cuda_graph.NotCapturable as error:
            if config.training.engine == "graph":
                raise ConfigError(f"training.engine is graph: {error}; use training.engine eager") from error
            log.warning("%s: using the eager engine", error)
    if engine.kind == "compile":
        compile_networks(networks, config)
        return Eager(networks, optimisers, batches, config, "compile")
    return Eager(networks, optimisers, batches, config)


def compile_networks(networks: Networks, config: RunConfig) -> None:
    """Compile the networks' passes with torch.compile, in place; parameters keep their names.

    Dropout still draws from PyTorch's own generator, so that masks are those of the eager engine.

    Raises:
        ConfigError: the objective is the Wasserstein loss, whose penalty differentiates D twice.
    """
    if networks.discriminator is not None and config.objective.adversarial == "wgan-gp":
        raise ConfigError(
            "training.engine is compile and objective.adversarial wgan-gp: the gradient penalty differentiates D "
            "twice, which torch.compile does not support; use training.engine eager"
        )
    # While tracing, torch reads the gradient of D's input and warns about that.
    warnings.filterwarnings(
        "ignore", message="The .grad attribute of a Tensor that is not a leaf", category=UserWarning
    )
    # The stale gradient goes back through D twice, so nothing that its forward pass saved may be donated.
    functorch.donated_buffer = False
    for network in networks.by_name().values():
        network.compile(dynamic=False, options={"fallback_random": True})
