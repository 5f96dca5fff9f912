"""What the records say of a score: each variant's mean with its interval, its difference to the baseline, the best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from p2pbench.report.records import CellRecord, StudyRecord
from p2pbench.statistics.comparison import Comparison, compare_all, holm
from p2pbench.statistics.intervals import Estimate, crossed_interval, image_intervals, sd_over_seeds
from p2pbench.system.console import decimals

ALPHA = 0.05
PRIMARY_METRICS = ("lpips", "lpips-vgg", "lpips-squeeze")
"""Scores that speak first, where a study has one: L1, PSNR and SSIM favour what minimises them."""


@dataclass(frozen=True)
class Summary:
    """One score of one variant, over its seeds and test images."""

    value: float | None
    low: float | None
    """Ends of the 95 % interval: over trainings and images from three seeds on, over images below."""
    high: float | None
    method: str | None
    """What interval it is: ``crossed`` over trainings and images; ``t`` or ``BCa`` over images."""
    seed_sd: float | None
    """Standard deviation over seeds; None with one seed: then training variance is not assessed."""
    comparison: Comparison | None
    """With the baseline, over the same test images; None for the baseline itself and for scores of whole sets."""
    p_holm: float | None
    """The comparison's p-value, corrected for the number of variants that the score is compared of (Holm)."""
    n_seeds: int
    n_images: int
    reason: str | None

    @property
    def differs(self) -> bool:
        """Whether these trainings differ from the baseline's beyond the chance of the test images."""
        return self.p_holm is not None and self.p_holm <= ALPHA


def summarise(study: StudyRecord, variant: str, metric: str) -> Summary:
    """The score ``metric`` of ``variant``: its mean over seeds and images, with interval, and against the baseline."""
    if metric not in study.summaries:
        study.summaries[metric] = _summarise(study, metric)
    summary: Summary = study.summaries[metric][variant]
    return summary


def _summarise(study: StudyRecord, metric: str) -> dict[str, Summary]:
    """Of every variant at once: bootstraps and tests share their draws."""
    cells = {variant: measured(study, variant, metric) for variant in study.variants}
    matrices = {v: found for v in study.variants if (found := by_seed_and_image(cells[v], metric)) is not None}
    images = {v: found.mean(axis=0).to_numpy() for v, found in matrices.items() if found.shape[1] > 1}
    intervals: dict[str, tuple[Estimate, str]] = {}
    for n in {len(values) for values in images.values()}:
        alike = [v for v, values in images.items() if len(values) == n]
        intervals |= dict(zip(alike, image_intervals(np.stack([images[v] for v in alike])), strict=True))
    compared = _compared(study, metric, cells, matrices)
    summaries = {}
    for variant in study.variants:
        if not cells[variant]:
            summaries[variant] = _none(study, variant, metric)
            continue
        values = np.array([cell.scores[metric].value for cell in cells[variant]], dtype=float)
        seed_sd, n_images = sd_over_seeds(values), cells[variant][0].scores[metric].n
        comparison, p_holm = compared.get(variant, (None, None))
        low: float | None
        high: float | None
        method: str | None
        if variant in intervals:
            over_images, how = intervals[variant]
            low, high, method = over_images.low, over_images.high, how
            crossed = crossed_interval(matrices[variant].to_numpy())
            if crossed.low is not None:
                low, high, method = crossed.low, crossed.high, "crossed"
        else:
            # A score of the whole set: its own interval, over the images that one training was scored on.
            low = high = method = None
            if len(values) == 1:
                alone = cells[variant][0].scores[metric]
                low, high, method = alone.low, alone.high, alone.settings.get("interval")
        summaries[variant] = Summary(
            float(values.mean()), low, high, method, seed_sd, comparison, p_holm, len(values), n_images, None
        )
    return summaries


def _none(study: StudyRecord, variant: str, metric: str) -> Summary:
    reasons = [cell.scores[metric].reason for cell in study.of(variant) if metric in cell.scores]
    reason = (reasons[0] or "not finite") if reasons else "no finished cell"
    return Summary(None, None, None, None, None, None, None, 0, 0, reason)


def _compared(
    study: StudyRecord, metric: str, cells: dict[str, list[CellRecord]], matrices: dict[str, pd.DataFrame]
) -> dict[str, tuple[Comparison, float]]:
    """Every variant that can be compared with the baseline, and its p-value corrected for their number (Holm)."""
    baseline = study.baseline
    reference = matrices.get(baseline)
    if reference is None or len(reference.columns) < 2:
        return {}
    others = {
        v: found
        for v, found in matrices.items()
        if v != baseline and found.columns.equals(reference.columns) and alike([*cells[v], *cells[baseline]], metric)
    }
    if not others:
        return {}
    rows = np.stack([found.mean(axis=0).to_numpy() for found in others.values()])
    found = compare_all(rows, reference.mean(axis=0).to_numpy(), study.metric(metric).better)
    adjusted = holm([comparison.p for comparison in found]).tolist()
    return dict(zip(others, zip(found, adjusted, strict=True), strict=True))


def measured(study: StudyRecord, variant: str, metric: str) -> list[CellRecord]:
    """The finished cells of a variant that have the score, and it is a number."""
    return [c for c in study.of(variant) if metric in c.scores and c.scores[metric].value is not None]


FREE = {"inference", "noise_seed", "over_set", "interval", "levels", "std_over_subsets", "per_class"}
"""Settings in which scores that are compared may differ: what a grid asks about, what a seed decides, results."""


LATER = {"split", "library", "weights_sha256", "heads_sha256"}
"""Settings that were not always recorded: where one record lacks one, it tells none apart."""


def alike(cells: list[CellRecord], metric: str) -> bool:
    """Whether the score was made in the same way, of images of the same size, in all ``cells``."""
    settings = [dict(cell.scores[metric].settings) for cell in cells]
    for key in LATER:
        if any(key not in own for own in settings):
            for own in settings:
                own.pop(key, None)
    made = [{key: value for key, value in own.items() if key not in FREE} for own in settings]
    return all(own == made[0] for own in made)


def by_seed_and_image(cells: list[CellRecord], metric: str) -> pd.DataFrame | None:
    """The score of each test image, a row a seed; None where the images are not the same or there are none."""
    columns = [cell.per_image[metric] for cell in cells if metric in cell.per_image]
    if not columns or len(columns) < len(cells) or not alike(cells, metric):
        return None
    if any(not column.index.equals(columns[0].index) for column in columns):
        return None
    matrix = np.stack([column.to_numpy(dtype=float) for column in columns])
    return pd.DataFrame(matrix, columns=columns[0].index) if matrix.size and np.isfinite(matrix).all() else None


def primary_metric(study: StudyRecord) -> str | None:
    """The score that speaks first: LPIPS where a variant has it, else the first one that any has; None without one."""
    having = [m for m in study.metrics if any(measured(study, v, m) for v in study.variants)]
    return next((m for m in PRIMARY_METRICS if m in having), having[0] if having else None)


Values = TypeVar("Values", float, np.ndarray)


def oriented(values: Values, better: str) -> Values:
    """``values`` turned so that more is better."""
    if better == "higher":
        return values
    return -values if better == "lower" else -abs(values - 1)


def cell_text(summary: Summary) -> str:
    """``value [low, high] ± sd``, as many decimals as its uncertainty leaves meaning."""
    if summary.value is None:
        return "not measured" if summary.reason != "no finished cell" else "no result"
    mark = "*" if summary.differs else ""
    sd = summary.seed_sd
    if summary.low is None or summary.high is None:
        # Without an interval: the decimals that the spread over seeds leaves, or three digits, with what is unknown.
        digits = decimals(sd) if sd else max(0, 2 - math.floor(math.log10(abs(summary.value) or 1)))
        beside = " one seed" if summary.n_seeds == 1 else "" if sd is None else f" ± {sd:.{digits}f}"
        return f"{summary.value:.{min(digits, 6)}f}{mark}{beside}"
    digits = decimals(summary.high - summary.low)
    spread = "" if sd is None else f" ± {sd:.{digits + 1}f}"
    return f"{summary.value:.{digits}f}{mark} [{summary.low:.{digits}f}, {summary.high:.{digits}f}]{spread}"
