"""What is said of differences: which variant is ahead, what holds over trainings, and the answer in words."""

from collections.abc import Mapping, Sequence

import numpy as np

from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import (  # fmt: skip
    ALPHA,
    Summary,
    oriented,
    primary_metric,
    score_matrices,
    summarise,
    value_text,
)
from p2pbench.statistics.comparison import holm, sign_flip_p
from p2pbench.statistics.intervals import LEAST_SEEDS, crossed_interval

MOST_NAMED = 6
"""The most variants that a sentence names; of more it gives the number."""


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
    matrices, better = score_matrices(study, metric, study.variants), study.metric(metric).better
    if len(matrices) < 2 or min(matrix.shape[1] for matrix in matrices.values()) < 2:
        return None
    gains = {variant: oriented(matrix.to_numpy(), better) for variant, matrix in matrices.items()}  # (seeds, images)
    top = max(gains, key=lambda v: float(gains[v].mean()))
    values = {v: value for v in gains if (value := summarise(study, v, metric).value) is not None}
    if top != max(values, key=lambda v: oriented(values[v], better)):
        return None  # nearest to 1 image by image, but not in the mean that the table shows
    others = [v for v in gains if v != top]
    differences = np.stack([gains[top].mean(axis=0) - gains[v].mean(axis=0) for v in others])
    if (holm(sign_flip_p(differences)) > ALPHA).any():
        return None
    if all(matrix.index.equals(matrices[top].index) for matrix in matrices.values()):
        for found in (crossed_interval(gains[top] - gains[v]) for v in others):
            if found.low is not None and found.low <= 0:
                return None
    return top


def over_trainings(study: StudyRecord, variant: str, metric: str) -> tuple[float, float] | None:
    """The interval over trainings and images of the difference to the baseline.

    None below three seeds, and where the two have other seeds or images.
    """
    matrices = score_matrices(study, metric, [variant, study.baseline])
    ours, theirs = (matrices.get(name) for name in (variant, study.baseline))
    if ours is None or theirs is None or not ours.index.equals(theirs.index):
        return None
    found = crossed_interval(ours.to_numpy() - theirs.to_numpy())
    return None if found.low is None or found.high is None else (found.low, found.high)


def holds_over_trainings(study: StudyRecord, variant: str, metric: str) -> bool:
    """Whether the interval over trainings and images of the difference to the baseline excludes zero."""
    found = over_trainings(study, variant, metric)
    return found is not None and (found[0] > 0 or found[1] < 0)


def two_sentences(study: StudyRecord) -> tuple[str, str]:
    """What the primary score says of the question, and how far that reaches."""
    metric = primary_metric(study)
    compared = {} if metric is None else _compared(study, metric)
    if metric is None or not compared:
        return _without_comparison(study, metric), _state(study)
    base = summarise(study, study.baseline, metric)
    groups = _groups(study, metric, compared)
    top = best(study, metric)
    ahead = f"; {_quoted(top)} is ahead of every other variant" if top else ""
    first = (
        f"By {study.metric(metric).label} ({_quoted(study.baseline)}: {value_text(base)}), over {base.n_images} test "
        f"images and {_seeds(study)}, {'; '.join(_worded(study, groups))}{ahead}."
    )
    return first, f"{_other_scores(study, metric, compared)}; {_reach(study, metric, groups)}."


def _compared(study: StudyRecord, metric: str) -> dict[str, Summary]:
    """The variants that are compared with the baseline."""
    found = {variant: summarise(study, variant, metric) for variant in study.variants if variant != study.baseline}
    return {variant: summary for variant, summary in found.items() if summary.comparison is not None}


def _groups(study: StudyRecord, metric: str, compared: Mapping[str, Summary]) -> dict[str, list[str]]:
    """The variants that are ``better``, ``worse``, and the ``same`` as far as the test tells."""
    groups: dict[str, list[str]] = {"better": [], "worse": [], "same": []}
    for variant, summary in compared.items():
        groups[_direction(study, metric, summary) if summary.differs else "same"].append(variant)
    return groups


def _direction(study: StudyRecord, metric: str, summary: Summary) -> str:
    """Whether a variant is better or worse than the baseline in the mean that the table shows."""
    better = study.metric(metric).better
    theirs = summarise(study, study.baseline, metric)
    assert summary.value is not None and theirs.value is not None  # they were compared
    return "better" if oriented(summary.value, better) > oriented(theirs.value, better) else "worse"


def _worded(study: StudyRecord, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """A clause for each group that has variants; the first one names the baseline."""
    baseline, parts = _quoted(study.baseline), []
    if groups["better"]:
        parts.append(f"{_named(groups['better'])} {_is(groups['better'])} better than {baseline}")
    if groups["worse"]:
        parts.append(f"{_named(groups['worse'])} {_is(groups['worse'])} worse" + ("" if parts else f" than {baseline}"))
    if groups["same"]:
        to_baseline = "" if parts else f"to {baseline} "
        parts.append(f"for {_named(groups['same'])} no difference {to_baseline}is shown")
    return parts


def _other_scores(study: StudyRecord, metric: str, compared: Mapping[str, Summary]) -> str:
    """Which other scores show the opposite for a variant, of those that show a difference under both."""
    against: dict[str, list[str]] = {}
    others = {other: found for other in study.metrics if other != metric and (found := _compared(study, other))}
    for other, found in others.items():
        for variant, summary in found.items():
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


def _reach(study: StudyRecord, metric: str, groups: Mapping[str, Sequence[str]]) -> str:
    """Whether the differences that are shown hold over trainings."""
    n_seeds = _seed_counts(study)[0]
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
    """Why there is no answer."""
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
    """How many cells are finished, and an example of one that is not."""
    bad = [cell for cell in study.cells if cell.state != "finished"]
    done = f"{len(study.cells) - len(bad)} of {len(study.cells)} cells are finished"
    one = f"; {_quoted(bad[0].variant)}, seed {bad[0].seed}, for one, is {bad[0].state}" if bad else ""
    return f"{done}{one}."


def by_score(study: StudyRecord) -> list[str]:
    """A sentence a score, for those that can be compared: which variants differ from the baseline, and which way."""
    sentences = []
    for metric in study.metrics:
        compared, about = _compared(study, metric), study.metric(metric)
        words = ("lower", "higher") if about.better == "closer to 1" else ("better", "worse")
        below, above = words[::-1] if about.better == "higher" else words
        groups: dict[str, list[str]] = {word: [] for word in (*words, "no difference shown")}
        for variant, summary in compared.items():
            assert summary.comparison is not None  # or it would not be among those that are compared
            differing = below if summary.comparison.difference.value < 0 else above
            groups[differing if summary.differs else "no difference shown"].append(variant)
        parts = [f"{word}: {', '.join(variants)}" for word, variants in groups.items() if variants]
        if parts:
            sentences.append(f"{about.label} against {study.baseline}: {'; '.join(parts)}.")
    return sentences


def _seed_counts(study: StudyRecord) -> list[int]:
    """The numbers of seeds that variants with a result have, each once, from the fewest on."""
    return sorted({len(study.of(v)) for v in study.variants if study.of(v)})


def _seeds(study: StudyRecord) -> str:
    counts = _seed_counts(study)
    if counts == [1]:
        return "one training a variant"
    return f"{counts[0]}{f' to {counts[-1]}' if len(counts) > 1 else ''} trainings a variant"


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
