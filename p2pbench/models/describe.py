"""A description of a network: its layers with output shapes, parameters and FLOPs, and its receptive field."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.flop_counter import FlopCounterMode

from p2pbench.config.plugins import is_reference
from p2pbench.config.schema import DISCRIMINATOR_STRIDES, RunConfig
from p2pbench.models.build import build_discriminator, build_generator, discriminator_in_channels
from p2pbench.models.patchgan import receptive_field


@dataclass(frozen=True)
class LayerRow:
    """One layer: its kind, the shape of its output, its parameters, its multiplications and additions."""

    name: str
    kind: str
    output: tuple[int, ...]
    """(C, H, W)."""
    parameters: int
    flops: int


def describe(config: RunConfig) -> dict[str, Any]:
    """The documented JSON of ``describe``: generator and discriminator of ``config``, for one image.

    FLOPs count a multiplication and an addition as two, convolutions only (torch's counter). The discriminator is None
    where the objective has none.
    """
    shape = config.data.crop_shape
    generator = build_generator(config)
    rows = layer_rows(generator, (config.data.channels[0], *shape), _device(config.generator.name))
    padded = list(config.padded_shape) if config.padded_shape != shape else None
    found: dict[str, Any] = {
        "generator": {"name": config.generator.name, "padded_to": padded, **_totals(generator, rows)},
        "discriminator": None,
    }
    discriminator = build_discriminator(config)
    if discriminator is not None:
        rows = layer_rows(
            discriminator, (discriminator_in_channels(config), *shape), _device(config.discriminator.name)
        )
        known = config.discriminator.name in DISCRIMINATOR_STRIDES
        found["discriminator"] = {
            "name": config.discriminator.name,
            **_totals(discriminator, rows),
            "receptive_field": receptive_field(discriminator) if known else None,
            "output_grid": list(rows[-1].output[1:]),
        }
    return found


def _device(name: str) -> str:
    """``cpu`` for a user's network, which may create tensors there, and ``meta`` for the others."""
    return "cpu" if is_reference(name) else "meta"


def layer_rows(network: nn.Module, shape: tuple[int, int, int], device: str = "meta") -> list[LayerRow]:
    """The layers of ``network`` in the order in which they run for one image of ``shape``, (C, H, W).

    On the device ``meta`` nothing is computed.
    """
    rows: list[LayerRow] = []
    names = {module: name for name, module in network.named_modules()}
    counter = FlopCounterMode(display=False)
    before = 0

    def note(module: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal before
        flops = counter.get_total_flops()
        parameters = sum(p.numel() for p in module.parameters())
        rows.append(LayerRow(names[module], _kind(module), tuple(output.shape[1:]), parameters, flops - before))
        before = flops

    network = network.to(device).eval()
    # A convolution with spectral norm counts as one layer, although modules within it compute its weight.
    parametrized = [module for module in network.modules() if parametrize.is_parametrized(module)]
    parts = {part for module in parametrized for part in module.parametrizations.modules()}  # type: ignore[union-attr]
    leaves = [m for m in network.modules() if m not in parts and (m in parametrized or not list(m.children()))]
    hooks = [module.register_forward_hook(note) for module in leaves]
    with torch.no_grad(), counter:
        network(torch.zeros(1, *shape, device=device))
    for hook in hooks:
        hook.remove()
    return rows


def _kind(module: nn.Module) -> str:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        name = "Conv2d" if isinstance(module, nn.Conv2d) else "ConvTranspose2d"
        kernel, stride = module.kernel_size[0], module.stride[0]
        return f"{name} {kernel}x{kernel}" + (f" stride {stride}" if stride > 1 else "")
    return type(module).__name__


def _totals(network: nn.Module, rows: list[LayerRow]) -> dict[str, Any]:
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "flops": sum(row.flops for row in rows),
        "layers": [
            {"name": r.name, "kind": r.kind, "output": list(r.output), "parameters": r.parameters, "flops": r.flops}
            for r in rows
        ],
    }
