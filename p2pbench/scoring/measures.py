"""What measures pairs of images batch by batch, one by one: each takes in batches and then gives its scores' values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple, Protocol

import numpy as np

from p2pbench.config.metrics import Metric
from p2pbench.config.plugins import code_hash
from p2pbench.errors import ConfigError
from p2pbench.scoring import colour, own, paired
from p2pbench.scoring.images import Images

N_DRAWS = 4
"""Outputs with other noise that diversity is taken over: six pairs."""


class Measured(NamedTuple):
    """A score of each image, or why there is none."""

    values: np.ndarray
    """(N,), float64; not all finite, perhaps."""
    settings: dict[str, Any]
    about: Metric | None = None
    """Of a score of the user's own."""
    reason: str | None = None


class Measure(Protocol):
    def add(self, fakes: np.ndarray, targets: np.ndarray) -> None:
        """Take in a batch, (B, H, W, C), uint8, of both sides."""
        ...

    def results(self) -> dict[str, Measured]:
        """By the score's name, once every batch is taken in."""
        ...


class Simple:
    """A score that is a function of two images."""

    def __init__(self, name: str, channels: int) -> None:
        self.name, self._measure = name, FUNCTIONS[name]
        self._settings: dict[str, Any] = {
            "of": "8-bit RGB" if channels == 3 else f"8 bits, {channels} channels",
            "library": f"numpy {np.__version__}",
        }
        if name == "ssim":
            self._settings = {**paired.SSIM_SETTINGS, "library": f"scikit-image {version('scikit-image')}"}
        self._values: list[np.ndarray] = []

    def add(self, fakes: np.ndarray, targets: np.ndarray) -> None:
        self._values.append(self._measure(fakes, targets))

    def results(self) -> dict[str, Measured]:
        return {self.name: Measured(np.concatenate(self._values), self._settings)}


FUNCTIONS: dict[str, paired.PairedMetric] = {
    "l1": paired.l1,
    "psnr": paired.psnr,
    "ssim": paired.ssim,
    "sharpness": paired.sharpness,
}


class Perceptual:
    """LPIPS with one backbone; the means of AlexNet's last layer over the fakes are kept for ``fd-alexnet``."""

    def __init__(self, name: str, lpips: paired.Lpips) -> None:
        self.name, self.lpips = name, lpips
        self._values: list[np.ndarray] = []
        self.means: list[np.ndarray] = []

    def add(self, fakes: np.ndarray, targets: np.ndarray) -> None:
        values, means = self.lpips.with_means(fakes, targets)
        self._values.append(values)
        self.means.append(means)

    def results(self) -> dict[str, Measured]:
        return {self.name: Measured(np.concatenate(self._values), self.lpips.settings)}


class Colours:
    """The overlaps of L, a and b: three scores of one conversion."""

    def __init__(self) -> None:
        self._overlaps = colour.Overlaps()

    def add(self, fakes: np.ndarray, targets: np.ndarray) -> None:
        self._overlaps.add(fakes, targets)

    def results(self) -> dict[str, Measured]:
        each, over_set = np.stack(self._overlaps.per_image), self._overlaps.over_set()
        settings = {**colour.SETTINGS, "library": f"numpy {np.__version__}"}
        return {
            f"hist-{name}": Measured(each[:, k], {**settings, "over_set": float(over_set[k])})
            for k, name in enumerate("lab")
        }


class Diversity:
    """How far apart outputs with other noise are; each draw is made batch by batch too."""

    def __init__(self, redraw: Callable[[int], Images]) -> None:
        self._draws = [redraw(k) for k in range(N_DRAWS)]
        self._values: list[np.ndarray] = []
        self._rows = 0

    def add(self, fakes: np.ndarray, targets: np.ndarray) -> None:  # noqa: ARG002
        rows = slice(self._rows, self._rows + len(fakes))
        self._values.append(paired.diversity([draw[rows] for draw in self._draws]))
        self._rows = rows.stop

    def results(self) -> dict[str, Measured]:
        settings = {"draws": N_DRAWS, "distance": "l1", "library": f"numpy {np.__version__}"}
        return {"diversity": Measured(np.concatenate(self._values), settings)}


class Own:
    """Scores of the user's own, which take all images at once: only here are whole sets kept in memory."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._pairs: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, fakes: np.ndarray, targets: np.ndarray) -> None:
        self._pairs.append((fakes, targets))

    def results(self) -> dict[str, Measured]:
        fakes, targets = (np.concatenate(side) for side in zip(*self._pairs, strict=True))
        self._pairs.clear()
        found = {}
        for name in self.names:
            try:
                values, about = own.measure(name, fakes, targets)
                found[name] = Measured(values, {"code": code_hash(name)}, about)
            except ConfigError as error:
                found[name] = Measured(np.empty(0), {}, own.unmeasured(name), str(error))
        return found
