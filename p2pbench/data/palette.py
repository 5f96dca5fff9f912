"""The label palette of a set of images: its few colours, found through the noise that JPEG leaves at their borders.

Colours are counted in cells of 8x8x8 levels. Inside a region JPEG keeps a label's colour to a few levels; between two
regions it leaves blends of any colour. So colours are looked for among *flat* pixels, whose 3x3 neighbours are nearly
equal, and every pixel then belongs to the nearest of them. Lines one or two pixels wide are never flat: their colour
is looked for among all pixels, and has to be frequent and far from the others.
"""

from dataclasses import dataclass

import numpy as np

N_CELLS = 32**3
FLAT_RANGE = 12
"""Levels that a flat pixel's neighbours may lie apart, in each channel."""
CORE, REACH = 9.0, 18.0
"""RGB distances: what is within ``CORE`` of a peak is the colour; peaks within ``REACH`` of a higher one are not."""
LINE_REACH = 60.0
LEAST_SHARE, LEAST_LINE_SHARE = 0.0005, 0.01
"""Smallest share of a label's colour among flat pixels, and of a line's colour among all pixels."""
CONCENTRATION = 0.6
"""Least share of the pixels within ``REACH`` of a label's colour that are within ``CORE`` of it; blends are diffuse."""
LEAST_COVER, LEAST_LINE_COVER = 0.75, 0.85
MOST_COLOURS = 64
NOISE_DISTANCE = 24.0
"""A pixel farther than this from every colour of the palette is counted as noise."""


def count_colours(pixels: np.ndarray) -> np.ndarray:
    """The pixels, (..., 3), uint8, in each cell of colour space, (32768, 4), int64: count, sums of the channels."""
    cells = cell_of(pixels).ravel()
    columns = [np.bincount(cells, minlength=N_CELLS)]
    columns += [np.bincount(cells, pixels[..., channel].ravel(), N_CELLS) for channel in range(3)]
    return np.stack(columns, axis=1).astype(np.int64)


def cell_of(pixels: np.ndarray) -> np.ndarray:
    """The cell of each pixel: (..., 3), uint8, to (...), 0..32767."""
    red, green, blue = ((pixels[..., channel] >> 3).astype(np.intp) for channel in range(3))
    return red << 10 | green << 5 | blue


def flat_pixels(image: np.ndarray) -> np.ndarray:
    """The pixels of (H, W, 3), uint8, whose 3x3 neighbours are nearly equal, as (n, 3); none at the image's border."""

    def over_3x3(extreme: np.ufunc) -> np.ndarray:
        rows = extreme(extreme(image[:-2], image[1:-1]), image[2:])
        return np.asarray(extreme(extreme(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:]))

    flat = (over_3x3(np.maximum) - over_3x3(np.minimum) <= FLAT_RANGE).all(axis=2)
    return np.asarray(image[1:-1, 1:-1][flat])


@dataclass(frozen=True)
class Palette:
    """The colours of a label map."""

    colours: np.ndarray
    """(K, 3), uint8, the most frequent first."""
    label_of_cell: np.ndarray
    """(32768,): the position of the colour nearest to each cell of colour space."""
    distance_of_cell: np.ndarray
    """(32768,): how far that colour is."""

    def labels(self, pixels: np.ndarray) -> np.ndarray:
        """The position of the nearest colour of each pixel: (..., 3), uint8, to (...)."""
        return np.asarray(self.label_of_cell[cell_of(pixels)])

    def shares(self, counts: np.ndarray) -> np.ndarray:
        """(K,): the share of pixels whose nearest colour each is, for ``counts`` of :func:`count_colours`."""
        pixels = np.bincount(self.label_of_cell, counts[:, 0], len(self.colours))
        return np.asarray(pixels / max(1, pixels.sum()))

    def noise(self, counts: np.ndarray) -> float:
        """The share of pixels that no colour of the palette is near to."""
        return float(counts[self.distance_of_cell > NOISE_DISTANCE, 0].sum() / max(1, counts[:, 0].sum()))


def find_palette(whole: np.ndarray, flat: np.ndarray) -> Palette | None:
    """The palette of images whose pixels, and whose flat pixels, were counted; None where they are no label maps.

    Label maps: two or more colours that hold three quarters of the flat pixels, not counting the most frequent colour
    (a photograph on a white ground has one, too); or 85 % of all pixels, as in line drawings.
    """
    colours = _peaks(flat, LEAST_SHARE)
    known = np.array(colours).reshape(-1, 3)
    for line in _peaks(whole, LEAST_LINE_SHARE):
        if not len(known) or np.linalg.norm(known - line, axis=1).min() > LINE_REACH:
            colours.append(line)
    if not 2 <= len(colours) <= MOST_COLOURS:
        return None
    of_flat, of_all = (_share_near(np.array(colours), counts) for counts in (flat, whole))
    rest = of_flat.sum() - of_flat[:-1].max()
    labels = rest > LEAST_SHARE and rest - of_flat[-1] >= LEAST_COVER * rest
    if not labels and of_all[-1] > 1 - LEAST_LINE_COVER:
        return None
    centres = np.array(colours).round().astype(np.uint8)
    palette = Palette(centres, *_nearest(centres, whole))
    order = np.argsort(-palette.shares(whole), kind="stable")
    return Palette(centres[order], *_nearest(centres[order], whole))


def _peaks(counts: np.ndarray, least_share: float) -> list[np.ndarray]:
    """The mean colours of the concentrated peaks that hold ``least_share`` of all pixels, the highest first."""
    cells = np.flatnonzero(counts[:, 0])
    weight, total = counts[cells, 0], counts[:, 0].sum()
    colour = counts[cells, 1:] / weight[:, None]
    free = weight > least_share * total / 8  # a core of radius 9 meets about eight cells
    peaks: list[np.ndarray] = []
    while free.any() and len(peaks) <= MOST_COLOURS:
        highest = int(np.argmax(np.where(free, weight, -1)))
        distance = np.linalg.norm(colour - colour[highest], axis=1)
        core, around = weight[distance <= CORE].sum(), weight[distance <= REACH].sum()
        if core >= least_share * total and core >= CONCENTRATION * around:
            peaks.append(np.average(colour[distance <= CORE], axis=0, weights=weight[distance <= CORE]))
        free &= distance > REACH
    return peaks


def _share_near(colours: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(K + 1,): the share of pixels within ``CORE`` of each colour, and of those near none."""
    cells = np.flatnonzero(counts[:, 0])
    weight = counts[cells, 0] / max(1, counts[:, 0].sum())
    distance = np.linalg.norm((counts[cells, 1:] / counts[cells, :1])[:, None] - colours, axis=2)
    label = np.where(distance.min(axis=1) <= CORE, distance.argmin(axis=1), len(colours))
    return np.bincount(label, weight, len(colours) + 1)


def _nearest(colours: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every cell the nearest colour and its distance: from the mean of the cell's pixels, else from its middle."""
    cells = np.arange(N_CELLS)
    middle = np.stack([cells >> 10, cells >> 5 & 31, cells & 31], axis=1) * 8 + 3.5
    mean = np.where(counts[:, :1] > 0, counts[:, 1:] / np.maximum(counts[:, :1], 1), middle)
    distance = np.linalg.norm(mean[:, None] - colours.astype(float), axis=2)
    return distance.argmin(axis=1), distance.min(axis=1)
