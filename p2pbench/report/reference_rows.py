"""The reference rows of a report: outputs that no training made. They are never compared with a variant, nor marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from p2pbench.config.metrics import METRICS
from p2pbench.runs.store import Store

FLOOR = "real (split half)"
"""The row that says what a perfect generator gets at this number of images."""


@dataclass(frozen=True)
class Reference:
    """One reference row, as it was recorded."""

    name: str
    about: str
    n: int
    reason: str | None
    """Why it has no scores."""
    scores: dict[str, dict[str, Any]]
    """Those that make sense of it: paired scores of real images do not."""


def read_references(store: Store, about: Mapping[str, Any]) -> list[Reference]:
    """The reference rows of a study, ``about`` as recorded; none where they were made for another training or data."""
    record = store.references(str(about["name"]))
    if record.get("run_id") not in {cell["run_id"] for cell in about["cells"]}:
        return []
    return [Reference(r["name"], r["about"], r["n"], r["reason"], r["scores"]) for r in record["rows"]]


def reference_notes(references: Sequence[Reference], metrics: Sequence[str]) -> list[str]:
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
            score = row.scores.get(metric, {})
            # A network that is missing is missing for the cells too, which say so.
            if score.get("state") == "not measured" and not (metric in METRICS and METRICS[metric].net):
                label = METRICS[metric].label if metric in METRICS else metric.partition(":")[2]
                missing.setdefault(f"{label} {score['reason']}", []).append(row.name)
    lines += [f"{', '.join(names)} not measured: {reason}." for reason, names in missing.items()]
    if any(row.scores and any(metric not in row.scores for metric in metrics) for row in references):
        lines.append("A dash: paired scores of real images, each its own target, would be perfect and say nothing.")
    return lines


def floor_of(references: Sequence[Reference], metric: str, n: int) -> float | None:
    """What two sets of ``n`` real images score against each other, where that was measured."""
    values = [row.scores.get(metric, {}).get("value") for row in references if row.name == FLOOR and row.n == n]
    return None if not values or values[0] is None else float(values[0])
