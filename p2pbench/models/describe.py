"""A description of a network: its layers with output shapes, parameters and FLOPs, and its receptive field."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.flop_counter import FlopCounterMode

from p2pbench.config.plugins import is_reference
from p2pbench.config.schema import DISCRIMINATOR_STRIDES, RunConfig
from p2pbench.models.build import build_discriminator, build_generator, discriminator_in_channels
from p2pbench.models.patchgan import receptive_field


def describe(config: RunConfig) -> dict[str, Any]:
    """The documented JSON of ``describe``: generator and discriminator of ``config``, for one image.

    FLOPs count a multiplication and an addition as two, convolutions only (torch's counter). The discriminator is None
    where the objective has none.
    """
    shape, name = config.data.crop_shape, config.generator.name
    layers = _layers(build_generator(config), name, (config.data.channels[0], *shape))
    padded = list(config.padded_shape) if config.padded_shape != shape else None
    found: dict[str, Any] = {"generator": {"name": name, "padded_to": padded, **layers}, "discriminator": None}
    discriminator = build_discriminator(config)
    if discriminator is not None:
        name = config.discriminator.name
        layers = _layers(discriminator, name, (discriminator_in_channels(config), *shape))
        found["discriminator"] = {
            "name": name,
            **layers,
            "receptive_field": receptive_field(discriminator) if name in DISCRIMINATOR_STRIDES else None,
            "output_grid": layers["layers"][-1]["output"][1:],
        }
    return found


def _layers(network: nn.Module, name: str, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Parameters and FLOPs of ``network``, and its layers in the order in which they run for an image of (C, H, W)."""
    device = "cpu" if is_reference(name) else "meta"  # a user's network may create tensors; else nothing is computed
    rows: list[dict[str, Any]] = []
    names = {module: name for name, module in network.named_modules()}
    counter = FlopCounterMode(display=False)
    before = 0

    def note(module: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal before
        flops = counter.get_total_flops()
        parameters = sum(p.numel() for p in module.parameters())
        about = {"name": names[module], "kind": _kind(module), "output": list(output.shape[1:])}
        rows.append({**about, "parameters": parameters, "flops": flops - before})
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
    parameters = sum(p.numel() for p in network.parameters())
    return {"parameters": parameters, "flops": sum(row["flops"] for row in rows), "layers": rows}


def _kind(module: nn.Module) -> str:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        name = "Conv2d" if isinstance(module, nn.Conv2d) else "ConvTranspose2d"
        kernel, stride = module.kernel_size[0], module.stride[0]
        return f"{name} {kernel}x{kernel}" + (f" stride {stride}" if stride > 1 else "")
    return type(module).__name__
