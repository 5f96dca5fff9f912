"""What a reader must know to read a table rightly."""

import numpy as np

from p2pbench.config.metrics import METRICS
from p2pbench.config.sections import PROJECTED
from p2pbench.report.chosen import chosen_sentence
from p2pbench.report.comparisons import best, comparisons
from p2pbench.report.markup import TEMPLATES
from p2pbench.report.primary import listed, named, quoted
from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import (
    OTHER_TARGETS,
    how_made,
    library_versions,
    measured,
    reference_summary,
    summarise,
    unlike,
)
from p2pbench.report.training_cost import most_at_once, named_machines
from p2pbench.report.verdict import means_over
from p2pbench.system import html

BY_SEVERAL_NETWORKS = (
    "read by several segmentation networks, for another version of torch or kind of processor trains another one (to "
    "share one, copy segmenters/ from one machine's P2PBENCH_HOME to the others' before they train)"
)
IN_DIFFERENT_WAYS = "made in different ways or of images of different sizes"
FLOOR = "real (split half)"
"""The reference row that says what a perfect generator gets at this number of images."""


def notes(study: StudyRecord) -> list[str]:
    """The notes below the table of a study, a sentence or two each."""
    return [
        *filter(None, [chosen_sentence(study)]),
        *(f"{line[0].upper()}{line[1:]}." for line in study.about.reads),
        *_about_all(study),
        *(note for metric in study.chosen_metrics if (note := _over_set(study, metric))),
        *not_compared(study),
        *_trained_through(study),
        *_versions(study),
        *_of_scores(study),
        *_about_references(study),
    ]


def _about_all(study: StudyRecord) -> list[str]:
    """What brackets, ±, ``*`` and bold type mean, what so many seeds leave open, and what the costs are."""
    counts = {variant: len(study.of(variant)) for variant in study.chosen_variants}
    metrics = study.chosen_metrics
    text = html.render(
        TEMPLATES / "notes.txt",
        methods=list({summarise(study, v, m).method for v in study.chosen_variants for m in metrics} - {None}),
        counts=counts,
        quoted=quoted,
        over=means_over(study, metrics),
        fewer_seeds=_fewer_seeds(study),
        most_seeds=max(counts.values(), default=0),
        any_best=any(best(study, metric) in study.chosen_variants for metric in metrics),
        marks={c.mark for m in metrics for c in comparisons(study, m) if c.variant in study.chosen_variants},
        of_references=any(
            reference_summary(row, m).low is not None for row in study.chosen_references for m in metrics
        ),
        left_out=_left_out(study),
        machines=named_machines(study),
        at_once=most_at_once(study),
    )
    return text.splitlines()


def _fewer_seeds(study: StudyRecord) -> list[str]:
    """The scores that only some of a variant's trainings have, with how many."""
    return [
        f"{study.metric(metric).label} of {quoted(variant)} is over {found.n_seeds} of its "
        f"{len(study.of(variant))} trainings"
        for metric in study.chosen_metrics
        for variant in study.chosen_variants
        if (found := summarise(study, variant, metric)).value is not None and found.n_seeds < len(study.of(variant))
    ]


def _left_out(study: StudyRecord) -> list[str]:
    """The scores that lack a value for some images, with how many images are left out of which variant's mean."""
    cells = [cell for v in study.chosen_variants for cell in study.of(v) if cell.per_image.isna().to_numpy().any()]
    found = []
    for metric in study.chosen_metrics:
        for cell in cells:
            about = cell.scores.get(metric)
            lacking = int(cell.per_image[metric].isna().sum()) if metric in cell.per_image else 0
            if lacking and about is not None and about.value is not None:
                where = f"{cell.variant}, seed {cell.seed}: {lacking} of {len(cell.per_image)}"
                found.append(f"{study.metric(metric).label} ({where})")
    return found


def _over_set(study: StudyRecord, metric: str) -> str | None:
    """The score over all test images together, where it has one beside the mean over images."""
    values = {}
    for variant in study.chosen_variants:
        settings = [cell.scores[metric].settings for cell in study.of(variant) if metric in cell.scores]
        whole = [s["over_set"] for s in settings if s.get("over_set") is not None]
        if whole:
            values[variant] = float(np.mean(whole))
    if not values:
        return None
    listed = ", ".join(f"{variant} {value:.3f}" for variant, value in values.items())
    return f"{study.metric(metric).label} over all test images together, as pix2pix has it: {listed}."


def not_compared(study: StudyRecord) -> list[str]:
    """Sentences on the scores that were made in different ways."""
    found: dict[str, list[str]] = {}
    for metric in study.chosen_metrics:
        cells = [cell for variant in study.variants for cell in measured(study, variant, metric)]
        if differs := unlike([how_made(cell, metric) for cell in cells]):
            how = BY_SEVERAL_NETWORKS if differs.startswith("network_sha256") else IN_DIFFERENT_WAYS
            how = differs if differs == OTHER_TARGETS else how
            found.setdefault(how, []).append(study.metric(metric).label)
    return [
        f"{listed(labels)} was {how}, and is compared only where it was made alike."
        if len(labels) == 1
        else f"{listed(labels)} were {how}, and are compared only where they were made alike."
        for how, labels in found.items()
    ]


def _trained_through(study: StudyRecord) -> list[str]:
    """The scores that look through networks of ImageNet, beside variants that were trained through another such one."""
    through: dict[str, dict[str, None]] = {}
    for cell in study.about.cells:
        objective, discriminator = cell.config.get("objective", {}), cell.config.get("discriminator", {})
        projected = discriminator.get("name") == "projected" and "gan" in str(objective.get("name"))
        net = objective.get("perceptual") or (PROJECTED if projected else None)
        if net and cell.variant in study.chosen_variants:
            through.setdefault(str(net), {})[cell.variant] = None
    having = [m for m in study.chosen_metrics if any(measured(study, v, m) for v in study.chosen_variants)]
    looking = [METRICS[m].label for m in having if m in METRICS and METRICS[m].net]
    if not looking:
        return []
    look = "looks through another such network" if len(looking) == 1 else "look through other such networks"
    return [
        f"{named(list(variants))} {'was' if len(variants) == 1 else 'were'} trained through a network that knows "
        f"ImageNet ({net}); {listed(looking)} {look}, and may favour that."
        for net, variants in through.items()
    ]


def _versions(study: StudyRecord) -> list[str]:
    """The libraries of which several versions made the scores of one table, as on several machines."""
    found: dict[str, list[str]] = {}
    for metric in study.chosen_metrics:
        if versions := library_versions(study, metric):
            found.setdefault(" and ".join(versions), []).append(study.metric(metric).label)
    return [f"{listed(labels)}: some by {versions}." for versions, labels in found.items()]


def _of_scores(study: StudyRecord) -> list[str]:
    """The notes that the scores brought along, each once; ``missing_scores`` has why others were not measured."""
    found: dict[str, None] = {}
    for metric in study.chosen_metrics:
        for score in (cell.scores[metric] for cell in study.cells if metric in cell.scores):
            floor = _floor(study, metric, score.n) if score.notes else None
            beside = "" if floor is None else f"; the floor at this n is {floor:.4g} (row {FLOOR!r})"
            found |= dict.fromkeys(f"{note}{beside}" for note in score.notes)
    return list(found)


def missing_scores(study: StudyRecord) -> list[tuple[str, str]]:
    """The scores of finished cells that were not measured: which of which variants, and why, a line a reason."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for cell in study.cells:
        shown = cell.state == "finished" and cell.variant in study.chosen_variants
        for metric in study.chosen_metrics if shown else ():
            score = cell.scores.get(metric)
            if score is None or score.value is None:
                again = "study add" if cell.run.images_file.exists() else "ablate"
                reason = str(score.reason) if score else f"the run was not asked for it; run {again} again"
                found.setdefault((study.metric(metric).label, reason), {})[cell.variant] = None
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (label, reason), variants in found.items():
        alike.setdefault((reason, tuple(variants)), []).append(label)
    finished = [variant for variant in study.chosen_variants if study.of(variant)]
    return [
        (listed(labels) + ("" if list(variants) == finished else f" of {listed(list(variants))}"), reason)
        for (reason, variants), labels in alike.items()
    ]


def _floor(study: StudyRecord, metric: str, n: int) -> float | None:
    """What two sets of ``n`` real images score against each other, where that was measured."""
    rows = [row for row in study.references if row.name == FLOOR and row.n == n and metric in row.scores]
    return rows[0].scores[metric].value if rows else None


def _about_references(study: StudyRecord) -> list[str]:
    """A line for each reference row, and why it lacks scores that are asked for."""
    rows = study.chosen_references
    said = {score.reason for cell in study.cells for score in cell.scores.values() if score.value is None}
    if not rows:
        return []
    lines = [
        f"Reference rows: no training made them. n = {rows[0].n} and settings as the baseline's; no test, no mark."
    ]
    lines += [f"{row.name}: {row.about}." for row in rows]
    missing: dict[str, list[str]] = {}
    for row in rows:
        if row.reason:
            missing.setdefault(row.reason, []).append(row.name)
        for metric in study.chosen_metrics:
            score = row.scores.get(metric)
            # A network that is missing is missing for the cells too, which say so.
            network = metric in METRICS and METRICS[metric].net
            if score is not None and score.value is None and not network and score.reason not in said:
                label = METRICS[metric].label if metric in METRICS else metric.partition(":")[2]
                missing.setdefault(f"{label} {score.reason}", []).append(row.name)
    lines += [f"{', '.join(names)} not measured: {reason}." for reason, names in missing.items()]
    if any(row.scores and any(metric not in row.scores for metric in study.chosen_metrics) for row in rows):
        lines.append("A dash: paired scores of real images, each its own target, would be perfect and say nothing.")
    return lines
