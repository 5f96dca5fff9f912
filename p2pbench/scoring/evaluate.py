"""One pass over outputs and targets gives every score that was asked for, or the reason why it is not measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from p2pbench.config.metrics import FCN_SCORES, METRICS, Metric, Score
from p2pbench.config.plugins import is_reference
from p2pbench.errors import NotFinite, WeightsError
from p2pbench.scoring import segmentation, weights
from p2pbench.scoring.colour import Overlaps
from p2pbench.scoring.distribution import LEAST_IMAGES, FeatureSets, PatchSets, Sets
from p2pbench.scoring.features import Extractor
from p2pbench.scoring.images import Images, batches
from p2pbench.scoring.lpips import Lpips
from p2pbench.scoring.paired import (
    FUNCTIONS,
    CustomMetrics,
    Diversity,
    FunctionMeasure,
    Measure,
    MetricResult,
    unmeasured,
)
from p2pbench.statistics.intervals import image_interval
from p2pbench.system.progress import Count, no_progress

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Scores:
    """The scores of one set of images, and the values of its images."""

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
        """One row for each image: its name and its value of each per-image score, empty where that is not finite."""
        import pandas as pd

        return pd.DataFrame({"image": self.names, **self.per_image}).replace([np.inf, -np.inf], np.nan)


NO_LABELS = segmentation.NoReader("needs the label maps of the images: score a model, or name their data set")


def evaluate(
    fakes: Images,
    targets: Images,
    names: Sequence[str],
    metrics: Sequence[str],
    *,
    weights_dir: Path | None = None,
    fetch: bool = True,
    device: str = "cpu",
    settings: dict[str, Any] | None = None,
    redraw: Callable[[int], Images] | None = None,
    classes: segmentation.ClassReader | segmentation.NoReader = NO_LABELS,
    watchers: Sequence[Callable[[np.ndarray, np.ndarray], None]] = (),
    progress: Count = no_progress,
) -> Scores:
    """Score ``fakes`` against ``targets`` in one pass over both, batch by batch.

    Memory holds 8 KB of each image for a network's features, and a bounded number of patch descriptors. Only a user's
    own scores, which take all images at once, hold all images.

    Args:
        fakes, targets: (N, H, W, C), uint8, N >= 1, in the same order: arrays, or :class:`LazyImages`. Most scores need
            C = 3.
        names: the names of the N images.
        metrics: keys of ``METRICS``, or ``module:function``.
        weights_dir: the first folder where pretrained networks are looked for.
        fetch: whether networks that are not on this machine may be fetched.
        settings: how the images were made, such as the inference mode; recorded with every score.
        redraw: gives the outputs with the k-th other noise; None where no model is at hand.
        classes: reads classes from these images for the FCN-scores, or says why nothing can.
        watchers: called with each batch of outputs and targets, in order, until an image is not finite.
        progress: called with (images scored, images in all).
    Returns:
        A score for each of ``metrics``: measured, or not measured with its reason.
    """
    if fakes.shape != targets.shape or fakes.dtype != np.uint8 or targets.dtype != np.uint8:
        raise ValueError(f"scores are made of uint8 images of one shape, got {fakes.shape} and {targets.shape}")
    n, common, done = len(fakes), dict(settings or {}), 0
    asked = _Asked(fakes.shape, weights_dir, fetch, device, redraw)
    one_by_one = asked.of_images(metrics)
    of_sets = asked.of_sets(metrics, one_by_one)
    of_classes = asked.of_classes(metrics, classes)
    scores = {
        name: Score(name, n, settings=common, reason=reason, about=about)
        for name, (reason, about) in asked.reasons.items()
    }
    adders = (
        [measure.add for measure in one_by_one]
        + [sets.add for sets in of_sets]
        + [comparison.add for comparison in of_classes]
        + list(watchers)
    )
    try:
        for ours, theirs in batches(fakes, targets):
            for add in adders:
                add(ours, theirs)
            done += len(ours)
            progress(done, n)
    except NotFinite as error:
        return Scores(n, {name: _unmeasured(name, n, str(error), common) for name in metrics}, list(names))
    per_image = {}
    for measure in one_by_one:
        for name, found in measure.results().items():
            if name in metrics:
                scores[name] = _over_images(name, n, found, common)
                if found.reason is None:
                    per_image[name] = found.values
    for sets in of_sets:
        scores |= sets.scores(targets, common)
    for comparison in of_classes:
        class_scores, accuracies = comparison.scores(common)
        scores |= class_scores
        per_image |= accuracies
    ordered = {name: per_image[name] for name in metrics if name in per_image}
    return Scores(n, {name: scores[name] for name in metrics}, list(names), ordered)


def _unmeasured(name: str, n: int, reason: str, settings: dict[str, Any]) -> Score:
    return Score(name, n, settings=settings, reason=reason, about=unmeasured(name) if is_reference(name) else None)


@dataclass
class _Asked:
    """Builds what measures the requested scores, and notes why the others cannot be measured."""

    shape: tuple[int, ...]
    weights_dir: Path | None
    fetch: bool
    device: str
    redraw: Callable[[int], Images] | None
    reasons: dict[str, tuple[str, Metric | None]] = field(default_factory=dict)

    def of_images(self, metrics: Sequence[str]) -> list[Measure]:
        """The measures of one image at a time."""
        built: list[Measure] = []
        fit = [name for name in metrics if not is_reference(name) and METRICS[name].per_image and self._fits(name)]
        for name in fit:
            net = METRICS[name].net
            if net is not None:
                try:
                    path = weights.obtain(net, self.weights_dir, fetch=self.fetch)
                    built.append(Lpips(net, path, self.device))
                except WeightsError as error:
                    self.reasons[name] = (str(error), None)
            elif name in FUNCTIONS:
                built.append(FunctionMeasure(name, self.shape[3]))
        if any(name.startswith("hist-") for name in fit):
            built.append(Overlaps())
        if "diversity" in fit and self.redraw is not None:
            built.append(Diversity(self.redraw))
        elif "diversity" in fit:
            self.reasons["diversity"] = ("needs a model to draw other outputs from, not images alone", None)
        if custom := [name for name in metrics if is_reference(name)]:
            built.append(CustomMetrics(custom))
        return built

    def of_classes(
        self, metrics: Sequence[str], reader: segmentation.ClassReader | segmentation.NoReader
    ) -> list[segmentation.ClassMeasure]:
        """The comparison of classes, as a list of one or none."""
        names = [name for name in metrics if name in FCN_SCORES and self._fits(name)]
        if isinstance(reader, segmentation.NoReader):
            self.reasons |= dict.fromkeys(names, (reader.reason, None))
            return []
        return [segmentation.ClassMeasure(names, reader)] if names else []

    def of_sets(self, metrics: Sequence[str], one_by_one: Sequence[Measure]) -> list[Sets]:
        """The measures of whole sets."""
        apart = {name for name in metrics if is_reference(name)} | set(FCN_SCORES)
        names = [name for name in metrics if name not in apart and not METRICS[name].per_image]
        if self.shape[0] < LEAST_IMAGES:
            reason = f"needs {LEAST_IMAGES} images or more; there are {self.shape[0]}"
            self.reasons |= dict.fromkeys(names, (reason, None))
            return []
        by_net: dict[str | None, list[str]] = {}
        for name in names:
            if self._fits(name):
                by_net.setdefault(METRICS[name].net, []).append(name)
        lpips = {measure.settings["net"]: measure for measure in one_by_one if isinstance(measure, Lpips)}
        built: list[Sets] = []
        for net, wanted in by_net.items():
            if net is None:
                built.append(PatchSets(*self.shape[:3]))
                continue
            try:
                path = weights.obtain(net, self.weights_dir, fetch=self.fetch)
                built.append(FeatureSets(wanted, Extractor(net, path, self.device), lpips.get(net)))
            except WeightsError as error:
                self.reasons |= dict.fromkeys(wanted, (str(error), None))
        return built

    def _fits(self, name: str) -> bool:
        """Whether the images have the size and the channels that the score ``name`` needs; notes the reason if not."""
        metric, channels = METRICS[name], self.shape[3]
        if (side := min(self.shape[1:3])) < metric.least_side:
            reason = f"needs images of {metric.least_side} pixels a side or more; these have {side}"
            self.reasons[name] = (reason, None)
        elif channels != 3 and not metric.any_channels:
            self.reasons[name] = (f"is a score of RGB images; these have {channels} channels", None)
        return name not in self.reasons


def _over_images(name: str, n: int, found: MetricResult, common: dict[str, Any]) -> Score:
    values, settings, about = found.values, {**found.settings, **common}, found.about
    if found.reason is not None:
        return Score(name, n, settings=settings, reason=found.reason, about=about)
    bad = int((~np.isfinite(values)).sum())
    if bad:
        why = "are identical to their targets" if name == "psnr" else "have no finite value"
        return Score(name, n, settings=settings, reason=f"{bad} of {n} images {why}", about=about)
    estimate, method = image_interval(values)
    settings = {**settings, "interval": method}
    reason = "one image has no interval" if n == 1 else None
    return Score(name, n, estimate.value, estimate.low, estimate.high, settings, reason, about=about)
