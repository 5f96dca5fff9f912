"""The colours of label maps. A pixel belongs to the class of the nearest colour, because labels are often JPEGs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from p2pbench.data.facades import CLASSES, drawn

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

    def share_near(self, images: Sequence[np.ndarray] | np.ndarray) -> float:
        """The share of the pixels of images, each (H, W, 3), uint8, that are near a colour; high for label maps."""
        return float(np.mean([(_distances(i, self._colours).min(axis=-1) <= NEAR**2).mean() for i in images]))

    def is_of(self, images: Sequence[np.ndarray] | np.ndarray) -> bool:
        """Whether images, each (H, W, 3), uint8, are label maps of this palette."""
        return self.share_near(images) >= LEAST_NEAR

    @property
    def _colours(self) -> np.ndarray:
        return np.array([*self.classes.values(), *self.void], dtype=np.float32)


def _distances(image: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Squared RGB distances of pixels (H, W, 3), uint8, to colours (K, 3): (H, W, K), float32, exact."""
    pixels = image.astype(np.float32)
    found: np.ndarray = (pixels**2).sum(axis=-1, keepdims=True) - 2 * pixels @ colours.T + (colours**2).sum(axis=1)
    return found


PALETTES = {
    "facades": Palette("facades", CLASSES),
    "cityscapes": Palette(
        "cityscapes",
        {
            # The 19 classes of the benchmark, as gtFine_color has them (Cordts et al. 2016).
            "road": (128, 64, 128),
            "sidewalk": (244, 35, 232),
            "building": (70, 70, 70),
            "wall": (102, 102, 156),
            "fence": (190, 153, 153),
            "pole": (153, 153, 153),  # groups of poles have its colour too, and are taken for it
            "traffic light": (250, 170, 30),
            "traffic sign": (220, 220, 0),
            "vegetation": (107, 142, 35),
            "terrain": (152, 251, 152),
            "sky": (70, 130, 180),
            "person": (220, 20, 60),
            "rider": (255, 0, 0),
            "car": (0, 0, 142),
            "truck": (0, 0, 70),
            "bus": (0, 60, 100),
            "train": (0, 80, 100),
            "motorcycle": (0, 0, 230),
            "bicycle": (119, 11, 32),
        },
        (
            (0, 0, 0),  # unlabelled, the camera's own car, static things, what lies outside the rectified image
            (111, 74, 0),  # dynamic
            (81, 0, 81),  # ground
            (250, 170, 160),  # parking
            (230, 150, 140),  # rail track
            (180, 165, 180),  # guard rail
            (150, 100, 100),  # bridge
            (150, 120, 90),  # tunnel
            (0, 0, 90),  # caravan
            (0, 0, 110),  # trailer
        ),
    ),
}


def name_of(source: str, named: str | None) -> str | None:
    """The palette of a data set: ``named``, or the one that belongs to its source; None where neither is known."""
    if named is not None:
        return named
    if drawn.parse(source) is not None:
        return "facades"
    name = Path(source).name
    return name if name in PALETTES else None
