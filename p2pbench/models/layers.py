"""The convolutions that all networks share, and their initialisation (pix2pix §6.1)."""

from __future__ import annotations

import torch
from torch import nn


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw every weight anew, in place: N(0, 0.02); batch norm's scale N(1, 0.02); every bias and shift 0 (§6.2).

    The draws come from ``generator`` alone, so that two networks of one shape and one seed start alike.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02, generator=generator)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def convolution_biases(network: nn.Module) -> list[nn.Parameter]:
    """The biases of all convolutions: what Lua's release sets to zero before each update."""
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    return [module.bias for module in convolutions if isinstance(module.bias, nn.Parameter)]
