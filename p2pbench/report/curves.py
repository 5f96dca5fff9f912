"""Scores of validation pairs while training (``curve.csv``): the curves, and whether the order was still moving."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from p2pbench.config.metrics import METRICS, caution_of
from p2pbench.report.records import CellRecord, StudyRecord
from p2pbench.report.verdict import counted

LAST_PART = 2 / 3
"""Where the last third of a training begins, as a share of its steps."""
MOST_NAMED = 3
"""The most pairs of variants that a sentence names."""


@dataclass(frozen=True)
class Curve:
    """A score of one variant by the steps of its training."""

    values: pd.DataFrame
    """A row a step, ascending, and a column a seed; NaN where a seed has no reading."""
    minutes: pd.Series
    """Minutes of training by step, the mean over seeds."""

    def mean_at(self, shares: np.ndarray) -> np.ndarray:
        """The mean over seeds at ``shares`` of the last reading's step, each in [0, 1], between readings by a line."""
        mean = self.values.mean(axis=1)
        return np.asarray(np.interp(shares * self.values.index[-1], self.values.index, mean))


def curve_metrics(study: StudyRecord) -> list[str]:
    """The scores that any cell has a curve of, the primary ones first."""
    present: set[str] = set()
    for cell in study.cells:
        present.update(n for n in cell.curve.columns if n not in present and cell.curve[n].notna().any())
    found = [name for name in METRICS if name in present]
    return sorted(found, key=lambda name: study.primary.index(name) if name in study.primary else len(study.primary))


def curve_of(study: StudyRecord, variant: str, name: str) -> Curve | None:
    """The curve of ``variant`` by the score ``name``; None where no seed has any reading."""
    values, seconds = by_step({c.seed: c.curve for c in study.cells if c.variant == variant}, name, "seconds")
    return Curve(values, seconds.mean(axis=1) / 60) if len(values) else None


def by_step(tables: Mapping[int, pd.DataFrame], *names: str) -> list[pd.DataFrame]:
    """Each of the columns ``names`` of the seeds' tables by their step: a row a step, ascending, and a column a seed.

    A seed that has no finite number of any of them at a step has NaN there; of several readings the first counts.
    """
    found = {}
    for seed, table in tables.items():
        if {"step", *names} <= set(table.columns):
            rows = np.column_stack([table[name].to_numpy(dtype=float) for name in ("step", *names)])
            rows = rows[np.isfinite(rows).all(axis=1)]
            if len(rows):
                found[seed] = rows[::-1]  # the first reading is written last
    steps = np.unique(np.concatenate([rows[:, 0] for rows in found.values()] or [[]]))
    made = np.full((len(names), len(steps), len(found)), np.nan)
    for position, rows in enumerate(found.values()):
        made[:, np.searchsorted(steps, rows[:, 0]), position] = rows[:, 1:].T
    return [pd.DataFrame(values, index=steps, columns=list(found)) for values in made]


def validation_pairs(cells: Iterable[CellRecord]) -> str:
    """How many validation pairs the readings of ``cells`` are of, in words; version 0.1 did not record it."""
    found = {int(cell.curve["pairs"].max()) for cell in cells if "pairs" in cell.curve and len(cell.curve)}
    return counted(sorted({min(found), max(found)}), "validation pair") if found else "at most 100 validation pairs"


def curve_sentences(study: StudyRecord) -> list[str]:
    """What is to be said of scores while training, and of the epochs that were selected by one; often nothing."""
    selections = dict.fromkeys(str(cell.config.get("training", {}).get("select")) for cell in study.cells)
    cautions = [caution for selection in selections if (caution := caution_of(selection))]
    metrics = curve_metrics(study)
    moved = [_order(study, metrics[0])] if metrics else []
    return [*(sentence for sentence in moved if sentence), *_without(study), *(f"{text}." for text in cautions)]


def _order(study: StudyRecord, name: str) -> str | None:
    """Whether the order of the variants was still moving over the last third of training, by the score ``name``."""
    found = {variant: curve_of(study, variant, name) for variant in study.variants}
    curves = {variant: curve for variant, curve in found.items() if curve is not None}
    if len(curves) < 2:
        return None
    label = study.metric(name).label
    readings = min(sum(c.values.index >= LAST_PART * c.values.index[-1]) for c in curves.values())
    if readings < 2:
        return (
            f"{label} has too few readings while training to say whether the order of the variants was still moving; "
            "scoring.every sets how many there are."
        )
    shares = np.linspace(LAST_PART, 1, readings)
    means = {variant: curve.mean_at(shares) for variant, curve in curves.items()}
    if METRICS[name].better == "closer to 1":
        means = {variant: abs(mean - 1) for variant, mean in means.items()}
    margin = study.margin(name)
    swapped = []
    for first, second in combinations(means, 2):
        difference = means[first] - means[second]
        if difference.min() < 0 < difference.max() and abs(difference).max() > margin:
            swapped.append(f"{first} and {second}")
    beside = f" (pairs that stayed within {margin:g} of each other are left out)" if margin else ""
    if not swapped:
        return f"By {label} on validation pairs no two variants changed places over the last third of training{beside}."
    more = f", and {len(swapped) - MOST_NAMED} more pairs" if len(swapped) > MOST_NAMED else ""
    return (
        f"By {label} on validation pairs the order was still moving over the last third of training: "
        f"{', '.join(swapped[:MOST_NAMED])}{more} changed places{beside}. Longer training may order them otherwise."
    )


def _without(study: StudyRecord) -> list[str]:
    """That finished trainings have no curve, where any was asked for or others have one."""
    finished = [cell for cell in study.cells if cell.state == "finished"]
    lacking = [cell for cell in finished if cell.curve.empty]
    asked = any(cell.config.get("scoring", {}).get("every") for cell in lacking)
    if not lacking or not (len(lacking) < len(finished) or asked):
        return []
    return [
        f"{len(lacking)} of {len(finished)} finished trainings have no scores while training: they were trained before "
        "scoring.every was set, or their data have no validation pairs. A finished run is not trained again for them."
    ]
