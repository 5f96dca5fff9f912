"""The section ``data`` of a run's configuration: which pairs, their size, channels and range. Imports no torch."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Literal

from pydantic import BeforeValidator, field_validator, model_validator

from p2pbench.config.sections import PositiveInt, Section


def _ranges(value: object) -> tuple[tuple[float, float] | None, tuple[float, float] | None] | None:
    """A range for each side, from ``[low, high]`` for both or one such pair for each."""
    if value is None:
        return None

    def one(limits: object) -> tuple[float, float] | None:
        if limits is None:
            return None
        numbers = isinstance(limits, list | tuple) and all(type(v) in (int, float) and isfinite(v) for v in limits)
        if numbers and len(limits) == 2 and limits[0] < limits[1]:  # type: ignore[arg-type, index]
            return float(limits[0]), float(limits[1])  # type: ignore[index]
        raise ValueError(f"is {value!r}: give [low, high] with low < high, or [[low, high], [low, high]]")

    if (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(v is None or isinstance(v, list | tuple) for v in value)
    ):
        found = one(value[0]), one(value[1])
        return None if found == (None, None) else found
    both = one(value)
    return both, both


def _two(value: object, what: str) -> tuple[int, int]:
    if isinstance(value, list | tuple) and len(value) == 2 and all(type(v) is int and v > 0 for v in value):
        return value[0], value[1]
    raise ValueError(f"is {value!r}: give {what}")


def _size(value: object) -> int | tuple[int, int]:
    """A square is given by its side alone, so that it has one spelling."""
    if type(value) is int and value > 0:
        return value
    height, width = _two(value, "a side in pixels, or [height, width]")
    return height if height == width else (height, width)


FILTERS = ("bilinear", "bicubic", "nearest")


def _filters(value: object) -> str | tuple[str, str]:
    """One filter for both sides is given by its name alone, so that it has one spelling."""
    both = (value, value) if isinstance(value, str) else value
    if isinstance(both, list | tuple) and len(both) == 2 and all(name in FILTERS for name in both):
        return both[0] if both[0] == both[1] else (both[0], both[1])
    raise ValueError(f"is {value!r}: give one of {', '.join(FILTERS)}, or two of them, [of A, of B]")


Filter = Literal["bilinear", "bicubic", "nearest"]
Filters = Annotated[Filter | tuple[Filter, Filter], BeforeValidator(_filters)]
"""How images are resized: a name, or one for A and one for B."""
Ranges = Annotated[tuple[tuple[float, float] | None, tuple[float, float] | None] | None, BeforeValidator(_ranges)]
Size = Annotated[int | tuple[int, int], BeforeValidator(_size)]
"""The side of a square, or ``[height, width]``, in pixels."""
Channels = Annotated[tuple[int, int], BeforeValidator(lambda value: _two(value, "[of the condition, of the target]"))]


def _shape(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def size_text(size: int | tuple[int, int]) -> str:
    """A size as people write it: ``256``, or ``256x512`` for [height, width]."""
    return str(size) if isinstance(size, int) else f"{size[0]}x{size[1]}"


class DataConfig(Section):
    source: str = "photos"
    """The pairs: the built-in ``photos`` or ``drawn`` (``drawn:N`` and ``drawn:N:SEED`` for N training pairs), the name
    of a data set that was fetched, or a folder of pairs."""
    train_size: PositiveInt | None = None
    """How many of the training pairs are trained on, drawn by their place in the data and not by the run's seed: those
    of a smaller number are among those of a larger one. With ``null``, all."""
    direction: Literal["AtoB", "BtoA"] = "AtoB"
    """Which half is the condition: A (left, or folder ``A``) or B."""
    condition: Literal["gray", "edges"] = "gray"
    """What the built-in ``photos`` are translated from. Other sources bring their own condition."""
    jitter: bool = True
    """Whether training pairs are resized to ``load_size`` and cropped at random; else they are resized to
    ``crop_size``."""
    load_size: Size = 286
    """The size of training pairs before the random crop: a side in pixels, or ``[height, width]``."""
    crop_size: Size = 256
    """The size of the images that the networks see: a side in pixels, or ``[height, width]``. Test pairs are resized
    to it."""
    mirror: bool = True
    """Whether half of the training pairs, chosen at random, are mirrored."""
    resize_filter: Filters = "bilinear"
    """How images are resized: bilinear, as in the Lua release; bicubic, as in the port; or nearest, which keeps the
    colours of label maps. Two names are for A and for B, whichever is the condition: ``[bilinear, nearest]``."""
    colours: Literal["rgb", "lab"] = "rgb"
    """The colour space of the networks. ``lab`` is for colorization: the condition is the target's lightness L, the
    target its a and b (CIE L*a*b*), and the data's own condition is not used. Outputs get their L back and are scored
    as RGB."""
    channels: Channels = (3, 3)
    """Channels of the condition and of the target as the networks see them. RGB files become grey (Rec. 601) where it
    is 1; arrays of other channels (TIFF, ``.npy``) are seen as they are. Where it is the number of all channels of a
    file, a last one that could be transparency is data."""
    range: Ranges | None = None
    """The values of the files that become black and white: ``[low, high]``, or one such pair for the condition and one
    for the target; ``null`` for the whole range of 8 or 16 bits. Values beyond are clipped."""
    background: str | None = None
    """The colour behind transparent pixels, as CSS names it; with ``null`` images with transparency are refused."""

    @property
    def filters(self) -> tuple[str, str]:
        """How A is resized, and how B."""
        name = self.resize_filter
        return (name, name) if isinstance(name, str) else name

    @property
    def stored(self) -> tuple[int, int]:
        """Channels of condition and target as they are read and cached: for colorization both are RGB."""
        return (3, 3) if self.colours == "lab" else self.channels

    @field_validator("background")
    @classmethod
    def _colour(cls, value: str | None) -> str | None:
        if value is not None:
            from PIL import ImageColor

            try:
                channels = ImageColor.getrgb(value)
                if len(channels) != 3:  # the colour is transparent itself
                    raise ValueError
            except ValueError:
                raise ValueError(f"is {value!r}: give a colour such as white, gray, or '#80c0ff'") from None
            return "#{:02x}{:02x}{:02x}".format(*channels)
        return value

    @property
    def load_shape(self) -> tuple[int, int]:
        """``load_size`` as (height, width)."""
        return _shape(self.load_size)

    @property
    def crop_shape(self) -> tuple[int, int]:
        """``crop_size`` as (height, width)."""
        return _shape(self.crop_size)

    @model_validator(mode="after")
    def _fits_together(self) -> DataConfig:
        if self.colours == "lab" and self.channels != (1, 2):
            raise ValueError(
                f"data.colours is 'lab' and data.channels {list(self.channels)}: L is one channel, a and b are two; "
                "use data.channels [1, 2]"
            )
        if self.jitter and any(load < crop for load, crop in zip(self.load_shape, self.crop_shape, strict=True)):
            raise ValueError(
                f"data.load_size is {size_text(self.load_size)} and data.crop_size {size_text(self.crop_size)}: "
                "a crop cannot be larger than what it is cut from; raise load_size or lower crop_size"
            )
        if self.condition != "gray" and self.source != "photos":
            raise ValueError(
                f"data.condition is {self.condition!r} and data.source {self.source!r}: only the built-in photos make "
                "their condition; a folder brings its own, so leave data.condition out"
            )
        return self
