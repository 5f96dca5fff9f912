"""One pass over images and their targets: every score that was asked for, or why it was not measured."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from p2pbench.config import is_reference
from p2pbench.errors import ConfigError, WeightsError
from p2pbench.reference import code_hash
from p2pbench.scoring import colour, distribution, own, paired, segmentation, weights
from p2pbench.scoring.metrics import FCN_SCORES, METRICS, Metric, Score
from p2pbench.statistics import image_interval

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Scores:
    """The scores of one set of images, and the values of each image behind them."""

    n: int
    scores: dict[str, Score]
    names: list[str]
    per_image: dict[str, np.ndarray] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "n": self.n,
            "scores": {name: score.to_json() for name, score in self.scores.items()},
        }

    def to_frame(self) -> pd.DataFrame:
        """One row an image: its name and its value of each per-image score; empty where that is not finite."""
        import pandas as pd

        return pd.DataFrame({"image": self.names, **self.per_image}).replace([np.inf, -np.inf], np.nan)


N_DRAWS = 4
"""Outputs with other noise that diversity is taken over: six pairs."""

NO_LABELS = segmentation.NoReader("needs the label maps of the images: score a model, or name their data set")


def evaluate(
    fakes: np.ndarray,
    targets: np.ndarray,
    names: Sequence[str],
    metrics: Sequence[str],
    *,
    weights_dir: Path | None = None,
    fetch: bool = True,
    device: str = "cpu",
    settings: dict[str, Any] | None = None,
    redraw: Callable[[int], np.ndarray] | None = None,
    classes: segmentation.ClassReader | segmentation.NoReader = NO_LABELS,
) -> Scores:
    """Score ``fakes`` against ``targets``.

    Args:
        fakes, targets: (N, H, W, C), uint8, N >= 1, in the same order; most scores want C = 3.
        names: of the N images.
        metrics: keys of ``METRICS``, or ``module:function``.
        weights_dir, fetch: where pretrained networks are looked for first, and whether they may be fetched.
        settings: how the images came about (inference mode, say); recorded with every score.
        redraw: the fakes as they would be with the k-th other noise; None where no model is at hand.
        classes: what reads classes from these images, for the FCN-scores; or why nothing can.
    """
    if fakes.shape != targets.shape or fakes.dtype != np.uint8 or targets.dtype != np.uint8:
        raise ValueError(f"scores are made of uint8 images of one shape, got {fakes.shape} and {targets.shape}")
    scores: dict[str, Score] = {}
    per_image: dict[str, np.ndarray] = {}
    common = dict(settings or {})
    bench = _Bench(fakes, targets, weights_dir, fetch, device, redraw)
    of_classes = [name for name in metrics if name in FCN_SCORES]
    if of_classes:
        scores, per_image = segmentation.measure(of_classes, fakes, targets, classes, common)
    of_sets = [
        name for name in metrics if name not in of_classes and not is_reference(name) and not METRICS[name].per_image
    ]
    if fakes.shape[3] != 3:
        reason = f"is a score of RGB images; these have {fakes.shape[3]} channels"
        scores |= {name: Score(name, len(fakes), settings=common, reason=reason) for name in of_sets}
        of_sets = []
    for name in metrics:
        if name in of_sets or name in scores:
            continue
        try:
            per_image[name], how, about = bench.measure(name)
        except _NotMeasured as error:
            scores[name] = Score(name, len(fakes), settings=common, reason=str(error), about=error.about)
            continue
        scores[name] = _over_images(name, per_image[name], {**how, **common}, about)
    scores |= distribution.measure_sets(
        of_sets, fakes, targets, weights_dir=weights_dir, fetch=fetch, device=device, settings=common
    )
    return Scores(len(fakes), {name: scores[name] for name in metrics}, list(names), per_image)


class _NotMeasured(Exception):
    """Why a score is not measured."""

    def __init__(self, reason: str, about: Metric | None = None) -> None:
        super().__init__(reason)
        self.about = about


@dataclass
class _Bench:
    """The images on it, and what measures them one by one."""

    fakes: np.ndarray
    targets: np.ndarray
    weights_dir: Path | None
    fetch: bool
    device: str
    redraw: Callable[[int], np.ndarray] | None

    def measure(self, name: str) -> tuple[np.ndarray, dict[str, Any], Metric | None]:
        """The values of the score ``name``, (N,), its settings, and what it is where it is the user's own.

        Raises:
            _NotMeasured: with the reason.
        """
        if is_reference(name):
            return self._own(name)
        metric = METRICS[name]
        if (side := min(self.fakes.shape[1:3])) < metric.least_side:
            raise _NotMeasured(f"needs images of {metric.least_side} pixels a side or more; these have {side}")
        if self.fakes.shape[3] != 3 and not metric.any_channels:
            raise _NotMeasured(f"is a score of RGB images; these have {self.fakes.shape[3]} channels")
        if metric.net is not None:
            values, settings = self._lpips(metric.net)
        elif name.startswith("hist-"):
            values, settings = self._histogram("lab".index(name[-1]))
        elif name == "diversity":
            values, settings = self._diversity()
        else:
            values = MEASURES[name](self.fakes, self.targets)
            settings = {"of": "8-bit RGB" if self.fakes.shape[3] == 3 else f"8 bits, {self.fakes.shape[3]} channels"}
        if name == "ssim":
            settings = {**paired.SSIM_SETTINGS, "library": f"scikit-image {version('scikit-image')}"}
        return values, settings, None

    def _histogram(self, channel: int) -> tuple[np.ndarray, dict[str, Any]]:
        overlaps, over_set = self._lab
        library = f"scikit-image {version('scikit-image')}"
        return overlaps[:, channel], {**colour.SETTINGS, "over_set": float(over_set[channel]), "library": library}

    def _diversity(self) -> tuple[np.ndarray, dict[str, Any]]:
        if self.redraw is None:
            raise _NotMeasured("needs a model to draw other outputs from, not images alone")
        draws = [self.redraw(k) for k in range(N_DRAWS)]
        return paired.diversity(draws), {"draws": N_DRAWS, "distance": "l1"}

    def _own(self, name: str) -> tuple[np.ndarray, dict[str, Any], Metric]:
        try:
            values, about = own.measure(name, self.fakes, self.targets)
        except ConfigError as error:
            raise _NotMeasured(str(error), own.unmeasured(name)) from error
        return values, {"code": code_hash(name)}, about

    def _lpips(self, net: str) -> tuple[np.ndarray, dict[str, Any]]:
        try:
            path = weights.obtain(net, self.weights_dir, fetch=self.fetch)
            measure = paired.build_lpips(net, path, self.device)
        except WeightsError as error:
            raise _NotMeasured(str(error)) from None
        settings = {"net": net, "version": "0.1", "library": f"lpips {version('lpips')}", "weights": path.name}
        return measure(self.fakes, self.targets), settings

    @functools.cached_property
    def _lab(self) -> tuple[np.ndarray, np.ndarray]:
        return colour.lab_overlaps(self.fakes, self.targets)


MEASURES: dict[str, paired.PairedMetric] = {
    "l1": paired.l1,
    "psnr": paired.psnr,
    "ssim": paired.ssim,
    "sharpness": paired.sharpness,
}


def _over_images(name: str, values: np.ndarray, settings: dict[str, Any], about: Metric | None) -> Score:
    n = len(values)
    bad = int((~np.isfinite(values)).sum())
    if bad:
        why = "are identical to their targets" if name == "psnr" else "have no finite value"
        return Score(name, n, settings=settings, reason=f"{bad} of {n} images {why}", about=about)
    estimate, method = image_interval(values)
    settings = {**settings, "interval": method}
    reason = "one image has no interval" if n == 1 else None
    return Score(name, n, estimate.value, estimate.low, estimate.high, settings, reason, about=about)
