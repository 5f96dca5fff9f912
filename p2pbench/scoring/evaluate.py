"""One pass over outputs and targets gives every score that was asked for, or the reason why it is not measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from p2pbench.config.metrics import FCN_SCORES, METRICS, Score
from p2pbench.config.plugins import is_reference
from p2pbench.errors import NotFinite, WeightsError
from p2pbench.scoring import segmentation, weights
from p2pbench.scoring.colour import COLOURS, Overlaps
from p2pbench.scoring.distribution import LEAST_FOR, LEAST_IMAGES, FeatureSets
from p2pbench.scoring.features import Extractor
from p2pbench.scoring.images import Images, batches
from p2pbench.scoring.lpips import Lpips
from p2pbench.scoring.paired import FUNCTIONS, CustomMetrics, Diversity, FunctionMeasure, Measure, not_measured
from p2pbench.scoring.sliced import Sliced
from p2pbench.system.progress import Count, no_progress

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Scores:
    """The scores of one set of images, the values of its images, and pseudo-values of scores of the whole set."""

    n: int
    scores: dict[str, Score]
    names: list[str]
    per_image: dict[str, np.ndarray] = field(default_factory=dict)
    pseudo_values: dict[str, np.ndarray] = field(default_factory=dict)

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
    builder = _Builder(fakes.shape, weights_dir, fetch, device, redraw)
    measures = builder.build(metrics, classes)
    try:
        for ours, theirs in batches(fakes, targets):
            for add in (*(measure.add for measure in measures), *watchers):
                add(ours, theirs)
            done += len(ours)
            progress(done, n)
    except NotFinite as error:
        return Scores(n, {name: not_measured(name, n, str(error), common) for name in metrics}, list(names))
    tried = classes.settings if isinstance(classes, segmentation.NoReader) else {}
    scores = {
        name: not_measured(name, n, reason, {**common, **(tried if name in FCN_SCORES else {})})
        for name, reason in builder.reasons.items()
    }
    per_image, pseudo_values = {}, {}
    for measure in measures:
        for score, values, pseudo in measure.results(targets, common):
            scores[score.metric] = score
            if values is not None:
                per_image[score.metric] = values
            if pseudo is not None:
                pseudo_values[score.metric] = pseudo
    of_images, of_sets = (
        {name: found[name] for name in metrics if name in found} for found in (per_image, pseudo_values)
    )
    return Scores(n, {name: scores[name] for name in metrics}, list(names), of_images, of_sets)


@dataclass
class _Builder:
    """Builds what measures the requested scores, and notes why the others cannot be measured."""

    shape: tuple[int, ...]
    weights_dir: Path | None
    fetch: bool
    device: str
    redraw: Callable[[int], Images] | None
    reasons: dict[str, str] = field(default_factory=dict)
    """Why scores cannot be measured, by their name."""

    def build(self, metrics: Sequence[str], classes: segmentation.ClassReader | segmentation.NoReader) -> list[Measure]:
        """What measures ``metrics``."""
        of_images = self._of_images(metrics)
        return [*of_images, *self._of_sets(metrics, of_images), *self._of_classes(metrics, classes)]

    def _of_images(self, metrics: Sequence[str]) -> list[Measure]:
        """The measures of one image at a time."""
        built: list[Measure] = []
        known = [name for name in metrics if not is_reference(name)]
        fit = [name for name in known if (METRICS[name].per_image or name in COLOURS) and self._fits(name)]
        for name in fit:
            net = METRICS[name].net
            if net is not None:
                try:
                    path = weights.obtain(net, self.weights_dir, fetch=self.fetch)
                    built.append(Lpips(net, path, self.device))
                except WeightsError as error:
                    self.reasons[name] = str(error)
            elif name in FUNCTIONS:
                built.append(FunctionMeasure(name, self.shape[3]))
        if set(fit) & set(COLOURS):
            built.append(Overlaps())
        if "diversity" in fit and self.redraw is not None:
            built.append(Diversity(self.redraw))
        elif "diversity" in fit:
            self.reasons["diversity"] = "needs a model to draw other outputs from, not images alone"
        if custom := [name for name in metrics if is_reference(name)]:
            built.append(CustomMetrics(custom))
        return built

    def _of_classes(
        self, metrics: Sequence[str], reader: segmentation.ClassReader | segmentation.NoReader
    ) -> list[Measure]:
        """The comparison of classes, as a list of one or none."""
        names = [name for name in metrics if name in FCN_SCORES and self._fits(name)]
        if isinstance(reader, segmentation.NoReader):
            self.reasons |= dict.fromkeys(names, reader.reason)
            return []
        return [segmentation.ClassMeasure(names, reader)] if names else []

    def _of_sets(self, metrics: Sequence[str], of_images: Sequence[Measure]) -> list[Measure]:
        """The measures of whole sets."""
        apart = {name for name in metrics if is_reference(name)} | set(FCN_SCORES) | set(COLOURS)
        names = [name for name in metrics if name not in apart and not METRICS[name].per_image]
        by_net: dict[str | None, list[str]] = {}
        for name in names:
            if self.shape[0] < (least := LEAST_FOR.get(name, LEAST_IMAGES)):
                self.reasons[name] = f"needs {least} images or more; there are {self.shape[0]}"
            elif self._fits(name):
                by_net.setdefault(METRICS[name].net, []).append(name)
        lpips = {measure.settings["net"]: measure for measure in of_images if isinstance(measure, Lpips)}
        built: list[Measure] = []
        for net, wanted in by_net.items():
            if net is None:
                built.append(Sliced(*self.shape[:3]))
                continue
            try:
                path = weights.obtain(net, self.weights_dir, fetch=self.fetch)
                built.append(FeatureSets(wanted, Extractor(net, path, self.device), lpips.get(net)))
            except WeightsError as error:
                self.reasons |= dict.fromkeys(wanted, str(error))
        return built

    def _fits(self, name: str) -> bool:
        """Whether the images have the size and the channels that the score ``name`` needs; notes the reason if not."""
        if reason := why_unfit(name, self.shape):
            self.reasons[name] = reason
        return name not in self.reasons


def why_unfit(name: str, shape: tuple[int, ...]) -> str | None:
    """Why images of this ``shape``, (N, H, W, C), are too small for the score ``name``, or have other channels."""
    metric, channels = METRICS[name], shape[3]
    if (side := min(shape[1:3])) < metric.least_side:
        return f"needs images of {metric.least_side} pixels a side or more; these have {side}"
    if channels != 3 and not metric.any_channels:
        return f"is a score of RGB images; these have {channels} channels"
    return None
