"""The answer in words, made from the statistics: never more than they say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import (  # fmt: skip
    ALPHA,
    Summary,
    by_seed_and_image,
    cell_text,
    measured,
    oriented,
    primary_metric,
    summarise,
)
from p2pbench.statistics.comparison import holm, sign_flip_p
from p2pbench.statistics.intervals import LEAST_SEEDS, crossed_interval

MOST_NAMED = 6
"""Variants that a sentence names; of more it gives the number."""


def two_sentences(study: StudyRecord) -> tuple[str, str]:
    """What the score that speaks first says of the question, and how far that reaches."""
    metric = primary_metric(study)
    compared = {} if metric is None else _compared(study, metric)
    if metric is None or not compared:
        return _without_comparison(study, metric), _state(study)
    about, baseline = study.metric(metric), _quoted(study.baseline)
    base = summarise(study, study.baseline, metric)
    groups: dict[str, list[str]] = {"better": [], "worse": [], "same": []}
    for variant, summary in compared.items():
        groups[_direction(study, metric, summary) if summary.differs else "same"].append(variant)
    parts = []
    if groups["better"]:
        parts.append(f"{_named(groups['better'])} {_is(groups['better'])} better than {baseline}")
    if groups["worse"]:
        parts.append(f"{_named(groups['worse'])} {_is(groups['worse'])} worse" + ("" if parts else f" than {baseline}"))
    if groups["same"]:
        parts.append(
            f"for {_named(groups['same'])} no difference {'to ' + baseline + ' ' if not parts else ''}is shown"
        )
    top = best(study, metric)
    ahead = f"; {_quoted(top)} is ahead of every other variant" if top else ""
    over = f"{base.n_images} test images and {_seeds(study)}"
    value = cell_text(base).split(" [")[0].split(" ±")[0]
    first = f"By {about.label} ({baseline}: {value}), over {over}, {'; '.join(parts)}{ahead}."
    return first, f"{_other_scores(study, metric, compared)}; {_reach(study, metric, groups)}."


def _compared(study: StudyRecord, metric: str) -> dict[str, Summary]:
    found = {variant: summarise(study, variant, metric) for variant in study.variants if variant != study.baseline}
    return {variant: summary for variant, summary in found.items() if summary.comparison is not None}


def _direction(study: StudyRecord, metric: str, summary: Summary) -> str:
    """Which of the two is better in the mean that the table shows."""
    better = study.metric(metric).better
    theirs = summarise(study, study.baseline, metric)
    assert summary.value is not None and theirs.value is not None  # they were compared
    return "better" if oriented(summary.value, better) > oriented(theirs.value, better) else "worse"


def _other_scores(study: StudyRecord, metric: str, compared: dict[str, Summary]) -> str:
    """Which other scores show the opposite for a variant, of those that show a difference under both."""
    against: dict[str, list[str]] = {}
    others = [other for other in study.metrics if other != metric and _compared(study, other)]
    for other in others:
        for variant, summary in _compared(study, other).items():
            ours = compared.get(variant)
            if ours is None or not (ours.differs and summary.differs):
                continue
            if _direction(study, metric, ours) != _direction(study, other, summary):
                against.setdefault(variant, []).append(study.metric(other).label)
    if not others:
        return "No other score was compared"
    if not against:
        return "No other score shows the opposite"
    listed = [f"{_listed(labels)} of {_quoted(variant)}" for variant, labels in list(against.items())[:MOST_NAMED]]
    more = f" (and of {len(against) - MOST_NAMED} more)" if len(against) > MOST_NAMED else ""
    return f"The opposite is shown by {_listed(listed)}{more}"


def _reach(study: StudyRecord, metric: str, groups: dict[str, list[str]]) -> str:
    n_seeds = min((len(study.of(v)) for v in study.variants if study.of(v)), default=0)
    if n_seeds < LEAST_SEEDS:
        counted = "one training" if n_seeds == 1 else f"{n_seeds} trainings"
        return f"all this is of {counted} a variant, and others may order them otherwise"
    shown = [*groups["better"], *groups["worse"]]
    lasting = [v for v in shown if holds_over_trainings(study, v, metric)]
    if not shown:
        return f"this is of {n_seeds} trainings a variant"
    if len(lasting) == len(shown):
        return f"over other trainings too ({n_seeds} seeds) the intervals of these differences exclude zero"
    if not lasting:
        return f"over other trainings ({n_seeds} seeds) no interval of these differences excludes zero"
    return f"over other trainings too ({n_seeds} seeds) the interval of {_named(lasting)} excludes zero"


def _without_comparison(study: StudyRecord, metric: str | None) -> str:
    finished = [v for v in study.variants if study.of(v)]
    if not finished:
        return "There is no answer yet: no cell has a result."
    if metric is None:
        return "There is no answer: none of the scores could be measured."
    if len(finished) == 1:
        return f"There is nothing to compare: {_quoted(finished[0])} alone has a result."
    if study.baseline not in finished:
        return f"There is no answer yet: the baseline, {_quoted(study.baseline)}, has no result."
    return f"There is no answer: no variant could be compared with {_quoted(study.baseline)} on the same test images."


def _state(study: StudyRecord) -> str:
    bad = [cell for cell in study.cells if cell.state != "finished"]
    done = f"{len(study.cells) - len(bad)} of {len(study.cells)} cells are finished"
    one = f"; {_quoted(bad[0].variant)}, seed {bad[0].seed}, for one, is {bad[0].state}" if bad else ""
    return f"{done}{one}."


def _seeds(study: StudyRecord) -> str:
    counts = sorted({len(study.of(v)) for v in study.variants if study.of(v)})
    texts = "one" if counts == [1] else f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{texts} {'training' if texts == 'one' else 'trainings'} a variant"


def _named(variants: Sequence[str]) -> str:
    return _listed([_quoted(v) for v in variants]) if len(variants) <= MOST_NAMED else f"{len(variants)} variants"


def _quoted(variant: str) -> str:
    """A name with a comma in it stands in quotes, or a list of them could not be read."""
    return f"“{variant}”" if "," in variant else variant


def _is(variants: Sequence[str]) -> str:
    return "is" if len(variants) == 1 else "are"


def _listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def by_score(study: StudyRecord) -> list[str]:
    """A sentence a score, for those that can be compared: which variants differ from the baseline, and which way."""
    sentences = []
    for metric in study.metrics:
        compared = _compared(study, metric)
        if not compared:
            continue
        about = study.metric(metric)
        below, above = {"lower": ("better", "worse"), "higher": ("worse", "better")}.get(
            about.better, ("lower", "higher")
        )
        lower = [v for v, s in compared.items() if s.differs and s.comparison and s.comparison.difference.value < 0]
        higher = [v for v, s in compared.items() if s.differs and v not in lower]
        same = [v for v in compared if v not in lower and v not in higher]
        groups = {below: lower, above: higher, "no difference shown": same}
        order = sorted(groups, key=["better", "lower", "higher", "worse", "no difference shown"].index)
        parts = [f"{word}: {', '.join(groups[word])}" for word in order if groups[word]]
        sentences.append(f"{about.label} against {study.baseline}: {'; '.join(parts)}.")
    return sentences


def best(study: StudyRecord, metric: str) -> str | None:
    """The variant that is better than each other one, where that difference holds; else None.

    It holds where the sign-flip test over the test images gives p at most 0.05 against every other variant, after
    Holm's correction, and, where all have the same three seeds or more, where the interval over trainings and images of
    each difference excludes zero too.
    """
    if metric not in study.best:
        study.best[metric] = _best(study, metric)
    return study.best[metric]


def _best(study: StudyRecord, metric: str) -> str | None:
    cells = {v: found for v in study.variants if (found := measured(study, v, metric))}
    if len(cells) < 2:
        return None
    stacked = by_seed_and_image([cell for found in cells.values() for cell in found], metric)
    if stacked is None or stacked.shape[1] < 2:
        return None
    rows = iter(oriented(stacked.to_numpy(), study.metric(metric).better))
    gains = {v: np.stack([next(rows) for _ in found]) for v, found in cells.items()}  # (seeds, images)
    top = max(gains, key=lambda v: float(gains[v].mean()))
    values = {v: value for v in gains if (value := summarise(study, v, metric).value) is not None}
    if top != max(values, key=lambda v: oriented(values[v], study.metric(metric).better)):
        return None  # nearest to 1 image by image, but not in the mean that the table shows
    others = [v for v in gains if v != top]
    differences = np.stack([gains[top].mean(axis=0) - gains[v].mean(axis=0) for v in others])
    if (holm(sign_flip_p(differences)) > ALPHA).any():
        return None
    seeds = [cell.seed for cell in cells[top]]
    if all([cell.seed for cell in found] == seeds for found in cells.values()):
        over_trainings = [crossed_interval(gains[top] - gains[v]) for v in others]
        if any(found.low is not None and found.low <= 0 for found in over_trainings):
            return None
    return top


def holds_over_trainings(study: StudyRecord, variant: str, metric: str) -> bool | None:
    """Whether the difference to the baseline excludes zero over trainings and images; None below three seeds."""
    found = over_trainings(study, variant, metric)
    return None if found is None else found[0] > 0 or found[1] < 0


def over_trainings(study: StudyRecord, variant: str, metric: str) -> tuple[float, float] | None:
    """The interval over trainings and images of the difference to the baseline; None below three seeds, or where the
    two have other seeds or images."""
    ours, theirs = (measured(study, v, metric) for v in (variant, study.baseline))
    if [cell.seed for cell in ours] != [cell.seed for cell in theirs]:
        return None
    both = by_seed_and_image([*ours, *theirs], metric)
    if both is None:
        return None
    values = both.to_numpy()
    found = crossed_interval(values[: len(ours)] - values[len(ours) :])
    return None if found.low is None or found.high is None else (found.low, found.high)
