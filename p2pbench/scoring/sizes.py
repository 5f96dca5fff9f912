"""Scores of images of several sizes: those of single images, measured size by size."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from p2pbench.config.metrics import METRICS, Score
from p2pbench.config.plugins import is_reference
from p2pbench.scoring.evaluate import Scores, evaluate
from p2pbench.scoring.images import Images
from p2pbench.scoring.paired import not_measured, over_images
from p2pbench.system.console import by
from p2pbench.system.progress import Count, no_progress


class OfSize(NamedTuple):
    """The images of one size."""

    rows: Sequence[int]
    """Their positions among all images."""
    fakes: Images
    """(n, H, W, C), uint8, as targets are."""
    targets: Images


def evaluate_sizes(
    parts: Sequence[OfSize], names: Sequence[str], metrics: Sequence[str], *, settings: dict[str, Any],
    progress: Count = no_progress, **how: Any,
) -> Scores:  # fmt: skip
    """The scores of images of several sizes, each of which is scored as it is.

    Scores of whole sets are not measured: they would compare the sizes. An image that is too small for a score costs
    that image.

    Args:
        names: of all images, N, in their order.
        settings, how: as :func:`evaluate` takes them. A user's own score is called once for each size.
    """
    n, done = len(names), 0
    of_images = [name for name in metrics if is_reference(name) or METRICS[name].per_image]
    values = {name: np.full(n, np.nan) for name in of_images}
    found: dict[str, list[Score]] = {name: [] for name in of_images}
    for part in parts:
        scores = evaluate(
            part.fakes, part.targets, [names[row] for row in part.rows], of_images, settings=settings,
            progress=lambda some, _, before=done: progress(before + some, n), **how,  # type: ignore[misc]
        )  # fmt: skip
        done += len(part.rows)
        for name in of_images:
            found[name].append(scores.scores[name])
            if name in scores.per_image:
                values[name][list(part.rows)] = scores.per_image[name]
    least, *_, most = sorted((part.targets.shape[2:0:-1] for part in parts), key=np.prod)
    reason = f"is a score of images of one size; these have {len(parts)}, from {by(least)} to {by(most)}"
    merged = {
        name: _merged(found[name], values[name]) if name in found else not_measured(name, n, reason, settings)
        for name in metrics
    }
    measured = {name: values[name] for name in of_images if merged[name].value is not None}
    return Scores(n, merged, list(names), measured)


def _merged(parts: Sequence[Score], values: np.ndarray) -> Score:
    """The score of all images, given those of each size, and the values of all, NaN where there are none."""
    lacking = {part.reason: part.n for part in parts if part.value is None}
    of_size = next((part for part in parts if part.value is not None), None)
    if of_size is None:
        return not_measured(parts[0].metric, len(values), "; ".join(map(str, lacking)), parts[0].settings)
    settings = {key: value for key, value in of_size.settings.items() if key not in ("interval", "over_set")}
    score = over_images(of_size.metric, values, settings, of_size.about).score
    return replace(score, notes=(*score.notes, *(f"of {n} images: {reason}" for reason, n in lacking.items())))
