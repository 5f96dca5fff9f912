"""How the steps of a run are executed: device, precision, threads, optimisers; eager, compiled or captured."""

import logging
import os
import shutil
import warnings
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
import torch._functorch.config as functorch
from torch import Tensor, nn

from p2pbench.config.plugins import is_reference
from p2pbench.config.schema import RunConfig, TrainingConfig
from p2pbench.data.batches import Batch, Batches, StreamedBatches
from p2pbench.errors import ConfigError
from p2pbench.models.build import build_discriminator, build_generator
from p2pbench.system.hardware import available_cores, keep_freed_memory, peak_resident_bytes
from p2pbench.training import cuda_graph
from p2pbench.training.adam import Adam
from p2pbench.training.adaptive import Adaptive
from p2pbench.training.arithmetic import of_steps
from p2pbench.training.average import Average
from p2pbench.training.device import available_device, has_tensor_cores
from p2pbench.training.objectives.cutmix import CutMix
from p2pbench.training.pretrained import NOTHING, Pretrained
from p2pbench.training.step import Networks, Optimisers, train_step
from p2pbench.training.winner import Way, recorded_way

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Engine:
    """What the steps of one run are executed on."""

    device: torch.device
    memory_format: torch.memory_format
    threads: int
    kind: str = "eager"
    """``eager``, ``compile``, ``graph`` or ``graph+compile``."""
    search: bool = False
    """Whether cuDNN times its algorithms (``cudnn.benchmark``)."""
    sharers: int = 1
    """The processes that train on the device at once."""


def prepare_engine(training: TrainingConfig, threads: int | None = None) -> Engine:
    """Set this process up to run networks: threads, float32 arithmetic, the allocator.

    Args:
        threads: CPU threads; unless given, ``training.threads``, or all cores where that is 0.
    Raises:
        ConfigError: the device is not on this machine, or does not have the engine or precision.
    """
    device = torch.device(available_device(training.device))
    kind = available_engine(training.engine, device)
    if training.precision == "tf32" and device.type != "cuda":
        raise ConfigError(f"training.precision is tf32, which needs CUDA; on {device.type} use fp32 or bf16")
    if training.precision == "tf32" and not has_tensor_cores(device):
        raise ConfigError("training.precision is tf32, for which this GPU has no units: Ampere was the first; use fp32")
    if training.precision == "bf16" and device.type == "mps":
        raise ConfigError("training.precision is bf16, which is not supported on mps; use fp32")
    threads = threads or training.threads or available_cores()
    torch.set_num_threads(threads)
    # PyTorch lets cuDNN use TF32 unless told otherwise; fp32 means fp32 here, and tf32 is for steps alone.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    if device.type == "cuda" and training.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses to be deterministic
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a means to find errors, in every new tensor
    if device.type == "cpu":
        keep_freed_memory()
    # Measured at 256x256: channels-last helps cuDNN; on CPUs it makes Adam and the casts to bf16 copy every
    # transposed convolution's weights, and the step takes 5 to 20 % longer than in PyTorch's own layout.
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    return Engine(device, layout, threads, kind)


def engine_for(config: RunConfig, threads: int | None = None, *, sharers: int = 1) -> Engine:
    """:func:`prepare_engine` for the training of ``config``: ``auto`` takes what its networks allow.

    Args:
        sharers: the processes that train on the device at once.
    Raises:
        ConfigError: as there, or the networks have no deterministic gradient on CUDA.
    """
    engine = replace(prepare_engine(config.training, threads), sharers=sharers)
    if engine.device.type != "cuda":
        return engine
    if config.training.deterministic and config.generator.name.startswith("resnet"):
        raise ConfigError(
            f"training.deterministic is true, and generator.name {config.generator.name}: the gradient of its "
            "reflected borders has no deterministic form on CUDA; use another generator, or false"
        )
    if config.training.engine == "auto" and own_code(config):
        return replace(engine, kind="eager")  # a graph would replay one draw of Python's for ever
    if config.training.engine == "auto" and not config.training.deterministic:
        way = recorded_way(config)
        return engine if way is None else in_the_way(engine, way)
    return engine


def in_the_way(engine: Engine, way: Way) -> Engine:
    """``engine``, whose steps are run as ``way`` says."""
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    return replace(engine, kind=way.kind, memory_format=layout, search=way.search)


def own_code(config: RunConfig) -> bool:
    """Whether a network or loss of ``config`` is the user's own ``module:function``."""
    sections = [
        config.generator,
        config.objective,
        *([config.discriminator] if config.objective.has_discriminator else []),
    ]
    values = (value for section in sections for value in section.model_dump().values())
    return any(isinstance(value, str) and is_reference(value) for value in values)


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


def build_networks(config: RunConfig, pretrained: Pretrained = NOTHING) -> Networks:
    """The networks that the training of ``config`` has, freshly initialised, on the CPU."""
    generator, half_life = build_generator(config), config.training.ema
    average = None if half_life is None else Average(generator, half_life)
    adapts = config.objective.has_discriminator and config.training.augment == "ada"
    augmentation = Adaptive(config.training.ada_images) if adapts else None
    mixes, ramp = config.objective.has_discriminator, config.objective.cutmix
    mixture = CutMix(ramp) if mixes and ramp is not None else None
    discriminator = build_discriminator(config, pretrained.features)
    return Networks(generator, discriminator, average, augmentation, mixture, pretrained.perceptual)


def place_networks(networks: Networks, engine: Engine) -> Networks:
    """The networks on the engine's device, in its memory format."""
    return networks.each(lambda network: network.to(engine.device, memory_format=engine.memory_format))  # type: ignore[call-overload]


def build_optimisers(networks: Networks, config: RunConfig, *, capturable: bool = False) -> Optimisers:
    """Adam for each network (pix2pix §3.3), its update fused into one kernel where the device has that.

    Args:
        capturable: keep step counters and learning rate on the device, as a CUDA graph requires.
    """

    def adam(network: nn.Module, name: str) -> torch.optim.Optimizer:
        rate, betas = adam_settings(config.training, name)
        parameters = list(network.parameters())
        device = parameters[0].device
        return Adam(
            parameters,
            lr=torch.tensor(rate, device=device) if capturable else rate,
            betas=betas,
            eps=1e-8,
            fused=device.type in ("cpu", "cuda"),
            capturable=capturable,
        )

    discriminator = networks.discriminator
    of_d = None if discriminator is None else adam(discriminator, "discriminator")
    return Optimisers(adam(networks.generator, "generator"), of_d)


def adam_settings(training: TrainingConfig, network: str) -> tuple[float, tuple[float, float]]:
    """The learning rate of ``generator`` or ``discriminator`` and its betas: D's are G's where it has none of its own.

    Rates that differ are the two time-scale update rule (Heusel et al. 2017, §2).
    """
    rate, beta1, beta2 = training.learning_rate, training.beta1, training.beta2
    if network == "discriminator":
        own = training.discriminator_learning_rate, training.discriminator_beta1, training.discriminator_beta2
        rate, beta1, beta2 = (g if d is None else d for g, d in zip((rate, beta1, beta2), own, strict=True))
    return rate, (beta1, beta2)


def peak_memory_bytes(device: torch.device) -> int:
    """The largest amount of memory this process has held: on the device for CUDA, resident elsewhere.

    On CUDA it is what PyTorch's allocator took from the device, which no other process could use meanwhile; the
    context, some hundred MiB, is not part of it.
    """
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    return peak_resident_bytes()


class Eager:
    """Runs each step as it is written, with networks that may be compiled."""

    def __init__(
        self,
        networks: Networks,
        optimisers: Optimisers,
        batches: Batches | StreamedBatches,
        config: RunConfig,
        kind: str = "eager",
        *,
        search: bool = False,
    ) -> None:
        self.kind, self.search = kind, search
        self.networks, self.optimisers, self.batches, self.config = networks, optimisers, batches, config
        self._batch: Batch | None = None

    def feed(self, step: int) -> None:
        """Enqueue the batch of ``step``."""
        self._batch = self.batches[step]

    def run(self) -> Tensor:
        """Enqueue the update on that batch; returns its losses, (4,), float32, on the device, until the next step."""
        assert self._batch is not None
        on_cuda = self._batch.target.device.type == "cuda"
        with of_steps(self.config.training, search=self.search) if on_cuda else nullcontext():
            return train_step(self.networks, self.optimisers, *self._batch, self.config)

    def end(self) -> None:
        """Give back what the runner holds besides networks and batches: nothing here."""


def runner(
    engine: Engine, networks: Networks, optimisers: Optimisers, batches: Batches | StreamedBatches, config: RunConfig
) -> Eager | cuda_graph.Captured:
    """The runner of the steps of ``config`` on ``engine``, starting from the current state of networks and optimisers.

    Where ``auto`` chose an engine that cannot run this step, the eager one replaces it and the log says so.

    Raises:
        ConfigError: the configured engine cannot run this step.
        CaptureFailed: it was found out too late; only another process can train it eagerly.
    """
    kind = engine.kind
    if "compile" in kind:
        compile_networks(networks, config)
    if "graph" in kind:
        try:
            return cuda_graph.Captured(networks, optimisers, batches, config, kind, search=engine.search)
        except cuda_graph.NotCapturable as error:
            if config.training.engine == "graph":
                raise ConfigError(f"training.engine is graph: {error}; use training.engine eager") from error
            log.warning("%s: using the eager engine", error)
            kind = "compile" if "compile" in kind else "eager"
    return Eager(networks, optimisers, batches, config, kind, search=engine.search)


def check_compilable(config: RunConfig) -> None:
    """Raise :class:`ConfigError` where the objective has a penalty that differentiates D twice."""
    objective = config.objective
    twice = {"adversarial wgan-gp": objective.adversarial == "wgan-gp", "r1": objective.r1 > 0, "r2": objective.r2 > 0}
    if objective.has_discriminator and any(twice.values()):
        penalty = next(name for name, there in twice.items() if there)
        raise ConfigError(
            f"training.engine is compile and objective.{penalty}: the gradient penalty differentiates D twice, which "
            "torch.compile does not support; use training.engine eager"
        )


def compile_networks(networks: Networks, config: RunConfig) -> None:
    """Compile the networks' passes with torch.compile, in place; parameters keep their names.

    Dropout still draws from PyTorch's own generator, so that masks are those of the eager engine.

    Raises:
        ConfigError: the objective has a penalty that differentiates D twice.
    """
    check_compilable(config)
    # While tracing, torch reads the gradient of D's input and warns about that.
    warnings.filterwarnings(
        "ignore", message="The .grad attribute of a Tensor that is not a leaf", category=UserWarning
    )
    # The stale gradient goes back through D twice, so nothing that its forward pass saved may be donated.
    functorch.donated_buffer = False
    for network in filter(None, (networks.generator, networks.discriminator)):
        network.compile(dynamic=False, options={"fallback_random": True})
