"""Scores of a set of images against a set of targets: kernel and Frechet distances, precision and recall, patches."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from p2pbench.config.metrics import METRICS, Score
from p2pbench.errors import WeightsError
from p2pbench.scoring.features import Extractor
from p2pbench.scoring.frechet import frechet_distance
from p2pbench.scoring.images import Images
from p2pbench.scoring.jackknife import described, none, pseudo_values
from p2pbench.scoring.kernel_distance import paired_kernel_distance
from p2pbench.scoring.paired import NUMPY, MetricResult, not_measured
from p2pbench.scoring.sliced import Sliced
from p2pbench.statistics.intervals import mean_interval

if TYPE_CHECKING:
    from p2pbench.scoring.lpips import Lpips

LEAST_IMAGES = 4
"""Fewer images leave no subset of two for KID, no third neighbour for precision, and no useful covariance."""

KID_SUBSETS = 100
NEIGHBOURS = 3

NO_INTERVAL = {
    **dict.fromkeys(
        ("fid", "fd-alexnet", "swd"), "resampling repeats images, and its interval would exclude the estimate"
    ),
    # Simulated at n = 106: mean ± 1.96 std / √subsets, which people quote, covers the truth in 0 to 30 of 100 cases.
    "kid": "the subsets overlap; settings.std_over_subsets is their spread, not the error of having these images",
    **dict.fromkeys(("precision", "recall"), "whether one image counts depends on all the others"),
}


class SetResult(NamedTuple):
    """One score of two sets."""

    value: float
    settings: dict[str, Any]
    """What is recorded with it."""
    pseudo_values: np.ndarray | str
    """Those of the images, (N,), or of groups of them; or why there are none."""


class FeatureSets:
    """Scores made of one network's features, which are computed once; those of the targets come from the cache."""

    def __init__(self, metrics: Sequence[str], extractor: Extractor, lpips: Lpips | None) -> None:
        """``lpips``: an LPIPS with the same network, which already computes the features of the outputs."""
        self._metrics, self._extractor, self._lpips = metrics, extractor, lpips
        self._features: list[np.ndarray] = []
        self._reason: str | None = None

    def add(self, fakes: np.ndarray, targets: np.ndarray) -> None:  # noqa: ARG002
        if self._lpips is not None or self._reason is not None:
            return
        try:
            self._features.append(self._extractor.of_batch(fakes))
        except WeightsError as error:
            self._reason = str(error)

    def results(self, targets: Images, common: dict[str, Any]) -> Iterable[MetricResult]:
        n = len(targets)
        try:
            if self._reason is not None:
                raise WeightsError(self._reason)
            features = self._features if self._lpips is None else self._lpips.means
            x, y = self._extractor.checked(np.concatenate(features)), self._extractor.cached_features(targets)
        except WeightsError as error:
            return [MetricResult(not_measured(name, n, str(error), common)) for name in self._metrics]
        about = {**self._extractor.settings, **common}
        found = of_features(self._metrics, x, y)
        return [_result(name, n, result, about) for name, result in found.items()]


class PatchSets:
    """The sliced Wasserstein distance, which needs no network."""

    def __init__(self, n: int, height: int, width: int) -> None:
        self._sliced = Sliced(n, height, width)

    def add(self, fakes: np.ndarray, targets: np.ndarray) -> None:
        self._sliced.add(fakes, targets)

    def results(self, targets: Images, common: dict[str, Any]) -> Iterable[MetricResult]:
        by_level = self._sliced.distances()
        own = {**self._sliced.settings, "levels": by_level, "library": NUMPY}
        found = SetResult(float(np.mean(list(by_level.values()))), own, "not yet")
        yield _result("swd", len(targets), found, common)


def _result(name: str, n: int, found: SetResult, about: dict[str, Any]) -> MetricResult:
    """The score ``name`` of ``n`` images, recorded with ``about``, and its pseudo-values."""
    settings = {**found.settings, **about}
    if not np.isfinite(found.value):
        return MetricResult(Score(name, n, settings=settings, reason="it is not finite"))
    pseudo = None if isinstance(found.pseudo_values, str) else found.pseudo_values
    if pseudo is not None and not np.isfinite(pseudo).all():
        pseudo = None
    why = found.pseudo_values if isinstance(found.pseudo_values, str) else "some are not finite"
    settings["jackknife"] = none(why) if pseudo is None else described(len(pseudo), n)
    few = FEATURES.get(name, 0)
    notes = (
        (f"n = {n} is below {few}: {METRICS[name].label} is biased upward; compare at equal n only",) if n < few else ()
    )
    if pseudo is None or name in NO_INTERVAL:
        reason = f"no interval: {NO_INTERVAL.get(name, 'there are no pseudo-values')}"
        return MetricResult(Score(name, n, found.value, settings=settings, reason=reason, notes=notes), None, pseudo)
    estimate = mean_interval(pseudo)  # the mean of a U-statistic's pseudo-values is the score itself
    settings["interval"] = "jackknife"
    return MetricResult(Score(name, n, found.value, estimate.low, estimate.high, settings), None, pseudo)


PAIRED_KID = ("kid-paired", "kid-paired-alexnet")
FEATURES = {"fid": 2048, "fd-alexnet": 256}
"""The number of features of each Frechet distance. With fewer images a covariance is rank-deficient and the distance is
biased upward, the more the fewer images there are."""


def of_features(metrics: Sequence[str], x: np.ndarray, y: np.ndarray) -> dict[str, SetResult]:
    """Each of ``metrics`` with its settings, from features ``x`` of the outputs and ``y`` of the targets.

    FID (Heusel et al. 2017) and the like are :func:`frechet_distance`; KID (Binkowski et al. 2018), precision and
    recall (Kynkäänniemi et al. 2019) are torch-fidelity's; the paired KID is :func:`paired_kernel_distance`.

    Args:
        x, y: (N, d), float32, N >= 4, row i of ``x`` belonging to row i of ``y``.
    """
    found = {name: SetResult(frechet_distance(x, y), {}, "not yet") for name in metrics if name in FEATURES}
    for name in PAIRED_KID:
        if name in metrics:
            value, left_out = paired_kernel_distance(x, y)
            found[name] = SetResult(value, {}, pseudo_values(value, left_out))
    if "kid" in metrics:
        found["kid"] = _kid(x, y)
    if {"precision", "recall"} & set(metrics):
        shares = _precision_and_recall(x, y)
        found |= {name: share for name, share in shares.items() if name in metrics}
    return found


def kid_subset_size(n: int) -> int:
    """The images in each of KID's subsets: 1000, as in torch-fidelity, where there are enough, else half of them."""
    return min(1000, n // 2)


def _kid(x: np.ndarray, y: np.ndarray) -> SetResult:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch-fidelity's own use of deprecated calls
        from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric

    size = kid_subset_size(len(x))
    found = kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), kid_subsets=KID_SUBSETS, kid_subset_size=size, verbose=False
    )
    settings = {"subsets": KID_SUBSETS, "subset_size": size, "std_over_subsets": found[KEY_METRIC_KID_STD]}
    return SetResult(found[KEY_METRIC_KID_MEAN], settings, "its subsets are drawn at random")


def _precision_and_recall(x: np.ndarray, y: np.ndarray) -> dict[str, SetResult]:
    """Precision: the share of outputs within reach of a target; recall: the share of targets within reach of an output.

    An image reaches as far as its third nearest neighbour in its own set.
    """
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch_fidelity.metric_prc import prc_features_to_metric

    found = prc_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y),
        prc_neighborhood=NEIGHBOURS, prc_batch_size=2048, save_cpu_ram=True, verbose=False,
    )  # fmt: skip
    return {name: SetResult(found[name], {"neighbours": NEIGHBOURS}, "not yet") for name in ("precision", "recall")}
