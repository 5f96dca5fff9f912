"""Which score answers the question, and what the reference rows say before any variant is compared."""

from p2pbench.config.metrics import DEFAULT_PRIMARY, FCN_SCORES
from p2pbench.report.comparisons import standing
from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import measured, of_other_targets, oriented, summarise

FOILS = ("mean image", "condition", "nearest neighbour", "untrained")
"""The reference rows that a trained generator has to be ahead of."""


def primary_metric(study: StudyRecord) -> str | None:
    """The first of the grid's primary scores that is measured and not saturated; without any, the first measured."""
    having = [m for m in study.metrics if any(measured(study, v, m) for v in study.variants)]
    wanted = [m for m in (*study.primary, *DEFAULT_PRIMARY) if m in having]
    return next((m for m in [*wanted, *having] if saturated(study, m) is None), having[0] if having else None)


def leading(study: StudyRecord, most: int) -> list[str]:
    """The variants to be shown: all chosen; of more than ``most`` the baseline and the best by the primary score."""
    if len(study.chosen_variants) <= most:
        return study.chosen_variants
    metric = primary_metric(study)
    first = [variant for variant in study.chosen_variants if variant == study.baseline]
    others = [variant for variant in study.chosen_variants if variant != study.baseline]
    leading = {*first, *sorted(others, key=lambda v: -standing(study, v, metric) if metric else 0)[: most - len(first)]}
    return [variant for variant in study.chosen_variants if variant in leading]


def saturated(study: StudyRecord, metric: str) -> str | None:
    """Why a score with a ceiling decides nothing: what is not real scores as well as the real photos; else None.

    Scores by a segmentation network have one: what it makes of the real photos.
    """
    found = {row.name: row.scores[metric] for row in study.references if row.name in FOILS and metric in row.scores}
    values = {name: (score.value, score.settings.get("real_photos")) for name, score in found.items()}
    for variant in study.variants:  # each with what its own network makes of the real photos
        if cells := measured(study, variant, metric):
            ceiling = cells[0].scores[metric].settings.get("real_photos")
            values[variant] = summarise(study, variant, metric).value, ceiling
    beyond = [(value, name, top) for name, (value, top) in values.items() if value and top and value >= top]
    if not beyond:
        return None
    value, best, ceiling = max(beyond)
    return (
        f"{study.metric(metric).label} is saturated and decides nothing: {best} reaches {value:.3f} and the "
        f"real photos {ceiling:.3f}, so the segmentation network is what is measured"
    )


def saturated_sentences(study: StudyRecord) -> list[str]:
    """A sentence a saturated score."""
    return [f"{reason}." for metric in study.metrics if (reason := saturated(study, metric)) is not None]


def foil_sentences(study: StudyRecord) -> list[str]:
    """Which outputs that no training made no variant beats, and by the primary score which variants do not."""
    unbeaten: dict[str, list[str]] = {}
    primary, some = primary_metric(study), dict[tuple[str, ...], list[str]]()
    for metric in study.metrics:
        for name, behind, unbeaten_by_any in _behind(study, metric):
            if unbeaten_by_any:
                unbeaten.setdefault(_the(name), []).append(study.metric(metric).label)
            elif metric == primary:
                some.setdefault(tuple(behind), []).append(_the(name))
    sentences, by_scores = [], dict[tuple[str, ...], list[str]]()
    for name, labels in unbeaten.items():
        by_scores.setdefault(tuple(labels), []).append(name)
    if by_scores:
        ahead = "; ".join(f"{listed(names)} in {listed(list(labels))}" for labels, names in by_scores.items())
        sentences.append(f"No variant beats {ahead}: train longer before comparing by that.")
    if some and primary is not None:
        told = [f"{named(list(b))} {'does' if len(b) == 1 else 'do'} not beat {listed(n)}" for b, n in some.items()]
        sentences.append(f"By {study.metric(primary).label}, {'; '.join(told)}.")
    return sentences


def unbeaten_foils(study: StudyRecord, metric: str) -> list[str]:
    """The outputs that no training made and that no variant beats by ``metric``."""
    return [_the(name) for name, _, unbeaten in _behind(study, metric) if unbeaten]


def _behind(study: StudyRecord, metric: str) -> list[tuple[str, list[str], bool]]:
    """For each foil the variants that are not ahead of it, if there are any, and whether these are all variants.

    Variants of other targets than the foil's are not set against it.

    Sharpness and diversity are no likeness: an untrained generator's noise may have both. Nearest neighbours are
    photographs, so in scores of sets they have what a perfect generator has, and no training can be ahead of that.
    """
    better, found = study.metric(metric).better, []
    if better == "closer to 1" or metric == "diversity":
        return []
    of_sets = not study.metric(metric).per_image and metric not in FCN_SCORES
    foils = [name for name in FOILS if not (of_sets and name == "nearest neighbour")]
    every = {v: value for v in study.variants if (value := summarise(study, v, metric).value) is not None}
    for row in study.references:
        score = row.scores.get(metric)
        if row.name not in foils or score is None or score.value is None:
            continue
        values = {v: value for v, value in every.items() if not of_other_targets(study, v, metric, score.settings)}
        behind = [v for v, value in values.items() if oriented(value, better) <= oriented(score.value, better)]
        if behind:
            found.append((row.name, behind, len(behind) == len(every)))
    return found


def _the(name: str) -> str:
    return "the untrained generator" if name == "untrained" else f"the {name}"


MOST_NAMED = 6
"""The most variants that a sentence names; of more it gives the number."""


def named(variants: list[str]) -> str:
    """Variants by name, or how many; a name with a comma in it stands in quotes, or a list could not be read."""
    return listed([quoted(v) for v in variants]) if len(variants) <= MOST_NAMED else f"{len(variants)} variants"


def quoted(variant: str) -> str:
    return f"“{variant}”" if "," in variant else variant


def listed(words: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
