"""From the records of a study to tables: a row a variant, and the tidy long form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from p2pbench.report.paper import TABLES
from p2pbench.report.records import CellRecord, StudyRecord
from p2pbench.report.reference_rows import Reference
from p2pbench.report.summaries import Summary, best, summarise
from p2pbench.system.console import bytes_text, decimals, duration


def wide(study: StudyRecord) -> pd.DataFrame:
    """A row a variant, full precision: every score with its interval, spread over seeds, difference; and the cost."""
    rows = []
    for variant in study.variants:
        cells = study.of(variant)
        row: dict[str, Any] = {"variant": variant, "n_seeds": len(cells)}
        for metric in study.metrics:
            s = summarise(study, variant, metric)
            c = s.comparison
            row |= {
                metric: s.value,
                f"{metric}_low": s.low,
                f"{metric}_high": s.high,
                f"{metric}_seed_sd": s.seed_sd,
                f"{metric}_interval": s.method,
                f"{metric}_diff": c.difference.value if c else None,
                f"{metric}_diff_low": c.difference.low if c else None,
                f"{metric}_diff_high": c.difference.high if c else None,
                f"{metric}_diff_p": c.p if c else None,
                f"{metric}_diff_p_holm": s.p_holm,
                f"{metric}_diff_dz": c.dz if c else None,
                f"{metric}_share_better": c.share_better if c else None,
                f"{metric}_n": s.n_images or None,
            }
        row |= _full_cost(costs(study, variant))
        row["state"] = _states(study, variant)
        rows.append(row)
    for reference in study.references:
        row = {"variant": f"reference: {reference.name}", "state": "reference"}
        for metric in study.metrics:
            s = _of_reference(reference, metric)
            row |= {metric: s.value, f"{metric}_low": s.low, f"{metric}_high": s.high, f"{metric}_interval": s.method}
            row[f"{metric}_n"] = s.n_images or None
        rows.append(row)
    return pd.DataFrame(rows)


def long(study: StudyRecord) -> pd.DataFrame:
    """A row a cell and score: the tidy form."""
    rows = [
        {
            "variant": cell.variant,
            "seed": cell.seed,
            "run_id": cell.run.path.name,
            "metric": metric,
            **{key: score.get(key) for key in ("value", "low", "high", "n", "unit", "better", "state", "reason")},
        }
        for cell in study.cells
        for metric, score in cell.scores.items()
    ]
    columns = ["variant", "seed", "run_id", "metric", "value", "low", "high", "n", "unit", "better", "state", "reason"]
    return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True)
class Cost:
    """What the finished trainings of a variant took on one machine; None where that is not recorded."""

    machine: str
    n_seeds: int
    parameters: float | None
    """Of the generator."""
    flops: float | None
    """Of the generator for one image: convolutions, a multiplication and an addition as two."""
    seconds: float | None
    """Of a training, the mean over seeds."""
    images_per_second: float | None
    """In training, the mean over seeds."""
    peak_memory_bytes: float | None
    """The most of any seed."""


def costs(study: StudyRecord, variant: str) -> list[Cost]:
    """What ``variant`` cost, for each machine by itself: times of two machines are never averaged."""
    by_machine: dict[str, list[CellRecord]] = {}
    for cell in study.of(variant):
        by_machine.setdefault(cell.machine, []).append(cell)
    return [
        Cost(
            machine, len(cells),
            _first(numbers(cells, "generator_parameters")), _first(numbers(cells, "generator_flops")),
            _mean(numbers(cells, "seconds")), _mean(images_per_second(cells)),
            max(numbers(cells, "peak_memory_bytes"), default=None),
        )
        for machine, cells in by_machine.items()
    ]  # fmt: skip


def numbers(cells: list[CellRecord], key: str) -> list[float]:
    """What the trainings of ``cells`` recorded under ``key``, where it is a number."""
    found = [cell.training.get(key) for cell in cells]
    return [float(value) for value in found if isinstance(value, int | float) and math.isfinite(value)]


def images_per_second(cells: list[CellRecord]) -> list[float]:
    """Of each training where it is known: its batch over the seconds of a step."""
    found = []
    for cell in cells:
        batch = (cell.config.get("training") or {}).get("batch_size")
        found += [batch / seconds for seconds in numbers([cell], "seconds_per_step") if seconds > 0 and batch]
    return found


def _first(values: list[float]) -> float | None:
    return values[0] if values else None


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _full_cost(found: list[Cost]) -> dict[str, Any]:
    """The cost in full precision; of several machines the values of each, in the order of :func:`machines`."""
    columns = {
        "generator_parameters": [c.parameters for c in found[:1]],
        "generator_flops": [c.flops for c in found[:1]],
        "training_seconds": [c.seconds for c in found],
        "training_images_per_second": [c.images_per_second for c in found],
        "peak_memory_bytes": [c.peak_memory_bytes for c in found],
    }
    return {
        name: None if not values else values[0] if len(values) == 1 else "; ".join(map(str, values))
        for name, values in columns.items()
    } | {"n_machines": len(found)}


def machines(study: StudyRecord) -> list[str]:
    """The machines that finished cells were trained on, in order; ``A`` is the first."""
    return list(dict.fromkeys(cell.machine for cell in study.cells if cell.state == "finished"))


def letter(position: int) -> str:
    """What a machine is called in tables, by its position among :func:`machines`."""
    return chr(ord("A") + position)


def named_machines(study: StudyRecord) -> list[str]:
    """Each machine with its letter."""
    return [f"{letter(k)}: {machine or 'not recorded'}" for k, machine in enumerate(machines(study))]


def _states(study: StudyRecord, variant: str) -> str:
    cells = [cell for cell in study.cells if cell.variant == variant]
    bad = [f"seed {cell.seed} {cell.state}" for cell in cells if cell.state != "finished"]
    return "; ".join(bad) or "finished"


def printed(study: StudyRecord) -> pd.DataFrame:
    """The table as people read it: a row a variant, ``value [low, high]`` per score, a mark where it differs.

    The best of a score stands between ``**`` where it is better than every other variant beyond chance
    (:func:`p2pbench.report.summaries.best`).
    """
    rows = []
    for variant in study.variants:
        row = {"variant": f"{variant} (baseline)" if variant == study.baseline else variant}
        for metric in study.metrics:
            text = cell_text(summarise(study, variant, metric))
            row[study.metric(metric).heading] = f"**{text}**" if variant == best(study, metric) else text
        rows.append(row | printed_cost(study, variant))
    return pd.DataFrame(rows).fillna("")


COSTS = ("parameters", "GFLOPs", "training", "images/s", "memory")


def printed_cost(study: StudyRecord, variant: str) -> dict[str, str]:
    """The cost of a variant in words, a text a column of ``COSTS``; of several machines each with its letter."""
    found, known = costs(study, variant), machines(study)

    def each(texts: list[str | None]) -> str:
        letters = [letter(known.index(cost.machine)) for cost in found]
        named = [f"{letter}: {t}" if len(known) > 1 else t for letter, t in zip(letters, texts, strict=True) if t]
        return ", ".join(named)

    first = found[0] if found else None
    return {
        "parameters": "" if first is None or first.parameters is None else f"{first.parameters / 1e6:.3g} M",
        "GFLOPs": "" if first is None or first.flops is None else f"{first.flops / 1e9:.3g}",
        "training": each([None if c.seconds is None else duration(c.seconds) for c in found]),
        "images/s": each([None if c.images_per_second is None else f"{c.images_per_second:.3g}" for c in found]),
        "memory": each([None if c.peak_memory_bytes is None else bytes_text(int(c.peak_memory_bytes)) for c in found]),
    }


def printed_references(study: StudyRecord) -> pd.DataFrame:
    """The reference rows in the columns of :func:`printed`; no rows where there are none."""
    rows = []
    for reference in study.references:
        row = {"variant": reference.name}
        for metric in study.metrics:
            text = cell_text(_of_reference(reference, metric))
            row[study.metric(metric).heading] = text if metric in reference.scores or reference.reason else "-"
        rows.append(row | dict.fromkeys(COSTS, ""))
    return pd.DataFrame(rows)


def _of_reference(reference: Reference, metric: str) -> Summary:
    """A score of a reference row: one set of images, never compared."""
    score = reference.scores.get(metric, {})
    value, low, high = (score.get(key) for key in ("value", "low", "high"))
    method = score["settings"].get("interval") if low is not None else None
    n = reference.n if value is not None else 0
    return Summary(value, low, high, method, None, None, None, 0, n, score.get("reason"))


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


def published(study: StudyRecord) -> pd.DataFrame | None:
    """The paper's own rows for this grid, and None where the grid names no table."""
    name = study.about.get("paper")
    if name not in TABLES:
        return None
    table = TABLES[name]
    spreads = table.spreads or {}
    rows = {
        label: [
            f"{value:.{table.digits}f}" + (f" ± {spreads[label][column]:.{table.digits}f}" if spreads else "")
            for column, value in enumerate(values)
        ]
        for label, values in table.rows.items()
    }
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(table.metrics))
    return frame.rename_axis("variant").reset_index()
