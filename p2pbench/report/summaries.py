"""What the records say of a score: each variant's mean with its interval, and its difference to the baseline."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from p2pbench.report.records import CellRecord, StudyRecord
from p2pbench.statistics.comparison import Comparison, compare_all, holm
from p2pbench.statistics.intervals import crossed_interval, image_intervals, sd_over_seeds
from p2pbench.system.console import decimals, value_and_interval

ALPHA = 0.05
"""The level of every test."""
PRIMARY_METRICS = ("lpips", "lpips-vgg", "lpips-squeeze")
"""The scores that answer the question, where a study has one: L1, PSNR and SSIM favour what minimises them."""
MAY_DIFFER = {"inference", "noise_seed", "over_set", "interval", "levels", "std_over_subsets", "per_class"}
"""Settings in which scores that are compared may differ: a grid asks about them, the seed decides them, or they are
results."""
RECORDED_LATER = {"split", "library", "weights_sha256", "heads_sha256"}
"""Settings that were not always recorded: where one record lacks one, no two records are told apart by it."""


@dataclass(frozen=True)
class Summary:
    """One score of one variant, over its seeds and test images."""

    value: float | None
    low: float | None
    """Ends of the 95 % interval: over trainings and images from three seeds on, over images below."""
    high: float | None
    method: str | None
    """The kind of interval: ``crossed`` over trainings and images; ``t`` or ``BCa`` over images."""
    seed_sd: float | None
    """Standard deviation over seeds; None with one seed: then training variance is not assessed."""
    comparison: Comparison | None
    """With the baseline, over the same test images; None for the baseline itself and for scores of whole sets."""
    p_holm: float | None
    """The comparison's p-value, corrected for the number of variants that the score is compared of (Holm)."""
    n_seeds: int
    n_images: int
    reason: str | None
    """Why there is no value."""

    @property
    def differs(self) -> bool:
        """Whether these trainings differ from the baseline's beyond the chance of the test images."""
        return self.p_holm is not None and self.p_holm <= ALPHA


def without_value(reason: str | None) -> Summary:
    """The summary of a score that no cell has."""
    return Summary(None, None, None, None, None, None, None, 0, 0, reason)


def measured(study: StudyRecord, variant: str, metric: str) -> list[CellRecord]:
    """The finished cells of a variant that have the score."""
    return [c for c in study.of(variant) if metric in c.scores and c.scores[metric].value is not None]


def made_alike(cells: Iterable[CellRecord], metric: str) -> bool:
    """Whether the score was made in the same way, of images of the same size, in all ``cells``."""
    settings = [cell.scores[metric].settings for cell in cells]
    ignored = MAY_DIFFER | {key for key in RECORDED_LATER if any(key not in own for own in settings)}
    made = [{key: value for key, value in own.items() if key not in ignored} for own in settings]
    return all(own == made[0] for own in made)


def score_matrices(study: StudyRecord, metric: str, variants: Iterable[str]) -> dict[str, pd.DataFrame]:
    """The score of every training on every test image, for each of ``variants`` that has the score.

    Returns:
        By variant a row a seed and a column an image, finite. Empty where these variants cannot be compared: the
        images differ, the score was made in different ways, or it has no value for each image.
    """
    cells = {variant: found for variant in variants if (found := measured(study, variant, metric))}
    together = [cell for found in cells.values() for cell in found]
    columns = [cell.per_image[metric] for cell in together if metric in cell.per_image]
    if not columns or len(columns) < len(together) or not made_alike(together, metric):
        return {}
    images = columns[0].index
    if not all(column.index.equals(images) for column in columns):
        return {}
    values = np.stack([column.to_numpy(dtype=float) for column in columns])  # (seeds of all variants, images)
    if not values.size or not np.isfinite(values).all():
        return {}
    matrices, first = {}, 0
    for variant, found in cells.items():
        rows = values[first : first + len(found)]
        matrices[variant] = pd.DataFrame(rows, index=[cell.seed for cell in found], columns=images)
        first += len(found)
    return matrices


def summarise(study: StudyRecord, variant: str, metric: str) -> Summary:
    """The score ``metric`` of ``variant``: its mean over seeds and images, with interval, and against the baseline."""
    if metric not in study.summaries:
        study.summaries[metric] = _summarise(study, metric)
    summary: Summary = study.summaries[metric][variant]
    return summary


def _summarise(study: StudyRecord, metric: str) -> dict[str, Summary]:
    """The summaries of all variants at once: their bootstraps and tests share the draws."""
    matrices = {
        variant: matrix for v in study.variants for variant, matrix in score_matrices(study, metric, [v]).items()
    }
    intervals, compared = _intervals(matrices), _compared_with_baseline(study, metric, matrices)
    summaries = {}
    for variant in study.variants:
        scores = [cell.scores[metric] for cell in measured(study, variant, metric)]
        if not scores:
            reasons = [cell.scores[metric].reason for cell in study.of(variant) if metric in cell.scores]
            summaries[variant] = without_value((reasons[0] or "not finite") if reasons else "no finished cell")
            continue
        low, high, method = intervals.get(variant, (None, None, None))
        if variant not in intervals and len(scores) == 1:
            # A score of the whole set has its own interval, over the images that this training was scored on.
            low, high, method = scores[0].low, scores[0].high, scores[0].settings.get("interval")
        values = np.array([score.value for score in scores], dtype=float)
        comparison, p_holm = compared.get(variant, (None, None))
        summaries[variant] = Summary(
            float(values.mean()), low, high, method, sd_over_seeds(values), comparison, p_holm, len(scores),
            scores[0].n, None,
        )  # fmt: skip
    return summaries


def _intervals(matrices: dict[str, pd.DataFrame]) -> dict[str, tuple[float | None, float | None, str]]:
    """Each variant's interval and its kind: over trainings and images where the seeds allow it, else over images."""
    images = {v: matrix.mean(axis=0).to_numpy() for v, matrix in matrices.items() if matrix.shape[1] > 1}
    found: dict[str, tuple[float | None, float | None, str]] = {}
    for n in {len(values) for values in images.values()}:
        together = [v for v, values in images.items() if len(values) == n]
        for variant, (estimate, method) in zip(
            together, image_intervals(np.stack([images[v] for v in together])), strict=True
        ):
            crossed = crossed_interval(matrices[variant].to_numpy())
            over_images = (estimate.low, estimate.high, method)
            found[variant] = over_images if crossed.low is None else (crossed.low, crossed.high, "crossed")
    return found


def _compared_with_baseline(
    study: StudyRecord, metric: str, matrices: dict[str, pd.DataFrame]
) -> dict[str, tuple[Comparison, float]]:
    """Each variant that can be compared with the baseline, and its p-value corrected for their number (Holm)."""
    reference = matrices.get(study.baseline)
    if reference is None or len(reference.columns) < 2:
        return {}
    baseline = measured(study, study.baseline, metric)
    others = {
        variant: matrix
        for variant, matrix in matrices.items()
        if variant != study.baseline
        and matrix.columns.equals(reference.columns)
        and made_alike([*measured(study, variant, metric), *baseline], metric)
    }
    if not others:
        return {}
    rows = np.stack([matrix.mean(axis=0).to_numpy() for matrix in others.values()])
    found = compare_all(rows, reference.mean(axis=0).to_numpy(), study.metric(metric).better)
    adjusted = holm(comparison.p for comparison in found).tolist()
    return dict(zip(others, zip(found, adjusted, strict=True), strict=True))


def primary_metric(study: StudyRecord) -> str | None:
    """The score that answers the question: LPIPS where any variant has it, else the first that any has."""
    having = [m for m in study.metrics if any(measured(study, v, m) for v in study.variants)]
    return next((m for m in PRIMARY_METRICS if m in having), having[0] if having else None)


Values = TypeVar("Values", float, np.ndarray)


def oriented(values: Values, better: str) -> Values:
    """``values`` turned so that more is better."""
    if better == "higher":
        return values
    return -values if better == "lower" else -abs(values - 1)


def cell_text(summary: Summary) -> str:
    """A cell of the printed table: ``value [low, high] ± sd``, with ``*`` where it differs from the baseline."""
    text, sd = value_text(summary), summary.seed_sd
    if summary.value is None:
        return text
    text += "*" if summary.differs else ""
    if summary.low is not None and summary.high is not None:
        text += f" {value_and_interval(summary.value, summary.low, summary.high)[1]}"
        return text if sd is None else f"{text} ± {sd:.{decimals(summary.high - summary.low) + 1}f}"
    if summary.n_seeds == 1:
        return f"{text} one seed"
    return text if sd is None else f"{text} ± {sd:.{_digits(summary.value, sd)}f}"


def value_text(summary: Summary) -> str:
    """The value with as many decimals as its uncertainty leaves meaning."""
    if summary.value is None:
        return "not measured" if summary.reason != "no finished cell" else "no result"
    if summary.low is not None and summary.high is not None:
        return value_and_interval(summary.value, summary.low, summary.high)[0]
    return f"{summary.value:.{_digits(summary.value, summary.seed_sd)}f}"


def _digits(value: float, sd: float | None) -> int:
    """The decimals of a value without an interval: those that its spread over seeds leaves, else three digits."""
    return decimals(sd) if sd else min(max(0, 2 - math.floor(math.log10(abs(value) or 1))), 6)
