"""What the records say of a score: its matrix of trainings and images, and each variant's mean with its interval."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from p2pbench.report.records import CellRecord, StudyRecord
from p2pbench.runs.records import ReferenceRow
from p2pbench.statistics.intervals import image_intervals, sd_over_seeds
from p2pbench.statistics.trainings import over_trainings
from p2pbench.system.console import decimals, number

MAY_DIFFER = {
    "inference", "ema", "padded_to", "noise_seed", "over_set", "interval", "levels", "std_over_subsets", "per_class",
}  # fmt: skip
"""Settings in which scores that are compared may differ: a grid asks about them, or they are its networks' own, as what
these pad inside themselves; the seed decides them; or they are results."""
OTHER_TARGETS = "of other targets, as where variants resize images in different ways"
OF_TARGETS = {"data.direction", "data.resize_filter"}
"""Settings of the data that make other targets of the same images, where a record has no hash of its targets."""
RECORDED_LATER = {
    *OF_TARGETS,
    "targets_sha256",
    "split",
    "library",
    "weights_sha256",
    "heads_sha256",
    "jackknife",
    "absent_classes",
}
"""Settings that were not always recorded: where one record lacks one, no two records are told apart by it."""


@dataclass(frozen=True)
class Summary:
    """One score of one variant, over its seeds and test images."""

    value: float | None
    low: float | None
    """Ends of the 95 % interval: over trainings and images from three seeds on, over images below; cut to what the
    score can be."""
    high: float | None
    method: str | None
    """The kind of interval: ``trainings``, over these and images; ``t`` or ``BCa`` over images."""
    seed_sd: float | None
    """Standard deviation over seeds; None with one seed: then training variance is not assessed."""
    n_seeds: int
    n_images: int
    """The images with a finite value: of those that the score is made of."""
    reason: str | None
    """Why there is no value."""


def without_value(reason: str | None) -> Summary:
    """The summary of a score that no cell has."""
    return Summary(None, None, None, None, None, 0, 0, reason)


def measured(study: StudyRecord, variant: str, metric: str) -> list[CellRecord]:
    """The finished cells of a variant that have the score."""
    return [c for c in study.of(variant) if metric in c.scores and c.scores[metric].value is not None]


def unlike(settings: Sequence[dict[str, Any]]) -> str | None:
    """A setting in which ways to make a score differ, and two of its values; None where they may be compared.

    The library has to be the same, not its version: seeds that several machines train are one study. Reports say so.
    """
    ignored = MAY_DIFFER | {key for key in RECORDED_LATER if any(key not in own for own in settings)}
    if "targets_sha256" not in ignored:  # the pixels are known, whatever made them
        ignored |= OF_TARGETS
    for key in dict.fromkeys(key for own in settings for key in own if key not in ignored):
        values = [_without_version(own.get(key)) if key == "library" else own.get(key) for own in settings]
        if others := [value for value in values if value != values[0]]:
            if key in ("targets_sha256", *OF_TARGETS):
                return OTHER_TARGETS
            one, other = (str(value)[:8] if key.endswith("sha256") else value for value in (values[0], others[0]))
            return f"{key}: {one} and {other}"
    return None


def how_made(cell: CellRecord, metric: str) -> dict[str, Any]:
    """The recorded settings of a score, with those of the cell's data that decide its targets."""
    data = cell.config.get("data", {})
    direction, filters = data.get("direction"), data.get("resize_filter")
    if isinstance(filters, list | tuple):  # of A, of B
        filters = filters[0 if direction == "BtoA" else 1]
    found = {"data.direction": direction, "data.resize_filter": filters}
    return {**cell.scores[metric].settings, **{key: value for key, value in found.items() if value is not None}}


def of_other_targets(study: StudyRecord, variant: str, metric: str, settings: dict[str, Any]) -> bool:
    """Whether a variant's score is of other targets than a reference row's, which is the baseline's and has these
    ``settings``."""
    own, base = _matrix(study, metric, variant).settings, _matrix(study, metric, study.baseline).settings
    if all("targets_sha256" in one for one in (settings, *own)):
        return any(one["targets_sha256"] != settings["targets_sha256"] for one in own)
    return any(one.get(key) != other.get(key) for key in OF_TARGETS for one in own for other in base)


def _without_version(library: Any) -> str:
    """``numpy`` of ``numpy 2.4``."""
    return str(library).partition(" ")[0]


def library_versions(study: StudyRecord, metric: str) -> list[str]:
    """The versions of the library that made the score, where there are several: ``numpy 2.4``, ``numpy 2.5``."""
    made = {
        str(own["library"]) for v in study.variants for own in _matrix(study, metric, v).settings if "library" in own
    }
    return sorted(made) if len(made) > 1 and len({_without_version(one) for one in made}) == 1 else []


def score_matrices(study: StudyRecord, metric: str, variants: Iterable[str]) -> dict[str, pd.DataFrame]:
    """The score of every training on every test image, for each of ``variants`` that has the score.

    A score of whole sets stands in it by its jackknife pseudo-values, an image or a group of images each, whose mean
    is the score corrected for its bias (Tukey 1958).

    Returns:
        By variant a row a seed and a column an image; NaN where an image has no value. Empty where these variants
        cannot be compared: the images differ, the score was made in different ways, or it has no values a image.
    """
    own = {variant: made for variant in variants if (made := _matrix(study, metric, variant)).settings}
    matrices = {variant: made.matrix for variant, made in own.items() if made.matrix is not None}
    if not own or len(matrices) < len(own) or unlike([one for made in own.values() for one in made.settings]):
        return {}
    images = next(iter(matrices.values())).columns
    return matrices if all(matrix.columns.equals(images) for matrix in matrices.values()) else {}


def n_test_images(study: StudyRecord, metric: str, variants: Iterable[str], units: int) -> int:
    """The test images that ``units`` columns of a matrix stand for: of a score of sets one may be a group of them."""
    if study.metric(metric).per_image:
        return units
    return min(cell.scores[metric].n for variant in variants for cell in measured(study, variant, metric))


class Made(NamedTuple):
    """The score of one variant's trainings: values, None where they have none a image, and how it was made."""

    matrix: pd.DataFrame | None
    settings: list[dict[str, Any]]
    """Each once, without what may differ; empty where no training has the score."""


def _matrix(study: StudyRecord, metric: str, variant: str) -> Made:
    """One variant's matrix of a score, made once: every table, figure and comparison stands on it."""
    if (metric, variant) not in study.matrices:
        cells = measured(study, variant, metric)
        columns = [_values(cell, metric) for cell in cells]
        settings: list[dict[str, Any]] = []
        for cell in cells:
            own = {key: value for key, value in how_made(cell, metric).items() if key not in MAY_DIFFER}
            if own not in settings:
                settings.append(own)
        matrix = None
        found = [column for column in columns if column is not None]
        if found and len(found) == len(cells) and all(column.index.equals(found[0].index) for column in found):
            values = np.stack([column.to_numpy(dtype=float) for column in found])
            values[~np.isfinite(values)] = np.nan
            matrix = pd.DataFrame(values, index=[cell.seed for cell in cells], columns=found[0].index)
        study.matrices[metric, variant] = Made(matrix, settings)
    made: Made = study.matrices[metric, variant]
    return made


def _values(cell: CellRecord, metric: str) -> pd.Series | None:
    """The score of each image, or the pseudo-values of a score of sets; None where there are none."""
    if metric in cell.per_image:
        return cell.per_image[metric]
    return cell.jackknife[metric].dropna() if metric in cell.jackknife else None


def summarise(study: StudyRecord, variant: str, metric: str) -> Summary:
    """The score ``metric`` of ``variant``: its mean over seeds and images, with its interval."""
    if metric not in study.summaries:
        study.summaries[metric] = _summarise(study, metric)
    summary: Summary = study.summaries[metric][variant]
    return summary


def _summarise(study: StudyRecord, metric: str) -> dict[str, Summary]:
    """The summaries of all variants at once: their bootstraps share the draws."""
    matrices = {
        variant: matrix.dropna(axis="columns")
        for v in study.variants
        for variant, matrix in score_matrices(study, metric, [v]).items()
    }
    intervals = _intervals(matrices)
    summaries = {}
    for variant in study.variants:
        scores = [cell.scores[metric] for cell in measured(study, variant, metric)]
        if not scores:
            summaries[variant] = without_value(_why_not(study.of(variant), metric))
            continue
        low, high, method = intervals.get(variant, (None, None, None))
        if len(scores) == 1 and (method is None or not study.metric(metric).per_image):
            # A score of the whole set has its own interval, over the images that this training was scored on.
            low, high, method = scores[0].low, scores[0].high, scores[0].settings.get("interval")
        values = np.array([score.value for score in scores], dtype=float)
        if variant in matrices and low is not None and high is not None and len(scores) > 1:
            # Pseudo-values average to the score less its bias; the interval stands around the score that is shown.
            shift = float(values.mean()) - float(matrices[variant].to_numpy().mean())
            low, high = low + shift, high + shift
        low, high = study.metric(metric).possible(low, high)
        summaries[variant] = Summary(
            float(values.mean()), low, high, method, sd_over_seeds(values), len(scores), scores[0].n, None
        )
    return summaries


def _why_not(finished: Sequence[CellRecord], metric: str) -> str:
    """Why no cell of a variant has the score."""
    if not finished:
        return "no finished cell"
    reasons = [cell.scores[metric].reason or "not finite" for cell in finished if metric in cell.scores]
    return reasons[0] if reasons else "not asked for"


def _intervals(matrices: dict[str, pd.DataFrame]) -> dict[str, tuple[float | None, float | None, str]]:
    """Each variant's interval and its kind: over trainings and images where the seeds allow it, else over images."""
    found: dict[str, tuple[float | None, float | None, str]] = {}
    few: dict[int, dict[str, np.ndarray]] = {}
    for variant, matrix in matrices.items():
        if matrix.shape[1] > 1:
            over = over_trainings(matrix.to_numpy())
            if over.squares is not None:
                found[variant] = over.low, over.high, "trainings"
            else:
                few.setdefault(matrix.shape[1], {})[variant] = matrix.to_numpy().mean(axis=0)
    for images in few.values():
        for variant, (estimate, method) in zip(images, image_intervals(np.stack(list(images.values()))), strict=True):
            found[variant] = estimate.low, estimate.high, method
    return found


def reference_summary(reference: ReferenceRow, metric: str) -> Summary:
    """A score of a reference row: one set of images, never compared."""
    score = reference.scores.get(metric)
    if score is None:
        return without_value(None)
    method = score.settings.get("interval") if score.low is not None else None
    n = reference.n if score.value is not None else 0
    return Summary(score.value, score.low, score.high, method, None, 0, n, score.reason)


Values = TypeVar("Values", float, np.ndarray)


def oriented(values: Values, better: str) -> Values:
    """``values`` turned so that more is better."""
    if better == "higher":
        return values
    return -values if better == "lower" else -abs(values - 1)


def digits_of(study: StudyRecord, metric: str) -> int:
    """The decimals of all that is printed of a score: those that leave two digits to its usual uncertainty."""
    if metric not in study.digits:
        study.digits[metric] = _digits(study, metric)
    return study.digits[metric]


def _digits(study: StudyRecord, metric: str) -> int:
    found = [summarise(study, variant, metric) for variant in study.variants]
    widths = [s.high - s.low for s in found if s.low is not None and s.high is not None and s.high > s.low]
    widths = widths or [s.seed_sd for s in found if s.seed_sd]
    if widths:
        return decimals(float(np.median(widths)))
    most = max((abs(s.value) for s in found if s.value is not None), default=0)
    return min(max(0, 2 - math.floor(math.log10(most or 1))), 6)


def cell_text(summary: Summary, digits: int, mark: str = "") -> str:
    """A cell of the printed table: ``value [low, high] ± sd``, with the mark of its comparison."""
    text, interval, sd = value_text(summary, digits), interval_text(summary, digits), sd_text(summary, digits)
    if summary.value is None:
        return text
    alone = "one seed" if not interval and summary.n_seeds == 1 else ""
    return " ".join(filter(None, [text + mark, interval, sd, alone]))


def value_text(summary: Summary, digits: int) -> str:
    """The value, or why there is none."""
    if summary.value is None:
        return "not measured" if summary.reason != "no finished cell" else "no result"
    return number(summary.value, digits)


def interval_text(summary: Summary, digits: int) -> str:
    """``[low, high]``; empty where there is none."""
    if summary.low is None or summary.high is None:
        return ""
    return f"[{number(summary.low, digits)}, {number(summary.high, digits)}]"


def sd_text(summary: Summary, digits: int) -> str:
    """``± sd`` over seeds; below what so many decimals show, what it is less than. Empty with one seed."""
    if not summary.seed_sd:
        return "" if summary.seed_sd is None else "± 0"
    text = number(summary.seed_sd, digits)
    return f"± {text}" if float(text) else f"± <{10.0**-digits:.{digits}f}"
