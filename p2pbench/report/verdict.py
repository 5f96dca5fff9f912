"""The answer in words: what the primary score says of the question, what speaks against it, and what is left open."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from p2pbench.report.comparisons import Comparison, best, comparisons
from p2pbench.report.primary import (
    foil_sentences,
    listed,
    named,
    primary_metric,
    quoted,
    saturated,
    saturated_sentences,
    unbeaten_foils,
)
from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import digits_of, measured, summarise, value_text
from p2pbench.statistics.comparison import ALPHA, least_p
from p2pbench.statistics.trainings import LEAST_SEEDS, MOST_SEEDS
from p2pbench.system.console import number_of


def answer(study: StudyRecord) -> list[str]:
    """The sentences that answer the question: what forbids a comparison first, then the verdict, then its reach."""
    metric = primary_metric(study)
    compared = [] if metric is None else [c for c in comparisons(study, metric) if c.found is not None]
    if metric is None or not compared:
        return [_without_comparison(study, metric), *_unfinished(study)]
    return [
        *foil_sentences(study),
        *saturated_sentences(study),
        _verdict(study, metric),
        _secondary(study, metric),
        *_trained_apart(study, metric),
        *_unfinished(study),
    ]


def headline(study: StudyRecord) -> str:
    """The answer in one plain sentence, without numbers: what forbids it, else the verdict of the primary score."""
    metric = primary_metric(study)
    judged = [] if metric is None else comparisons(study, metric)
    found = [c.found for c in judged if c.found is not None]
    if metric is None or not found:
        return _without_comparison(study, metric)
    label = study.metric(metric).label
    if saturated(study, metric) is not None:
        return f"No verdict: {label} is saturated, and no other score can decide."
    foils = unbeaten_foils(study, metric)
    beaten = f"By {label}, no variant beats {listed(foils)} yet; among them, " if foils else f"By {label}, "
    seeds = max(f.n_seeds for f in found)
    if seeds < LEAST_SEEDS:
        few = "one training a variant says" if seeds == 1 else f"{seeds} trainings a variant say"
        unbeaten = f"by {label} no variant beats {listed(foils)}, and " if foils else ""
        return f"No verdict yet: {unbeaten}{few} nothing of other trainings, and it takes {LEAST_SEEDS}."
    if (top := best(study, metric)) is not None:
        return f"{beaten}{_ahead(study, metric, top)}."
    if all(c.verdict == "not compared" for c in judged):
        return _without_comparison(study, metric)
    return f"{beaten}{'; '.join(_plain_clauses(judged))}."


def _ahead(study: StudyRecord, metric: str, top: str) -> str:
    """That ``top`` is ahead of each other variant that has a result, and of which by less than the margin."""
    having = sum(bool(measured(study, variant, metric)) for variant in study.variants)
    others = "every other variant" if having == len(study.variants) else "every other variant that has it"
    little = [
        c.against if c.variant == top else c.variant
        for c in comparisons(study, metric)
        if top in (c.variant, c.against) and c.verdict.endswith("by less than the margin")
    ]
    return f"{quoted(top)} is ahead of {others}" + (f", of {named(little)} by less than the margin" if little else "")


def _plain_clauses(judged: Sequence[Comparison]) -> list[str]:
    """What each variant is to what it is against. Of many, those that show something, and how many do not."""
    groups: dict[tuple[str, str], list[str]] = {}
    for c in judged:
        groups.setdefault((_plain(c), c.against), []).append(c.variant)
    order = sorted(groups.items(), key=lambda group: PLAIN.index(group[0][0]))
    counted_only = PLAIN[5:] if len(order) > MOST_CLAUSES else ()
    told, said = [], None
    for (plain, against), variants in order:
        if plain not in counted_only:
            to_be = "are" if len(variants) > 1 else "is"
            told.append(f"{named(variants)} {to_be} {plain} {'it' if against == said else quoted(against)}")
            said = against
    for plain in counted_only:
        if n := sum(len(variants) for (of, _), variants in groups.items() if of == plain):
            told.append(f"in {n} of {len(judged)} comparisons the two are {plain.rsplit(' ', 1)[0]}")
    return told


MOST_CLAUSES = 4
"""A headline of more clauses tells those that show something and counts the rest: a ladder has one for each rung."""

PLAIN = (
    "better than", "worse than", "better, by less than the margin, than", "worse, by less than the margin, than",
    "equal within the margin to", "not told apart from",
    "of too few trainings to compare with", "not compared with",
)  # fmt: skip
"""The verdicts in plain words, those first that say something."""


def _plain(c: Comparison) -> str:
    if c.mark == "*":
        return PLAIN[(0 if c.better else 1) + (2 if c.verdict.endswith("by less than the margin") else 0)]
    if c.verdict == "equal within the margin":
        return PLAIN[4]
    return PLAIN[{"cannot tell": 5, "too few trainings": 6}.get(c.verdict, 7)]


def _verdict(study: StudyRecord, metric: str) -> str:
    """What the primary score says of each declared contrast."""
    about, judged = study.metric(metric), comparisons(study, metric)
    found = [c for c in judged if c.found is not None]
    seeds, images = sorted({c.found.n_seeds for c in found if c.found}), sorted({c.n_images for c in found})
    base = summarise(study, study.baseline, metric)
    value = (
        f" ({quoted(study.baseline)}: {value_text(base, digits_of(study, metric))})" if base.value is not None else ""
    )
    top = best(study, metric)
    ahead = f"; {_ahead(study, metric, top)}" if top else ""
    body = f"{'; '.join(clauses(judged))}{ahead}."
    over = f"{counted(seeds, 'training')} a variant and {counted(images, 'test image')}"
    if seeds[-1] >= LEAST_SEEDS:
        lacking = [n for n in seeds if n < LEAST_SEEDS]
        there = f"there {'is' if lacking == [1] else 'are'} {' or '.join(map(str, lacking))} a variant"
        only = f" Of “these trainings” {there}: of others they say nothing before there are {LEAST_SEEDS}."
        return f"By {about.label}{value}, over {over}: {body}{only if lacking else ''}"
    tests = found[0].family
    of = f" of {tests} contrasts" if tests > 1 else ""
    few = f"; over {images[-1]} images no test{of} can show anything" if tests * least_p(images[-1]) >= ALPHA else ""
    there = "there is" if seeds[-1] == 1 else "there are"
    return (
        f"By {about.label}{value} there is no verdict: {there} {counted(seeds, 'training')} a variant, and to speak of "
        f"other trainings it takes {LEAST_SEEDS} or more{few}. Over {counted(images, 'test image')}, {body}"
    )


def clauses(judged: Iterable[Comparison]) -> list[str]:
    """A clause for each verdict and what it is against, those with something to say first."""
    groups: dict[tuple[Any, ...], list[Comparison]] = {}
    for c in judged:
        key = (c.verdict, c.against, c.better if c.mark else None, c.mark, c.reason if not c.found else None)
        groups.setdefault(key, []).append(c)
    order = sorted(groups.values(), key=lambda group: (group[0].mark == "", group[0].verdict == "cannot tell"))
    return [_clause(group) for group in order]


def _clause(group: Sequence[Comparison]) -> str:
    """What is said of variants that share a verdict."""
    c, names = group[0], named([c.variant for c in group])
    many, against, margin = len(group) > 1, quoted(c.against), f"the margin of {c.margin:g}"
    to_be = "are" if many else "is"
    match c.verdict:
        case "equal within the margin":
            return f"{names} {'equal' if many else 'equals'} {against} within {margin}"
        case "cannot tell":
            return f"{names} cannot be told from {against}{_needed(group)}"
        case "too few trainings" if c.mark:
            return f"these trainings of {names} are {'better' if c.better else 'worse'} than those of {against}"
        case "too few trainings":
            return f"these trainings of {names} cannot be told from those of {against}"
        case "one run":
            return f"{names} {to_be} the same run as {against}"
        case "not compared":
            return f"{names} {'were' if many else 'was'} not compared with {against} ({c.reason})"
        case _:
            word, _, by = c.verdict.partition(" by ")
            comma = "," if word.endswith(",") else ""
            return f"{names} {to_be} {word.rstrip(',')} than {against}" + (
                f"{comma} by {by.replace('the margin', margin)}" if by else ""
            )


def needed(group: Sequence[Comparison]) -> str:
    """How many seeds would show a difference of the margin, of pairs that cannot be told apart; empty without one.

    What would show it may be there already: then the true difference is perhaps a smaller one.
    """
    margin, images = group[0].margin, group[0].n_images
    if not margin:
        return ""
    limited = [c.variant for c in group if c.limited_by_images]
    numbers = [c.needed for c in group if not c.limited_by_images]
    known = sorted({n for c in group if (n := c.needed) is not None and c.found and n > c.found.n_seeds})
    show, told = f"show a difference of {margin:g}", []
    if known:
        most = f"more than {MOST_SEEDS}" if None in numbers else str(known[-1])
        told.append(f"about {most if most == str(known[0]) else f'{known[0]} to {most}'} seeds would {show}")
    elif None in numbers:
        told.append(f"to {show} it would take more than {MOST_SEEDS} seeds")
    elif numbers:
        told.append(f"so many seeds {show} in four of five studies")
    if limited:
        of = f" for {named(limited)}" if told else f" {show}"
        told.append(f"on {images} test images no number of seeds would{of}")
    return "; ".join(told)


def _needed(group: Sequence[Comparison]) -> str:
    return f" ({text})" if (text := needed(group)) else ""


def _secondary(study: StudyRecord, metric: str) -> str:
    """Which secondary scores show the opposite of the primary one for a contrast; where it shows no difference of any,
    which do."""
    primary = {(c.variant, c.against): c for c in comparisons(study, metric) if c.mark}
    others = {m: comparisons(study, m) for m in study.metrics if m != metric}
    if not any(c.found is not None for found in others.values() for c in found):
        return "No other score was compared."
    what = "the opposite" if primary else "a difference"  # where it shows nothing, there is nothing to be opposed to
    several = Counter(variant for variant, _ in study.contrasts)
    shown: dict[str, list[str]] = {}
    here: dict[str, list[str]] = {}
    for other, found in others.items():
        for c in found:
            ours = primary.get((c.variant, c.against))
            opposed = ours is not None and c.mark == ours.mark and c.better != ours.better
            if opposed if primary else c.mark:
                of = quoted(c.variant) + (f" against {quoted(c.against)}" if several[c.variant] > 1 else "")
                (shown if c.differs else here).setdefault(of, []).append(study.metric(other).label)
    sentences = [f"Of the secondary scores {what} is shown by {_of_variants(shown)}."] if shown else []
    if here:
        sentences.append(f"In these trainings alone {what} is seen in {_of_variants(here)}.")
    return " ".join(sentences) or f"No secondary score shows {what}."


def _of_variants(labels: dict[str, list[str]]) -> str:
    """The scores of each variant, of six at most."""
    told = [f"{listed(own)} of {variant}" for variant, own in list(labels.items())[:6]]
    return listed(told) + (f" (and of {len(labels) - 6} more)" if len(labels) > 6 else "")


def _trained_apart(study: StudyRecord, metric: str) -> list[str]:
    """Which variants share no machine, torch or version of p2pbench with what they are compared with."""

    def made_with(variant: str, other: str) -> set[tuple[Any, ...]]:
        compared = {cell.seed for cell in study.of(variant)} & {cell.seed for cell in study.of(other)}
        known = [cell.status for cell in study.of(variant) if cell.seed in compared and cell.status]
        return {
            (s.machine.get("gpu") or s.machine.get("processor"), *(map((s.versions or {}).get, ("torch", "p2pbench"))))
            for s in known
            if s.machine
        }

    apart = [
        f"{quoted(c.variant)} (with {quoted(c.against)})"
        for c in comparisons(study, metric)
        if c.found is not None
        and (one := made_with(c.variant, c.against))
        and (other := made_with(c.against, c.variant))
        and not one & other
    ]
    if not apart:
        return []
    return [f"Compared across machines or versions, to which a difference may be due, too: {listed(apart)}."]


def _unfinished(study: StudyRecord) -> list[str]:
    """How many cells failed or have no result yet, an example, and whose survivors the rest speaks of."""
    sentences = []
    failed = [cell for cell in study.cells if cell.state == "failed"]
    waiting = [cell for cell in study.cells if cell.state not in ("failed", "finished")]
    for cells, what in ((failed, "failed"), (waiting, "have no result")):
        if cells:
            verb = what.replace("have", "has") if len(cells) == 1 else what
            sentences.append(
                f"{len(cells)} of {len(study.cells)} cells {verb} ({quoted(cells[0].variant)}, seed {cells[0].seed}"
                f"{'' if len(cells) == 1 else ', for one'}: {cells[0].state})."
            )
    surviving = [v for v in dict.fromkeys(cell.variant for cell in failed) if study.of(v)]
    if surviving:
        sentences.append(f"What is said of {named(surviving)} is of the trainings that survived.")
    return sentences


def _without_comparison(study: StudyRecord, metric: str | None) -> str:
    """Why there is no answer."""
    finished = [v for v in study.variants if study.of(v)]
    if not finished:
        return "There is no answer yet: no cell has a result."
    if metric is None:
        told = next((f" ({s.reason})" for cell in study.cells for s in cell.scores.values() if s.reason), "")
        return f"There is no answer: none of the scores could be measured{told}."
    if len(finished) == 1:
        return f"There is nothing to compare: {quoted(finished[0])} alone has a result."
    if study.baseline not in finished:
        return f"There is no answer yet: the baseline, {quoted(study.baseline)}, has no result."
    reasons = dict.fromkeys(c.reason for c in comparisons(study, metric) if c.reason)
    return f"There is no answer by {study.metric(metric).label}: {'; '.join(map(str, reasons)) or 'no contrast'}."


def by_score(study: StudyRecord) -> list[str]:
    """A sentence a score that was compared, the primary one first."""
    primary = primary_metric(study)
    metrics = sorted(study.chosen_metrics, key=lambda metric: metric != primary)
    compared = [metric for metric in metrics if any(c.found is not None for c in comparisons(study, metric))]
    return [
        f"{study.metric(m).label}{' (primary)' if m == primary else ''}: {'; '.join(clauses(comparisons(study, m)))}."
        for m in compared
    ]


def verdicts_json(study: StudyRecord) -> list[dict[str, Any]]:
    """Each contrast of each score, as the documented JSON of ``report`` has it."""
    return [
        {
            "variant": c.variant, "score": metric, "against": c.against, "verdict": c.verdict,
            "difference": c.found.value if c.found else None, "low": c.found.low if c.found else None,
            "high": c.found.high if c.found else None, "p": c.p, "p_raw": c.p_raw, "p_images": c.p_images,
            "margin": c.margin, "seeds_needed": c.needed, "n_seeds": c.found.n_seeds if c.found else 0,
            "n_images": c.n_images, "reason": c.reason,
        }
        for metric in study.metrics
        for c in comparisons(study, metric)
    ]  # fmt: skip


def means_over(study: StudyRecord, metrics: Sequence[str]) -> str:
    """A sentence on how many trainings and test images the shown means stand on; empty where there are none."""
    found = [s for v in study.chosen_variants for m in metrics if (s := summarise(study, v, m)).value is not None]
    if not found:
        return ""
    seeds, images = sorted({s.n_seeds for s in found}), sorted({s.n_images for s in found})
    return f"Means over {counted(seeds, 'training')} a variant and {counted(images, 'test image')}."


def counted(counts: Sequence[int], what: str) -> str:
    """``1 training``, ``3 trainings``, ``2 to 5 trainings``: the least and the most of ``counts``, ascending."""
    return number_of(counts[0], what) if len(counts) == 1 else f"{counts[0]} to {counts[-1]} {what}s"
