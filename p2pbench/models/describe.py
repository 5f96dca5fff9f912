"""A description of a network: its layers with output shapes, parameters and FLOPs, and its receptive field."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from p2pbench.config.schema import DISCRIMINATOR_STRIDES, RunConfig
from p2pbench.models.build import build_discriminator, build_generator, discriminator_in_channels
from p2pbench.models.flops import Flops
from p2pbench.models.judgement import Judgement
from p2pbench.models.multi_scale import MultiScale
from p2pbench.models.patchgan import receptive_field
from p2pbench.models.projected import SEEN_WHOLE, Projected
from p2pbench.models.unet_discriminator import UNetDiscriminator


def describe(config: RunConfig) -> dict[str, Any]:
    """The documented JSON of ``describe``: generator and discriminator of ``config``, for one image.

    FLOPs count a multiplication and an addition as two, convolutions only (torch's counter). The discriminator is None
    where the objective has none.
    """
    shape, name = config.data.crop_shape, config.generator.name
    layers, _ = _layers(build_generator(config), (config.data.channels[0], *shape))
    padded = list(config.padded_shape) if config.padded_shape != shape else None
    found: dict[str, Any] = {"generator": {"name": name, "padded_to": padded, **layers}, "discriminator": None}
    discriminator = build_discriminator(config)
    if discriminator is not None:
        name = config.discriminator.name
        layers, said = _layers(discriminator, (discriminator_in_channels(config), *shape))
        logits = (said,) if isinstance(said, Tensor) else said.logits
        fields = receptive_fields(discriminator, name, min(shape)) or [None] * len(logits)
        maps = [
            {"receptive_field": field, "output_grid": list(one.shape[2:])}
            for field, one in zip(fields, logits, strict=True)
        ]
        found["discriminator"] = {"name": name, **layers, **maps[0], "maps": maps}
    return found


WHOLE = "whole image"


def receptive_fields(discriminator: nn.Module, name: str, side: int) -> list[int | str | None]:
    """For each map of logits the side in pixels of the square that a logit depends on, or ``whole image``, of images
    whose shorter side is ``side``; None, or nothing for a network of the user's own, where it is not known. Norms by
    statistics, which see all, are not counted."""
    if isinstance(discriminator, MultiScale):
        found: list[int | str | None] = []
        for index, one in enumerate(discriminator.scales):
            for field in receptive_fields(one, name, side):
                # A pixel of an image that was shrunk is a mean over 3x3 pixels at stride 2: r pixels are 2r + 1.
                found.append((field + 1) * 2**index - 1 if isinstance(field, int) else field)
        return found
    if isinstance(discriminator, Projected):
        of_pair = [] if discriminator.of_pair is None else receptive_fields(discriminator.of_pair, "patch70", side)
        return [*of_pair, *[WHOLE if side <= SEEN_WHOLE else None] * len(discriminator.judges)]
    if isinstance(discriminator, UNetDiscriminator):
        return [WHOLE] * (1 if discriminator.of_image is None else 2)
    return [receptive_field(discriminator) or WHOLE] if name in DISCRIMINATOR_STRIDES else []


def _layers(network: nn.Module, shape: tuple[int, int, int]) -> tuple[dict[str, Any], Tensor | Judgement]:
    """Parameters and FLOPs of ``network``, and its layers in the order in which they run for an image of (C, H, W); and
    its output."""
    rows: list[dict[str, Any]] = []
    names = {module: name for name, module in network.named_modules()}
    counter, before = Flops(), 0

    def note(module: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal before
        parameters = sum(p.numel() for p in module.parameters())
        about = {"name": names[module], "kind": _kind(module), "output": list(output.shape[1:])}
        rows.append({**about, "parameters": parameters, "flops": counter.total - before})
        before = counter.total

    network = network.eval()
    # A convolution with spectral norm counts as one layer, although modules within it compute its weight.
    parametrized = [module for module in network.modules() if parametrize.is_parametrized(module)]
    parts = {part for module in parametrized for part in module.parametrizations.modules()}  # type: ignore[union-attr]
    leaves = [m for m in network.modules() if m not in parts and (m in parametrized or not list(m.children()))]
    hooks = [module.register_forward_hook(note) for module in leaves]
    with torch.no_grad(), counter:
        output = network(torch.zeros(1, *shape))
    for hook in hooks:
        hook.remove()
    parameters = sum(p.numel() for p in network.parameters())
    return {"parameters": parameters, "flops": sum(row["flops"] for row in rows), "layers": rows}, output


def _kind(module: nn.Module) -> str:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        name = "Conv2d" if isinstance(module, nn.Conv2d) else "ConvTranspose2d"
        kernel, stride = module.kernel_size[0], module.stride[0]
        return f"{name} {kernel}x{kernel}" + (f" stride {stride}" if stride > 1 else "")
    return type(module).__name__
