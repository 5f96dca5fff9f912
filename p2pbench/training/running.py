"""How a step is run: as it stands, with compiled networks, or as one captured CUDA graph (:mod:`.graph`)."""

from __future__ import annotations

import logging
import warnings
from typing import Protocol

import torch._functorch.config as functorch
from torch import Tensor

from p2pbench.config.schema import RunConfig
from p2pbench.data.batches import Batch, Batches
from p2pbench.data.streaming import StreamedBatches
from p2pbench.errors import ConfigError
from p2pbench.training.engine import Engine
from p2pbench.training.step import Networks, Optimisers, train_step

log = logging.getLogger(__name__)


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
