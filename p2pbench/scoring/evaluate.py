"""One pass over images and their targets: every score that was asked for, or why it was not measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from p2pbench.errors import WeightsError
from p2pbench.scoring import distribution, paired, weights
from p2pbench.scoring.metrics import METRICS, Score
from p2pbench.statistics import mean_interval

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
) -> Scores:
    """Score ``fakes`` against ``targets``.

    Args:
        fakes, targets: (N, H, W, 3), uint8, N >= 1, in the same order.
        names: of the N images.
        metrics: keys of ``METRICS``.
        weights_dir, fetch: where pretrained networks are looked for first, and whether they may be fetched.
        settings: how the images came about (inference mode, say); recorded with every score.
    """
    if fakes.shape != targets.shape or fakes.dtype != np.uint8 or targets.dtype != np.uint8:
        raise ValueError(f"scores are made of uint8 images of one shape, got {fakes.shape} and {targets.shape}")
    scores: dict[str, Score] = {}
    per_image: dict[str, np.ndarray] = {}
    common = dict(settings or {})
    for name in metrics:
        if not METRICS[name].per_image:
            continue
        if (side := min(fakes.shape[1:3])) < METRICS[name].least_side:
            reason = f"needs images of {METRICS[name].least_side} pixels a side or more; these have {side}"
            scores[name] = Score(name, len(fakes), settings=common, reason=reason)
            continue
        try:
            measure, own = _paired(name, weights_dir, fetch, device)
        except WeightsError as error:
            scores[name] = Score(name, len(fakes), settings=common, reason=str(error))
            continue
        per_image[name] = measure(fakes, targets)
        scores[name] = _over_images(name, per_image[name], {**own, **common})
    scores |= _over_set(
        fakes, targets, [m for m in metrics if not METRICS[m].per_image], weights_dir, fetch, device, common
    )
    return Scores(len(fakes), {name: scores[name] for name in metrics}, list(names), per_image)


def _paired(
    name: str, weights_dir: Path | None, fetch: bool, device: str
) -> tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], dict[str, Any]]:
    """The function that measures ``name``, and its settings."""
    net = METRICS[name].net
    if net is not None:
        path = weights.obtain(net, weights_dir, fetch=fetch)
        own = {"net": net, "version": "0.1", "library": f"lpips {version('lpips')}", "weights": path.name}
        return paired.build_lpips(net, path, device), own
    if name == "ssim":
        return paired.ssim, {**paired.SSIM_SETTINGS, "library": f"scikit-image {version('scikit-image')}"}
    return {"l1": paired.l1, "psnr": paired.psnr}[name], {"of": "8-bit RGB"}


def _over_images(name: str, values: np.ndarray, settings: dict[str, Any]) -> Score:
    n = len(values)
    bad = int((~np.isfinite(values)).sum())
    if bad:
        why = "are identical to their targets" if name == "psnr" else "have no finite value"
        return Score(name, n, settings=settings, reason=f"{bad} of {n} images {why}")
    estimate = mean_interval(values)
    reason = "one image has no interval" if n == 1 else None
    return Score(name, n, estimate.value, estimate.low, estimate.high, settings, reason)


def _over_set(
    fakes: np.ndarray,
    targets: np.ndarray,
    metrics: Sequence[str],
    weights_dir: Path | None,
    fetch: bool,
    device: str,
    settings: dict[str, Any],
) -> dict[str, Score]:
    n = len(fakes)
    if not metrics:
        return {}
    if n < distribution.LEAST_IMAGES:
        reason = f"needs {distribution.LEAST_IMAGES} images or more; there are {n}"
        return {name: Score(name, n, settings=settings, reason=reason) for name in metrics}
    try:
        path = weights.obtain("inception", weights_dir, fetch=fetch)
        found = distribution.fid_and_kid(fakes, targets, metrics, path, device)
    except WeightsError as error:
        return {name: Score(name, n, settings=settings, reason=str(error)) for name in metrics}
    scores = {}
    for name in metrics:
        if not np.isfinite(found[name]["value"]):
            scores[name] = Score(name, n, settings={**found[name]["settings"], **settings}, reason="it is not finite")
            continue
        few = n < distribution.FEW_IMAGES and name == "fid"
        scores[name] = Score(
            name,
            n,
            found[name]["value"],
            settings={**found[name]["settings"], **settings},
            reason="no interval: resampling repeats images, and its interval would exclude the estimate"
            if name == "fid"
            else "no interval: the subsets overlap; settings.std_over_subsets is their spread",
            notes=(f"n = {n} is below {distribution.FEW_IMAGES}: FID is biased upward; compare at equal n only",)
            if few
            else (),
        )
    return scores
