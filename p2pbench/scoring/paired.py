"""Scores of one image against its target.

A score that is a function of two images is an entry of ``FUNCTIONS``. The classes below take in batch after batch of
outputs and targets, and give the values of all images at the end.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple, Protocol

import numpy as np

from p2pbench.config.metrics import ARROWS, Metric, Score
from p2pbench.config.plugins import code_hash, is_reference, running
from p2pbench.errors import ConfigError
from p2pbench.scoring.images import LUMA, Images
from p2pbench.scoring.ms_ssim import SETTINGS as MS_SSIM_SETTINGS
from p2pbench.scoring.ms_ssim import ms_ssim
from p2pbench.statistics.intervals import image_interval
from p2pbench.system.hardware import on_all_cores

PairedMetric = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From outputs and targets, each (N, H, W, C), uint8, to a number for each pair, (N,), float64."""

SSIM_SETTINGS = {
    # Wang et al. 2004; without these scikit-image uses a 7x7 box.
    "data_range": 255,
    "channel_axis": -1,
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
}
NUMPY = f"numpy {np.__version__}"


def l1(fakes: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Mean absolute difference as a fraction of full range, in [0, 1].

    Args:
        fakes, targets: (N, H, W, C), uint8.
    Returns:
        (N,), float64, as the other functions here.
    """
    return np.stack([np.abs(f.astype(np.int16) - t).mean() / 255.0 for f, t in zip(fakes, targets, strict=True)])


def psnr(fakes: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio, 10 log10(255² / MSE), in dB; infinite for identical images."""
    errors = np.stack([((f.astype(np.float64) - t) ** 2).mean() for f, t in zip(fakes, targets, strict=True)])
    with np.errstate(divide="ignore"):
        return np.asarray(10.0 * np.log10(255.0**2 / errors))


def ssim(fakes: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Structural similarity with an 11-tap Gaussian window (Wang et al. 2004), by scikit-image, in [-1, 1]."""
    from skimage.metrics import structural_similarity

    def of_pair(fake: np.ndarray, target: np.ndarray) -> float:
        return float(structural_similarity(fake, target, **SSIM_SETTINGS))

    return np.array(on_all_cores(of_pair, fakes, targets))


def sharpness(fakes: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Root mean square of the luma's gradient, as a multiple of the target's: below 1 is blurred; 0 or more.

    The gradient is the difference between neighbouring pixels, along rows and along columns; by Parseval's theorem it
    is a power spectrum weighted by frequency. Infinite or undefined for a target of one colour.
    """

    def energy(image: np.ndarray) -> float:
        luma = image @ LUMA
        return float((np.diff(luma, axis=0) ** 2).mean() + (np.diff(luma, axis=1) ** 2).mean())

    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: np.ndarray = np.sqrt(np.array([energy(f) for f in fakes]) / np.array([energy(t) for t in targets]))
    return ratios


FUNCTIONS: dict[str, PairedMetric] = {
    "l1": l1, "psnr": psnr, "ssim": ssim, "ms-ssim": ms_ssim, "sharpness": sharpness,
}  # fmt: skip


DIVERSITY_DRAWS = 4
"""Outputs with other noise for each condition: six pairs."""


def diversity(draws: Sequence[np.ndarray]) -> np.ndarray:
    """Mean absolute difference between outputs for one condition with other noise, over all pairs of ``draws``.

    Args:
        draws: two or more arrays (N, H, W, C), uint8, of the same conditions in the same order.
    Returns:
        (N,), float64, as a fraction of full range, in [0, 1].
    """
    differences: np.ndarray = np.stack([l1(a, b) for a, b in itertools.combinations(draws, 2)])
    return np.asarray(differences.mean(axis=0))


class MetricResult(NamedTuple):
    """A score with what it has beside its value."""

    score: Score
    values: np.ndarray | None = None
    """Those of each image, (N,), float64; some may not be finite."""
    pseudo_values: np.ndarray | None = None
    """Those of a score of the whole set, (N,) or (groups,), float64 (:mod:`p2pbench.scoring.jackknife`); NaN for an
    image that is left out."""


class Measure(Protocol):
    """Takes in pairs batch by batch and then gives one or more scores."""

    def add(self, fakes: np.ndarray, targets: np.ndarray) -> None:
        """Take in a batch of outputs and targets, both (B, H, W, C), uint8."""
        ...

    def results(self, targets: Images, common: dict[str, Any]) -> Iterable[MetricResult]:
        """The scores, once every batch is taken in. All targets can be read again; ``common`` is recorded with each."""
        ...


def over_images(name: str, values: np.ndarray, settings: dict[str, Any], about: Metric | None = None) -> MetricResult:
    """The mean of ``values``, (N,), float64, with its interval over images.

    An image without a finite value, such as PSNR's of one that is identical to its target, is left out, and a note says
    so; not measured where all are.

    Args:
        about: the description of a user's own score.
    """
    kept, n = values[np.isfinite(values)], len(values)
    why = f"{n - len(kept)} of {n} images " + (
        "are identical to their targets" if name == "psnr" else "have no finite value"
    )
    if not len(kept):
        return MetricResult(Score(name, n, settings=settings, reason=why, about=about), values)
    notes = (f"{why} and are left out",) if len(kept) < n else ()
    estimate, method = image_interval(kept)
    reason = "one image has no interval" if len(kept) == 1 else None
    settings = {**settings, "interval": method}
    return MetricResult(
        Score(name, len(kept), estimate.value, estimate.low, estimate.high, settings, reason, notes, about), values
    )


class FunctionMeasure:
    """A score in ``FUNCTIONS``."""

    def __init__(self, name: str, channels: int) -> None:
        self.name = name
        kind = "8-bit RGB" if channels == 3 else f"8 bits, {channels} channels"
        self._settings: dict[str, Any] = {"of": kind, "library": NUMPY}
        if name == "ssim":
            self._settings = {**SSIM_SETTINGS, "library": f"scikit-image {version('scikit-image')}"}
        elif name == "ms-ssim":
            self._settings |= MS_SSIM_SETTINGS
        self._values: list[np.ndarray] = []

    def add(self, fakes: np.ndarray, targets: np.ndarray) -> None:
        self._values.append(FUNCTIONS[self.name](fakes, targets))

    def results(self, _targets: Images, common: dict[str, Any]) -> Iterable[MetricResult]:
        yield over_images(self.name, np.concatenate(self._values), {**self._settings, **common})


class Diversity:
    """The distance between outputs with other noise. Each draw is made batch by batch too."""

    def __init__(self, redraw: Callable[[int], Images]) -> None:
        self._draws = [redraw(k) for k in range(DIVERSITY_DRAWS)]
        self._values: list[np.ndarray] = []
        self._rows = 0

    def add(self, fakes: np.ndarray, targets: np.ndarray) -> None:  # noqa: ARG002
        rows = slice(self._rows, self._rows + len(fakes))
        self._values.append(diversity([draw[rows] for draw in self._draws]))
        self._rows = rows.stop

    def results(self, _targets: Images, common: dict[str, Any]) -> Iterable[MetricResult]:
        settings = {"draws": DIVERSITY_DRAWS, "distance": "l1", "library": NUMPY}
        yield over_images("diversity", np.concatenate(self._values), {**settings, **common})


class CustomMetrics:
    """A user's own scores. They take all images at once: only here are whole sets kept in memory."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._pairs: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, fakes: np.ndarray, targets: np.ndarray) -> None:
        self._pairs.append((fakes, targets))

    def results(self, _targets: Images, common: dict[str, Any]) -> Iterable[MetricResult]:
        fakes, targets = (np.concatenate(side) for side in zip(*self._pairs, strict=True))
        self._pairs.clear()
        for name in self.names:
            try:
                values, about = measure_custom(name, fakes, targets)
                yield over_images(name, values, {"code": code_hash(name), **common}, about)
            except ConfigError as error:
                yield MetricResult(not_measured(name, len(fakes), str(error), common))


def measure_custom(reference: str, fakes: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, Metric]:
    """The values of a user's own score ``module:function`` for each image, and the score's description.

    The function is called once with all images, ``fakes`` and ``targets``, each (N, H, W, 3), uint8, and returns N
    numbers. Its attribute ``better`` is ``"higher"``, ``"lower"`` or ``"closer to 1"``; its attribute ``unit`` is
    optional.

    Raises:
        ConfigError: it cannot be imported, fails, returns something else, or does not say which way is better.
    """
    with running(reference) as function:
        better = getattr(function, "better", None)
        if better not in ARROWS:
            name = reference.partition(":")[2]
            raise ValueError(f"it does not say which way is better: write {name}.better = 'higher' or 'lower' after it")
        values = np.asarray(function(fakes.copy(), targets.copy()), dtype=np.float64)
        if values.shape != (len(fakes),):
            raise ValueError(f"it gave an array of shape {values.shape} for {len(fakes)} images, not one number each")
        return values, Metric(reference.partition(":")[2], str(getattr(function, "unit", "")), better, least=None)


def not_measured(name: str, n: int, reason: str, settings: dict[str, Any]) -> Score:
    """The score ``name`` of ``n`` images without a value, and why."""
    about = Metric(name.partition(":")[2], "", "higher", least=None) if is_reference(name) else None
    return Score(name, n, settings=settings, reason=reason, about=about)
