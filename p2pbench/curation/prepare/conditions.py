"""Conditions made from a photo: grey, edges (Canny's or a network's), a blur, a hole, a lower resolution.

All functions take and return (H, W, 3), uint8 or uint16 over the whole range of the type, and depend on their arguments
alone. A network's edges have 8 bits, which are spread over 16 where the photo has as many.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFilter
from scipy import ndimage

from p2pbench.curation.prepare.hed import Detector, read_detector
from p2pbench.data import photos
from p2pbench.data.images import as_scored, resize
from p2pbench.errors import ConfigError, unknown

DEFAULTS: dict[str, dict[str, Any]] = {
    "gray": {},
    "edges": {"sigma": 1.5},
    "hed": {"hed_weights": None},
    "blur": {"radius": 4.0},
    "mask": {"hole": "box", "fill": "gray"},
    "downscale": {"factor": 4},
}
"""Every condition with its parameters and their defaults; None means that it must be given."""
HOLES = ("box", "strokes")


def parameters_of(condition: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of ``condition``, if there is one: those ``given`` (None is not given), else the defaults.

    ``hed_weights``, the path of a file, becomes the :class:`Detector` with these weights.

    Raises:
        ConfigError: there is no such condition, it has no such parameter, or a value out of range.
        WeightsError: ``hed_weights`` is not the network's.
    """
    if condition is not None and condition not in DEFAULTS:
        raise ConfigError(unknown("condition", condition, DEFAULTS))
    defaults = DEFAULTS[condition] if condition else {}
    chosen = {name: value for name, value in given.items() if value is not None}
    for name in chosen.keys() - defaults.keys():
        (owner,) = (other for other, parameters in DEFAULTS.items() if name in parameters)
        option, but = f"--{name.replace('_', '-')}", f", not {condition}" if condition else ""
        raise ConfigError(f"{option} belongs to --condition {owner}{but}; leave it out")
    parameters = defaults | chosen
    for name in ("sigma", "radius"):
        if name in parameters and not 0 < parameters[name] <= 100:
            raise ConfigError(f"--{name} is {parameters[name]}: give pixels above 0, up to 100")
    if "factor" in parameters and not 2 <= parameters["factor"] <= 64:
        raise ConfigError(f"--factor is {parameters['factor']}: give a whole number from 2 to 64")
    if "hole" in parameters:
        if parameters["hole"] not in HOLES:
            raise ConfigError(unknown("hole", parameters["hole"], HOLES))
        _colour(parameters["fill"])
    if "hed_weights" in parameters:
        parameters["hed_weights"] = read_detector(parameters["hed_weights"])
    return parameters


def make_condition(photo: np.ndarray, condition: str, parameters: Mapping[str, Any], key: str) -> np.ndarray:
    """The ``condition`` of ``photo``; ``parameters`` as :func:`parameters_of` gives them, ``key`` decides a hole."""
    match condition:
        case "blur":
            return blur(photo, **parameters)
        case "mask":
            return mask(photo, key=key, **parameters)
        case "downscale":
            return downscale(photo, **parameters)
        case "hed":
            detector: Detector = parameters["hed_weights"]
            edges = detector(as_scored(photo))
            return edges if photo.dtype == np.uint8 else edges * np.uint16(257)
    return photos.condition_of(photo, condition, **parameters)


def blur(photo: np.ndarray, *, radius: float) -> np.ndarray:
    """A Gaussian of standard deviation ``radius`` pixels, as Pillow makes it: three box filters in a row.

    Pillow filters 8 bits alone. Of 16 it is the Gaussian itself, cut off at four deviations.
    """
    if photo.dtype == np.uint16:
        smooth = ndimage.gaussian_filter(photo.astype(np.float32), radius, axes=(0, 1), mode="nearest")
        return np.asarray(smooth.round().astype(np.uint16))
    return np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(radius)))


def downscale(photo: np.ndarray, *, factor: int) -> np.ndarray:
    """Scaled down by ``factor`` and back up, bicubic with antialiasing: single-image super-resolution's input."""
    height, width, _ = photo.shape
    small = resize(photo, (max(1, round(height / factor)), max(1, round(width / factor))), "bicubic")
    return resize(small, (height, width), "bicubic")


def mask(photo: np.ndarray, *, hole: str, fill: str, key: str) -> np.ndarray:
    """``photo`` with a hole where ``key`` puts it, filled with the colour ``fill`` (a name or #rrggbb).

    Args:
        hole: ``box``, half as high and half as wide as the photo, anywhere in it (a quarter of the area, as the central
            region of Pathak et al. 2016); or ``strokes``, one to four of a brush, as free-form holes are drawn by Yu et
            al. 2019.
    """
    height, width = photo.shape[:2]
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:16]))
    place = Image.new("1", (width, height))
    draw = ImageDraw.Draw(place)
    if hole == "box":
        high, wide = max(1, height // 2), max(1, width // 2)
        top, left = (int(random.integers(0, room + 1)) for room in (height - high, width - wide))
        draw.rectangle((left, top, left + wide - 1, top + high - 1), fill=1)
    else:
        for _ in range(random.integers(1, 5)):
            _stroke(draw, random, width, height)
    colour = np.array(_colour(fill), photo.dtype) * (np.iinfo(photo.dtype).max // 255)
    return np.where(np.asarray(place)[..., None], colour, photo).astype(photo.dtype)


def _stroke(draw: ImageDraw.ImageDraw, random: np.random.Generator, width: int, height: int) -> None:
    """Two to six straight pieces of a round brush, each beginning where the one before ended, kept in the image."""
    side = min(width, height)
    brush = side * random.uniform(1 / 16, 1 / 8)
    at = random.uniform((0, 0), (width - 1, height - 1))
    for _ in range(random.integers(2, 7)):
        angle, length = random.uniform(0, 2 * np.pi), side * random.uniform(1 / 8, 1 / 3)
        to = np.clip(at + length * np.array([np.cos(angle), np.sin(angle)]), 0, (width - 1, height - 1))
        draw.line([*at, *to], fill=1, width=max(1, round(brush)))
        for end in (at, to):
            draw.ellipse([*(end - brush / 2), *(end + brush / 2)], fill=1)
        at = to


def _colour(name: str) -> tuple[int, ...]:
    try:
        colour: tuple[int, ...] = ImageColor.getrgb(name)
    except ValueError:
        colour = ()
    if len(colour) != 3:
        raise ConfigError(f"--fill is {name!r}: give a colour's name or #rrggbb, as in gray or #808080")
    return colour
