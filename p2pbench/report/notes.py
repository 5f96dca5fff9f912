"""What a reader must know to read a table rightly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from p2pbench.config.metrics import METRICS
from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import alike, measured, summarise
from p2pbench.report.training_cost import machines, named_machines
from p2pbench.report.verdict import best
from p2pbench.runs.records import ReferenceRow


def notes(study: StudyRecord) -> list[str]:
    """What a reader must know to read the table rightly."""
    found = []
    counts = {variant: len(study.of(variant)) for variant in study.variants}
    methods = {
        s.method for v in study.variants for m in study.metrics if (s := summarise(study, v, m)).method is not None
    }
    over_images = "test images, of the seeds' mean (Student's t; BCa where 100 images or more are skewed)"
    if methods == {"crossed"}:
        found.append("Brackets: 95 % interval over trainings and test images (crossed random effects).")
    elif "crossed" in methods:
        found.append(
            f"Brackets: 95 % interval over trainings and test images from three seeds on, else over {over_images}."
        )
    elif methods:
        found.append(f"Brackets: 95 % interval over {over_images}.")
    if max(counts.values(), default=0) > 1:
        found.append("±: standard deviation over seeds.")
    if len({n for n in counts.values() if n}) > 1:
        found.append(f"Unequal numbers of seeds: {', '.join(f'{v} {n}' for v, n in counts.items())}.")
    if 1 in counts.values():
        found.append("One seed: training variance is not assessed; another seed may order the variants otherwise.")
    elif 2 in counts.values():
        found.append("Two seeds: too few for an interval over trainings, which needs three.")
    found.append(
        "*: differs from the baseline on the same test images (sign-flip permutation test, p at most 0.05 after Holm's "
        "correction over the variants). It speaks of these trainings, not of others with other seeds."
    )
    if any(best(study, metric) for metric in study.metrics):
        found.append(
            "Bold: better than every other variant on the same test images (the same test, corrected over the other "
            "variants; from three seeds on the interval over trainings of each difference excludes zero too)."
        )
    found.append(
        "GFLOPs: of the generator for one image (convolutions, a multiplication and an addition as two). training: "
        "wall time of a run; images/s: in training; memory: the peak of a run."
    )
    if len(known := machines(study)) > 1:
        named = "; ".join(named_machines(study))
        found.append(f"Trained on {len(known)} machines, whose times stand side by side: {named}.")
    found += [note for metric in study.metrics if (note := _over_set(study, metric))]
    for metric in study.metrics:
        cells = [cell for variant in study.variants for cell in measured(study, variant, metric)]
        if cells and not alike(cells, metric):
            label = study.metric(metric).label
            found.append(f"{label} was made in different ways or of images of different sizes, and is not compared.")
    reasons: dict[str, list[str]] = {}
    for metric in study.metrics:
        for cell in study.cells:
            score = cell.scores.get(metric)
            if score is None:
                continue
            if score.value is None and score.reason:
                names = reasons.setdefault(score.reason, [])
                label = study.metric(metric).label
                names += [] if label in names else [label]
            for note in score.notes:
                floor = floor_of(study.references, metric, score.n)
                beside = "" if floor is None else f"; the floor at this n is {floor:.4g} (row {FLOOR!r})"
                found += [] if f"{note}{beside}" in found else [f"{note}{beside}"]
    found += [f"{', '.join(names)} not measured: {reason}." for reason, names in reasons.items()]
    return found + reference_notes(study.references, study.metrics)


def _over_set(study: StudyRecord, metric: str) -> str | None:
    """The score over all test images together, where it has one beside the mean over images."""
    values = {}
    for variant in study.variants:
        settings = [cell.scores[metric].settings for cell in study.of(variant) if metric in cell.scores]
        whole = [s["over_set"] for s in settings if s.get("over_set") is not None]
        if whole:
            values[variant] = float(np.mean(whole))
    if not values:
        return None
    listed = ", ".join(f"{variant} {value:.3f}" for variant, value in values.items())
    return f"{study.metric(metric).label} over all test images together, as pix2pix has it: {listed}."


def reference_notes(references: Sequence[ReferenceRow], metrics: Sequence[str]) -> list[str]:
    """A line for each row, and why it lacks scores that are asked for."""
    if not references:
        return []
    n = references[0].n
    lines = [f"Reference rows: no training made them. n = {n} and settings as the baseline's; no test, no mark."]
    lines += [f"{row.name}: {row.about}." for row in references]
    missing: dict[str, list[str]] = {}
    for row in references:
        if row.reason:
            missing.setdefault(row.reason, []).append(row.name)
        for metric in metrics:
            score = row.scores.get(metric)
            # A network that is missing is missing for the cells too, which say so.
            if score is not None and score.value is None and not (metric in METRICS and METRICS[metric].net):
                label = METRICS[metric].label if metric in METRICS else metric.partition(":")[2]
                missing.setdefault(f"{label} {score.reason}", []).append(row.name)
    lines += [f"{', '.join(names)} not measured: {reason}." for reason, names in missing.items()]
    if any(row.scores and any(metric not in row.scores for metric in metrics) for row in references):
        lines.append("A dash: paired scores of real images, each its own target, would be perfect and say nothing.")
    return lines


def floor_of(references: Sequence[ReferenceRow], metric: str, n: int) -> float | None:
    """What two sets of ``n`` real images score against each other, where that was measured."""
    found = [row.scores[metric] for row in references if row.name == FLOOR and row.n == n and metric in row.scores]
    return found[0].value if found else None


FLOOR = "real (split half)"
"""The row that says what a perfect generator gets at this number of images."""
