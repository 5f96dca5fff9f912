"""What tests of later networks share: a configuration with a level's settings, seeded noise, a count of parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from p2pbench.config.resolve import Layer, resolve
from p2pbench.config.schema import RunConfig

Settings = dict[str, Any]


def config_of(settings: Settings | None = None, **more: object) -> RunConfig:
    """The defaults with ``settings`` by key (``generator.name``), and ``more`` in Python's spelling on top of them."""
    layers = [Layer("level", settings or {}), Layer("test", {k.replace("__", "."): v for k, v in more.items()})]
    return resolve(layers).config


def random(*shape: int, seed: int = 0) -> Tensor:
    """Normal noise, float32."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def parameters(network: nn.Module) -> int:
    """How many there are."""
    return sum(parameter.numel() for parameter in network.parameters())
