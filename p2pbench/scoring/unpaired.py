"""Scores of two sets of images that are no pairs, and that may differ in number."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from p2pbench.config.metrics import METRICS
from p2pbench.errors import WeightsError
from p2pbench.scoring import colour, weights
from p2pbench.scoring.distribution import LEAST_FOR, LEAST_IMAGES, of_features
from p2pbench.scoring.evaluate import Scores, why_unfit
from p2pbench.scoring.features import Extractor
from p2pbench.scoring.images import Images, batches
from p2pbench.scoring.paired import not_measured
from p2pbench.scoring.reference_rows import UNPAIRED
from p2pbench.scoring.set_scores import SetResult, of_set
from p2pbench.scoring.sliced import Sliced
from p2pbench.system.progress import Count, no_progress

OF_SETS = tuple(name for name in UNPAIRED if not name.startswith("kid-paired"))
"""The scores that do not know which output belongs to which target."""
AS_MANY = ("swd", "mind", "mind-alexnet")
"""Those that compare the images of two sets in order, one by one."""


def evaluate_unpaired(
    fakes: Images,
    targets: Images,
    metrics: Sequence[str],
    *,
    weights_dir: Path | None = None,
    fetch: bool = True,
    device: str = "cpu",
    settings: dict[str, Any],
    progress: Count = no_progress,
) -> Scores:
    """Score the set ``fakes`` against the set ``targets``, in any order: no score has values of single images.

    Args:
        fakes, targets: (N, H, W, C) and (M, H, W, C), uint8; N is the scores' ``n``.
        settings: recorded with every score.
        progress: called with (scores measured, in all).
        metrics, weights_dir, fetch, device: as :func:`p2pbench.scoring.evaluate.evaluate` takes them.
    """
    n, common = len(fakes), {**settings, "n_targets": len(targets)}
    reasons = {name: reason for name in metrics if (reason := _why_not(name, fakes.shape, targets.shape))}
    found: dict[str, SetResult] = {}
    of_colours = [name for name in metrics if name in colour.COLOURS and name not in reasons]
    if of_colours:
        overlaps = dict(zip("lab", colour.overlap_of_sets(fakes, targets), strict=True))
        found = {name: SetResult(float(overlaps[name[5]]), colour.SETTINGS, "") for name in of_colours}
    if "swd" in metrics and "swd" not in reasons:
        sliced = Sliced(*fakes.shape[:3])
        for ours, theirs in batches(fakes, targets):
            sliced.add(ours, theirs)
        found["swd"] = sliced.result()
    progress(len(found), len(metrics))
    left = [name for name in metrics if name not in found and name not in reasons]
    for net in dict.fromkeys(METRICS[name].net for name in left):
        assert net is not None
        names = [name for name in left if METRICS[name].net == net]
        try:
            extractor = Extractor(net, weights.obtain(net, weights_dir, fetch=fetch), device)
            of_net = of_features(names, extractor.features(fakes), extractor.cached_features(targets))
            found |= {name: one._replace(settings=one.settings | extractor.settings) for name, one in of_net.items()}
        except WeightsError as error:
            reasons |= dict.fromkeys(names, str(error))
        progress(len(found), len(metrics))
    scores = {
        name: not_measured(name, n, reasons[name], common)
        if name in reasons
        else of_set(name, n, found[name]._replace(pseudo_values="outputs and targets are no pairs"), common).score
        for name in metrics
    }
    return Scores(n, scores, [])


def _why_not(name: str, ours: tuple[int, ...], theirs: tuple[int, ...]) -> str | None:
    """Why the score ``name`` cannot be measured of sets of these shapes; None where it can."""
    if name not in OF_SETS:
        return "compares each output with its own target, and these are no pairs"
    few, least = min(ours[0], theirs[0]), LEAST_FOR.get(name, LEAST_IMAGES)
    if name not in colour.COLOURS and few < least:
        return f"needs {least} images or more on each side; there are {ours[0]} outputs and {theirs[0]} targets"
    if name in AS_MANY and ours[0] != theirs[0]:
        return f"compares as many outputs as targets; there are {ours[0]} and {theirs[0]}"
    return why_unfit(name, ours)
