"""Translate one picture of any size: whole, or above a limit in tiles that overlap and are blended.

A tile sees nothing beyond its border and, but in the mode ``eval``, is normalised by its own statistics, so that tiles
of one picture differ where they meet. Of the ``OVERLAP`` the outer quarters are context alone; across its middle one
tile fades into the other.

Measured with two U-Nets trained on facades at 64x64, on label maps of 1024x768 pixels in tiles of 512, against the
whole picture: 99 % of the values lie within 1 to 5 grey levels in ``eval`` (0.2 or less in the mean), within 8 to 15
in ``instance-stats`` (1.7 to 3.4), and within 19 to 30 in ``paper`` (4.2 to 6.5, with the noise that each tile has).
Single values are further off in every mode, by 25 to 59 levels in ``eval``.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from torch import nn

from p2pbench.data.images import Stored
from p2pbench.inference.generator import Model, translate
from p2pbench.models.attention import SelfAttention
from p2pbench.models.residual_unet import ChannelAttention

TILE = 1024
"""Height and width of a tile, in pixels. A picture of no more than ``TILE**2`` pixels is translated whole."""
OVERLAP = 128


def output_of(model: Model, picture: Stored, **how: Any) -> np.ndarray:
    """What :func:`translate_picture` makes, told ``how``, of what a file holds.

    Raises:
        UnsupportedImage: the picture is not of the kind that the model was trained on.
    """
    return translate_picture(model, model.as_condition(picture), **how)


def translate_picture(
    model: Model,
    image: np.ndarray,
    *,
    mode: str | None = None,
    seed: int | None = None,
    before_each: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """The output of ``model`` for one condition, (H, W, C), uint8 or uint16, at its own size: (H, W, C').

    Args:
        mode, seed: the inference mode and the noise; by default those of the run's scores.
        before_each: called before each tile of a large picture; what it raises ends the work.
    """
    config = model.config
    seed = config.training.seed if seed is None else seed
    mode = mode or config.scoring.inference

    def whole(part: np.ndarray, key: int) -> np.ndarray:
        key = 0 if config.generator.noise else key  # it decides the look of the whole picture
        before_each()
        (output,) = translate(
            model.generator, part[None], config.data, seed=seed, mode=mode, keys=[key], deep=model.deep
        )
        return np.asarray(output)

    height, width = image.shape[:2]
    if not is_tiled(image):
        return whole(image, 0)
    tall, wide = min(TILE, height), min(TILE, width)
    weight = np.minimum.outer(fade(tall), fade(wide))[..., None]
    total, weights = np.zeros((), np.float32), np.zeros((height, width, 1), np.float32)
    dtype = np.dtype(np.uint8)
    for number, (top, left) in enumerate(product(starts(height, tall), starts(width, wide))):
        box = slice(top, top + tall), slice(left, left + wide)
        output = whole(image[box], number << 32)  # each tile has noise of its own
        if number == 0:
            total, dtype = np.zeros((height, width, output.shape[2]), np.float32), output.dtype
        total[box] += output * weight
        weights[box] += weight
    total /= weights
    return total.round().astype(dtype)


def is_tiled(image: np.ndarray) -> bool:
    """Whether ``image``, (H, W, C), goes in tiles."""
    return bool(image.shape[0] * image.shape[1] > TILE**2)


def seams(model: Model, mode: str | None = None) -> str:
    """What to say of pictures that go in tiles: how these are joined, and in which mode seams are fainter.

    Args:
        mode: the inference mode that they are translated in; unless given, the model's own.
    """
    mode = mode or model.config.scoring.inference
    said = f"tiles of {TILE}x{TILE} pixels, which overlap by {OVERLAP} and fade into each other"
    modules = list(model.generator.modules())
    if any(isinstance(module, SelfAttention | ChannelAttention) for module in modules):
        return f"{said}; the network looks at all of a tile at once, so that they differ in every mode"
    has_statistics = any(isinstance(module, nn.BatchNorm2d) for module in modules)
    if mode == "eval" or not has_statistics:
        return said
    return f"{said}; in the mode {mode} each is normalised by itself and they differ, less so with --inference eval"


def starts(length: int, tile: int) -> list[int]:
    """Where tiles begin that cover ``length`` pixels, evenly spread; neighbours overlap by ``OVERLAP`` or more."""
    count = 1 if length == tile else -(-(length - OVERLAP) // (tile - OVERLAP))
    return [round(start) for start in np.linspace(0, length - tile, count)]


def fade(tile: int) -> np.ndarray:
    """(tile,), float32: the weight of a tile's pixels, next to none near its borders, then rising to 1."""
    from_border = np.minimum(np.arange(1, tile + 1), np.arange(tile, 0, -1))
    return np.asarray(np.clip((from_border - OVERLAP / 4) / (OVERLAP / 2), 1e-4, 1), np.float32)
