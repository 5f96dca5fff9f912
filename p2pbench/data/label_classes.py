"""The colours of label maps. A pixel belongs to the class of the nearest colour, because labels are often JPEGs."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from p2pbench.config.schema import RunConfig
from p2pbench.data.facades import CLASSES, drawn
from p2pbench.errors import ConfigError

RGB = tuple[int, int, int]

NEAR = 16.0
"""The RGB distance up to which a pixel shows a colour of the palette, which allows for JPEG and scaling."""
LEAST_NEAR = 0.45
"""The least share of near pixels in label maps. For the real facades at 128x128, where borders blend, it is 66 %, at
worst 50 %. For their photos it is 0 %, and 15 % with the palette of Cityscapes."""


@dataclass(frozen=True)
class Palette:
    """The classes of one kind of label map and their colours."""

    name: str
    classes: Mapping[str, RGB]
    void: tuple[RGB, ...] = ()
    """Colours outside all classes: a pixel with such a label does not count, and an output that shows one is wrong."""

    def classes_of(self, images: np.ndarray) -> np.ndarray:
        """The class of each pixel of images (N, H, W, 3), uint8.

        Returns:
            (N, H, W), uint8: positions in ``classes``, or their number for void. Of equally near colours the first.
        """
        k = len(self.classes)
        nearest = np.stack([_distances(image, self._colours).argmin(axis=-1) for image in images])
        return np.asarray(np.minimum(nearest, k), dtype=np.uint8)

    def is_of(self, images: Sequence[np.ndarray] | np.ndarray) -> bool:
        """Whether images, each (H, W, 3), uint8, are label maps of this palette."""
        near = [(_distances(image, self._colours).min(axis=-1) <= NEAR**2).mean() for image in images]
        return bool(np.mean(near) >= LEAST_NEAR)

    @property
    def _colours(self) -> np.ndarray:
        return np.array([*self.classes.values(), *self.void], dtype=np.float32)


def _distances(image: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Squared RGB distances of pixels (H, W, 3), uint8, to colours (K, 3): (H, W, K), float32, exact."""
    pixels = image.astype(np.float32)
    return np.asarray((pixels**2).sum(axis=-1, keepdims=True) - 2 * pixels @ colours.T + (colours**2).sum(axis=1))


def _cityscapes() -> Palette:
    table = tomllib.loads((Path(__file__).parent / "cityscapes.toml").read_text())
    classes, void = ({name: tuple(rgb) for name, rgb in table[part].items()} for part in ("classes", "void"))
    return Palette("cityscapes", classes, tuple(void.values()))


PALETTES = {"facades": Palette("facades", CLASSES), "cityscapes": _cityscapes()}


def name_of(source: str, named: str | None) -> str | None:
    """The palette of a data set: ``named``, or the one that belongs to its source; None where neither is known."""
    if named is not None:
        return named
    if drawn.parse(source) is not None:
        return "facades"
    name = Path(source).name
    return name if name in PALETTES else None


def classes_of_condition(config: RunConfig) -> Palette:
    """The classes of the label maps that are the condition of ``config``.

    Raises:
        ConfigError: it is not known that they are label maps, or of which classes.
    """
    name = name_of(config.data.source, config.scoring.palette)
    if name is None:
        raise ConfigError(
            f"discriminator.name is {config.discriminator.name!r}, which says of each pixel which label the condition "
            f"has there, and the classes of {config.data.source!r} are not known; name them by scoring.palette "
            f"({', '.join(PALETTES)}), or use another discriminator"
        )
    return PALETTES[name]


N_CHECKED = 32


def check_conditions(config: RunConfig, pairs: np.ndarray) -> None:
    """Refuse training pairs (N, H, W, C + C') whose conditions are to be told apart by their labels and show none.

    Raises:
        ConfigError: they do not have the colours, as where the pairs are read the other way round.
    """
    if not config.objective.has_discriminator or config.discriminator.name != "oasis":
        return
    palette = classes_of_condition(config)
    first = pairs[:N_CHECKED, ..., :3]
    if pairs.dtype != np.uint8 or not palette.is_of(first):
        raise ConfigError(
            f"discriminator.name is 'oasis', and the conditions do not show the label colours of {palette.name}: use "
            f"data.direction {'AtoB' if config.data.direction == 'BtoA' else 'BtoA'} if the labels are the other "
            "side, another scoring.palette, or another discriminator"
        )
