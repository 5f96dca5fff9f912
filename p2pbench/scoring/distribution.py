"""Scores of a set of images against a set of targets: Frechet distances, KID, precision and recall, patches."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from p2pbench.errors import WeightsError
from p2pbench.scoring import weights
from p2pbench.scoring.features import Extractor
from p2pbench.scoring.frechet import frechet_distance
from p2pbench.scoring.metrics import METRICS, Score

LEAST_IMAGES = 4
"""Fewer leave no subset of two for KID, no third neighbour for precision, and no covariance to speak of."""

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


class Found(NamedTuple):
    value: float
    settings: dict[str, Any]


def measure_sets(
    metrics: Sequence[str],
    fakes: np.ndarray,
    targets: np.ndarray,
    *,
    weights_dir: Path | None,
    fetch: bool,
    device: str,
    settings: dict[str, Any],
) -> dict[str, Score]:
    """Each of ``metrics``, keys of ``METRICS`` that are not per image, or why it was not measured.

    A network looks at each set once, however many scores are made of what it sees; at ``targets`` only if it has not
    seen them before.

    Args:
        fakes, targets: (N, H, W, 3), uint8, the same shape, N >= 1.
        settings: recorded with every score.
    """
    n, side = len(fakes), min(fakes.shape[1:3])
    reasons: dict[str, str] = {}
    by_net: dict[str | None, list[str]] = {}
    for name in metrics:
        if n < LEAST_IMAGES:
            reasons[name] = f"needs {LEAST_IMAGES} images or more; there are {n}"
        elif side < METRICS[name].least_side:
            reasons[name] = f"needs images of {METRICS[name].least_side} pixels a side or more; these have {side}"
        else:
            by_net.setdefault(METRICS[name].net, []).append(name)
    found: dict[str, Found] = {}
    for net, names in by_net.items():
        if net is None:
            found["swd"] = _swd(fakes, targets)
            continue
        try:
            extractor = Extractor(net, weights.obtain(net, weights_dir, fetch=fetch), device)
            x, y = extractor.features(fakes), extractor.kept_features(targets)
        except WeightsError as error:
            reasons |= dict.fromkeys(names, str(error))
            continue
        measured = of_features(names, x, y)
        found |= {name: Found(value, how | extractor.settings) for name, (value, how) in measured.items()}
    scores = {name: Score(name, n, settings=settings, reason=reason) for name, reason in reasons.items()}
    return scores | {name: _score(name, n, *figure, settings) for name, figure in found.items()}


def _score(name: str, n: int, value: float, how: dict[str, Any], settings: dict[str, Any]) -> Score:
    if not np.isfinite(value):
        return Score(name, n, settings={**how, **settings}, reason="it is not finite")
    notes = []
    few = FEATURES.get(name, 0)
    if n < few:
        notes.append(f"n = {n} is below {few}: {METRICS[name].label} is biased upward; compare at equal n only")
    reason = f"no interval: {NO_INTERVAL[name]}"
    return Score(name, n, value, settings={**how, **settings}, reason=reason, notes=tuple(notes))


FEATURES = {"fid": 2048, "fd-alexnet": 256}
"""With fewer images than features a covariance is rank-deficient and the distance biased upward, the more the fewer."""


def of_features(metrics: Sequence[str], x: np.ndarray, y: np.ndarray) -> dict[str, Found]:
    """Each of ``metrics`` of features ``x`` of the fakes and ``y`` of the targets, both (N, d), float32, N >= 4.

    FID (Heusel et al. 2017) and the like are :func:`frechet_distance`; KID (Binkowski et al. 2018), precision and
    recall (Kynkäänniemi et al. 2019) are torch-fidelity's.
    """
    found = {name: Found(frechet_distance(x, y), {}) for name in metrics if name in FEATURES}
    if "kid" in metrics:
        found["kid"] = _kid(x, y)
    if {"precision", "recall"} & set(metrics):
        shares = _precision_and_recall(x, y)
        found |= {name: share for name, share in shares.items() if name in metrics}
    return found


def kid_subset_size(n: int) -> int:
    """Images in each of KID's subsets: 1000 (torch-fidelity's own) where there are enough, else half of them."""
    return min(1000, n // 2)


def _kid(x: np.ndarray, y: np.ndarray) -> Found:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch-fidelity's own use of deprecated calls
        from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric

    size = kid_subset_size(len(x))
    found = kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), kid_subsets=KID_SUBSETS, kid_subset_size=size, verbose=False
    )
    settings = {"subsets": KID_SUBSETS, "subset_size": size, "std_over_subsets": found[KEY_METRIC_KID_STD]}
    return Found(found[KEY_METRIC_KID_MEAN], settings)


def _precision_and_recall(x: np.ndarray, y: np.ndarray) -> dict[str, Found]:
    """Precision: the share of fakes within reach of a target; recall: of targets within reach of a fake.

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
    return {name: Found(found[name], {"neighbours": NEIGHBOURS}) for name in ("precision", "recall")}


def _swd(fakes: np.ndarray, targets: np.ndarray) -> Found:
    from p2pbench.scoring.sliced import SETTINGS, sliced_wasserstein

    by_level = sliced_wasserstein(fakes, targets)
    settings = {**SETTINGS, "levels": by_level, "library": f"numpy {np.__version__}"}
    return Found(float(np.mean(list(by_level.values()))), settings)
