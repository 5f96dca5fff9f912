"""The options of ``p2pbench data prepare``, checked together: what is to be done to a folder of images."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2pbench.config.resolve import Layer, resolve
from p2pbench.config.schema import DataConfig
from p2pbench.curation.prepare.conditions import parameters_of
from p2pbench.curation.prepare.hed import Detector
from p2pbench.curation.prepare.sources import parse_patterns
from p2pbench.curation.prepare.splits import Shares, parse_shares, read_table
from p2pbench.errors import ConfigError, unknown

FITS = ("crop", "stretch")
FORMATS = ("png", "jpg", "tif")
LARGEST = 16384
"""Maximum side in pixels; more is a typing error."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what is written, except the images themselves."""

    make: str
    """``condition``: from a photo; ``combine``: from two images; ``halves``: two images from a side-by-side one."""
    condition: str | None
    parameters: Mapping[str, Any]
    size: tuple[int, int] | None
    """Height and width of each half, or None: as the images are."""
    fit: str
    """``crop``: scale until the size is covered, and cut the middle out; ``stretch``: scale both sides apart."""
    names: tuple[str, str] | None
    """How the files of A and of B are named, with ``*`` for what they have in common; None where alike."""
    labels: str | None
    """The half, ``a`` or ``b``, that holds labels: resized to the nearest pixel, so that no colour is invented."""
    shares: Shares | None
    table: Mapping[str, str] | None
    """The split of each name. Without it and without shares: the source's own folders, else :data:`SHARES`."""
    seed: int
    format: str
    quality: int | None
    """The quality of JPEG, 1 to 100."""
    background: str | None = None
    """The colour behind transparency; None: what is transparent is refused, or kept as data by TIFF."""
    ranges: tuple[tuple[float, float] | None, tuple[float, float] | None] = (None, None)
    """Of A and of B, the values that become black and white in 16 bits; None: numbers stay as they are."""

    def settings(self) -> dict[str, Any]:
        """The settings as plain values; a network is named by its weights' hash. The split is recorded apart."""
        return {
            "make": self.make,
            "condition": self.condition,
            **{name: value.sha256 if isinstance(value, Detector) else value for name, value in self.parameters.items()},
            "size": None if self.size is None else list(self.size),
            "names": None if self.names is None else list(self.names),
            "ranges": None if self.ranges == (None, None) else [limits and list(limits) for limits in self.ranges],
            **{name: getattr(self, name) for name in ("fit", "labels", "seed", "format", "quality", "background")},
        }


def build_recipe(
    *,
    condition: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    combine: bool = False,
    halves: bool = False,
    size: str | None = None,
    fit: str | None = None,
    names: str | None = None,
    labels: str | None = None,
    split: str | None = None,
    split_file: Path | None = None,
    seed: int = 0,
    image_format: str = "png",
    quality: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Recipe:
    """The recipe that the options describe; None is not given.

    Args:
        settings: ``data.range`` and ``data.background``, which say how images are read, as training has them.
    Raises:
        ConfigError: an unknown name, a value out of range, or options that exclude each other.
        WeightsError: the file of a network's weights holds something else.
    """
    if (condition is not None) + combine + halves > 1:
        raise ConfigError(
            "--condition, --halves and two sides (--with, --names, or a source with folders of A and B) exclude each "
            "other: prepare one thing at a time; of a source with two sides, name one side's folder to make conditions"
        )
    make = "combine" if combine else "halves" if halves else "condition"
    if make == "condition":
        condition = condition or "gray"
    if split is not None and split_file is not None:
        raise ConfigError("--split and --split-file exclude each other: give one of them")
    _check_encoding(image_format, quality, labels)
    _check_geometry(make, size, fit, labels)
    data = _reading(settings or {})
    return Recipe(
        make=make,
        condition=condition,
        parameters=parameters_of(condition, parameters or {}),
        size=None if size is None else _parse_size(size),
        fit=fit or "crop",
        names=None if names is None else parse_patterns(names),
        labels=labels,
        shares=None if split is None else parse_shares(split),
        table=None if split_file is None else read_table(split_file),
        seed=seed,
        format=image_format,
        quality=(95 if quality is None else quality) if image_format == "jpg" else None,
        background=data.background,
        ranges=data.range or (None, None),
    )


def _reading(settings: Mapping[str, Any]) -> DataConfig:
    for key in settings.keys() - {"data.range", "data.background"}:
        raise ConfigError(
            f"--set {key}: data prepare has data.range and data.background, which say how images are read; --format "
            "tif keeps numbers and channels of any kind, and conditions are made from RGB and grey photos"
        )
    return resolve([Layer("--set", settings)]).config.data


def _check_encoding(image_format: str, quality: int | None, labels: str | None) -> None:
    if image_format not in FORMATS:
        raise ConfigError(unknown("format", image_format, FORMATS))
    if quality is not None and (image_format != "jpg" or not 1 <= quality <= 100):
        raise ConfigError(f"--quality is {quality}: it is 1 to 100, and only --format jpg has it")
    if labels is not None and image_format == "jpg":
        raise ConfigError("--labels and --format jpg: JPEG would blur the labels' colours; use png")


def _check_geometry(make: str, size: str | None, fit: str | None, labels: str | None) -> None:
    if fit is not None and fit not in FITS:
        raise ConfigError(unknown("fit", fit, FITS))
    if fit is not None and size is None:
        raise ConfigError("--fit says how to come to a size: give --size too")
    if labels is not None and labels not in ("a", "b"):
        raise ConfigError(unknown("half for --labels", labels, ("a", "b")))
    if labels is not None and make == "condition":
        raise ConfigError("--labels is for --with and --halves: a condition is made after the photo is resized")


def _parse_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    height, width = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not (1 <= height <= LARGEST and 1 <= width <= LARGEST):
        raise ConfigError(f"--size is {text!r}: give pixels of each half, 1 to {LARGEST}, as in 256, or 256x512 (HxW)")
    return height, width
