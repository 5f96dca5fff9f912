"""How often ``data check`` accuses pairs that are right, on kinds of pairs that its thresholds were not set on.

    PYTHONPATH=tests python tests/curation/check/false_alarms.py

It makes sets of 40 pairs, 128x128, from the photographs inside scikit-image, and counts the pairs that the rules of
``outliers`` name, and the sets in which a rule names a whole side or split. The thresholds were set on the real
facades, of which the rules name none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage import data
from skimage.feature import canny
from skimage.segmentation import felzenszwalb

from p2pbench.curation.check import outliers
from p2pbench.curation.check.fingerprint import Fingerprint, take
from p2pbench.data.images import Images, luma

SIDE, PAIRS, SETS = 128, 40, 10
PHOTOGRAPHS = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket(), data.immunohistochemistry()]


def photo(random: np.random.Generator) -> np.ndarray:
    whole = PHOTOGRAPHS[random.integers(len(PHOTOGRAPHS))]
    top, left = (int(random.integers(0, size - SIDE + 1)) for size in whole.shape[:2])
    return np.ascontiguousarray(whole[top : top + SIDE, left : left + SIDE])


def as_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def grey_to_colour(random: np.random.Generator) -> Images:
    image = photo(random)
    return as_rgb(luma(image)), image


def edges_to_photo(random: np.random.Generator) -> Images:
    image = photo(random)
    return as_rgb(np.where(canny(luma(image) / 255, sigma=1.5), 0, 255)), image


def photo_to_map(random: np.random.Generator) -> Images:
    """Regions of one colour each, out of six, as a street map has them."""
    image = photo(random)
    regions = felzenszwalb(image, scale=200, sigma=1.0, min_size=60)
    means = np.array([luma(image)[regions == region].mean() for region in range(regions.max() + 1)])
    palette = np.array(
        [[242, 239, 233], [255, 255, 255], [170, 211, 223], [200, 230, 190], [250, 210, 130], [217, 208, 201]]
    )
    return image, palette[(means * 6 / 256).astype(int)].astype(np.uint8)[regions]


def photo_to_depth(random: np.random.Generator) -> Images:
    """A ramp from far, above, to near, below, with the objects standing off it a little."""
    image = photo(random)
    ramp = np.linspace(30, 200, SIDE)[:, None] + np.zeros((SIDE, SIDE))
    regions = felzenszwalb(image, scale=200, sigma=1.0, min_size=60)
    offsets = random.normal(0, 12, regions.max() + 1)[regions]
    return image, as_rgb(gaussian_filter(ramp + offsets, 0.7))


def photo_to_smooth_depth(random: np.random.Generator) -> Images:
    """A ramp without an edge: what a depth map of few objects is."""
    image = photo(random)
    ramp = np.linspace(30, 200, SIDE)[:, None] + 0.2 * gaussian_filter(luma(image).astype(float), 12)
    return image, as_rgb(ramp)


KINDS: dict[str, Callable[[np.random.Generator], Images]] = {
    "grey -> colour": grey_to_colour, "edges -> photo": edges_to_photo, "aerial photo -> map": photo_to_map,
    "photo -> depth": photo_to_depth, "photo -> smooth depth": photo_to_smooth_depth,
}  # fmt: skip


def prints(make: Callable[[np.random.Generator], Images], seed: int) -> Iterator[Fingerprint]:
    random = np.random.default_rng(seed)
    for index in range(PAIRS):
        pair = make(random)
        yield take("train", f"{index}", "RGB+RGB", pair, lambda pair=pair: pair, joined=False)  # type: ignore[misc]


def main() -> None:
    for kind, make in KINDS.items():
        pairs, sets = Counter[str](), Counter[str]()
        for seed in range(SETS):
            named = {(problem.kind, problem.file) for problem in outliers.all_of(list(prints(make, seed)))}
            pairs.update(rule for rule, file in named if file.isdigit())
            sets.update(rule for rule, file in named if not file.isdigit())
        of_pairs = ", ".join(f"{rule} {100 * n / (PAIRS * SETS):.1f} %" for rule, n in sorted(pairs.items()))
        of_sets = ", ".join(f"{rule} in {n} of {SETS} sets" for rule, n in sorted(sets.items()))
        print(f"{kind}: {'; '.join(filter(None, (of_pairs, of_sets))) or 'none'}")


if __name__ == "__main__":
    main()
