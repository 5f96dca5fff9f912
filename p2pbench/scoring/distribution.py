"""Scores of a set of images against a set of targets: kernel and Frechet distances, precision and recall."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from p2pbench.config.metrics import METRICS
from p2pbench.errors import WeightsError
from p2pbench.scoring import neighbours
from p2pbench.scoring.features import Extractor
from p2pbench.scoring.frechet import frechet_distance, without_each_pair
from p2pbench.scoring.images import Images
from p2pbench.scoring.jackknife import pseudo_values
from p2pbench.scoring.kernel_distance import paired_kernel_distance
from p2pbench.scoring.mind import DIRECTIONS, mind
from p2pbench.scoring.neighbours import Share, density_and_coverage, within_reach
from p2pbench.scoring.paired import MetricResult, not_measured
from p2pbench.scoring.set_scores import SetResult, of_set

if TYPE_CHECKING:
    from p2pbench.scoring.lpips import Lpips

LEAST_IMAGES = 4
"""Fewer images leave no subset of two for KID, no third neighbour for precision, and no useful covariance."""

KID_SUBSETS = 100
NEIGHBOURS = 3
"""Of precision and recall."""
DENSITY_NEIGHBOURS = 5
"""Of density and coverage, as their authors have it."""

LEAST_FOR = {"density": 6, "coverage": 6}
"""Those that need more: a fifth neighbour."""

FEW = 3
"""Frechet distances have pseudo-values from so many images a feature on: of fewer, their differences may have the
opposite sign of those of large sets, because outputs that are close to their own targets share the sample's error."""


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
        return [of_set(name, n, result, about) for name, result in found.items()]


def of_features(metrics: Sequence[str], x: np.ndarray, y: np.ndarray) -> dict[str, SetResult]:
    """Each of ``metrics`` with its settings, from features ``x`` of the outputs and ``y`` of the targets.

    FID (Heusel et al. 2017) and the like are :func:`frechet_distance`; KID (Binkowski et al. 2018), precision and
    recall (Kynkäänniemi et al. 2019) are torch-fidelity's; the paired KID, MIND, density and coverage are our own.

    Args:
        x, y: (N, d), float32, N >= 4, row i of ``x`` belonging to row i of ``y``; for density and coverage N >= 6. For
            all but the paired KID and MIND ``y`` may be (M, d), of other images.
    """
    found: dict[str, SetResult] = {}
    for name in metrics:
        if name in ("fid", "fd-alexnet"):
            found[name] = _frechet(x, y, METRICS[name].label)
        elif name in ("mind", "mind-alexnet"):
            value, left_out = mind(x, y)
            found[name] = SetResult(value, {"directions": DIRECTIONS}, pseudo_values(value, left_out))
        elif name in ("kid-paired", "kid-paired-alexnet"):
            value, left_out = paired_kernel_distance(x, y)
            found[name] = SetResult(value, {}, pseudo_values(value, left_out))
        elif name == "kid":
            found[name] = _kid(x, y)
    if {"precision", "recall"} & set(metrics):
        found |= _precision_and_recall(x, y)
    if {"density", "coverage"} & set(metrics):
        shares = density_and_coverage(x, y, DENSITY_NEIGHBOURS)
        about = {"neighbours": DENSITY_NEIGHBOURS}
        found |= {
            name: SetResult(share.value, about, _pseudo(share))
            for name, share in zip(("density", "coverage"), shares, strict=True)
        }
    return {name: found[name] for name in metrics if name in found}


def _frechet(x: np.ndarray, y: np.ndarray, label: str) -> SetResult:
    value, n, d = frechet_distance(x, y), min(len(x), len(y)), x.shape[1]
    notes: tuple[str, ...] = ()
    if n < d:
        notes = (f"n = {n} is below {d}: {label} is biased upward; compare at equal n only",)
    if n < FEW * d:
        return SetResult(value, {}, f"n = {n} is below {FEW} times its {d} features", notes)
    if len(x) != len(y):
        return SetResult(value, {}, "there are not as many outputs as targets", notes)
    return SetResult(value, {}, pseudo_values(value, without_each_pair(x, y)), notes)


def _pseudo(share: Share) -> np.ndarray | str:
    few = f"they need a few images more than neighbours, and at most {neighbours.MOST_LEFT_OUT}"
    return few if share.left_out is None else pseudo_values(share.value, share.left_out)


def kid_subset_size(n: int) -> int:
    """The images in each of KID's subsets: 1000, as in torch-fidelity, where there are enough, else half of them."""
    return min(1000, n // 2)


def _kid(x: np.ndarray, y: np.ndarray) -> SetResult:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch-fidelity's own use of deprecated calls
        from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric

    size = kid_subset_size(min(len(x), len(y)))
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
    shares = {"precision": within_reach(y, x, NEIGHBOURS), "recall": within_reach(x, y, NEIGHBOURS)}
    about = {"neighbours": NEIGHBOURS}
    return {name: SetResult(found[name], about, _pseudo(share)) for name, share in shares.items()}
