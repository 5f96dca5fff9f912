"""From the records of a study to tables: a row a variant, and the tidy long form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from p2pbench.quantities import decimals, duration
from p2pbench.report.paper import TABLES
from p2pbench.report.records import CellRecord, StudyRecord
from p2pbench.statistics import Estimate, mean_interval, paired_difference


@dataclass(frozen=True)
class Summary:
    """One score of one variant, over its seeds and test images."""

    value: float | None
    low: float | None
    high: float | None
    seed_sd: float | None
    """Standard deviation over seeds; None with one seed: then training variance is not assessed."""
    difference: Estimate | None
    """To the baseline, over the same test images; None for the baseline itself and for scores of whole sets."""
    n_seeds: int
    n_images: int
    reason: str | None

    @property
    def differs(self) -> bool:
        """Whether the 95 % interval of the difference to the baseline excludes zero."""
        d = self.difference
        return d is not None and d.low is not None and d.high is not None and (d.low > 0 or d.high < 0)


def summarise(study: StudyRecord, variant: str, metric: str) -> Summary:
    """The score ``metric`` of ``variant``: its mean over seeds, with the interval over images of the seeds' mean."""
    cells = [cell for cell in study.of(variant) if cell.scores.get(metric, {}).get("state") == "measured"]
    if not cells:
        reasons = [cell.scores[metric].get("reason") for cell in study.of(variant) if metric in cell.scores]
        return Summary(None, None, None, None, None, 0, 0, reasons[0] if reasons else "no finished cell")
    values = np.array([cell.scores[metric]["value"] for cell in cells], dtype=float)
    seed_sd = float(values.std(ddof=1)) if len(values) > 1 else None
    n_images = int(cells[0].scores[metric]["n"])
    images = _mean_over_seeds(cells, metric)
    if images is None or len(images) < 2:
        return Summary(float(values.mean()), None, None, seed_sd, None, len(values), n_images, None)
    estimate = mean_interval(images.to_numpy())
    difference = None
    baseline = str(study.about["baseline"])
    if variant != baseline:
        others = [c for c in study.of(baseline) if c.scores.get(metric, {}).get("state") == "measured"]
        reference = _mean_over_seeds(others, metric)
        if reference is not None and reference.index.equals(images.index) and _alike([*cells, *others], metric):
            difference = paired_difference(images.to_numpy(), reference.to_numpy())
    return Summary(float(values.mean()), estimate.low, estimate.high, seed_sd, difference, len(values), n_images, None)


FREE = {"inference", "noise_seed", "over_set"}
"""Settings in which scores that are compared may differ: what a grid asks about, what a seed decides, a result."""


def _alike(cells: list[CellRecord], metric: str) -> bool:
    """Whether the score was made in the same way, of images of the same size, in all ``cells``."""
    settings = [cell.scores[metric].get("settings") or {} for cell in cells]
    made = [{key: value for key, value in own.items() if key not in FREE} for own in settings]
    return all(own == made[0] for own in made)


def _mean_over_seeds(cells: list[CellRecord], metric: str) -> pd.Series | None:
    """The score of each test image, averaged over seeds; None where the images are not the same or there are none."""
    columns = [cell.per_image[metric] for cell in cells if metric in cell.per_image]
    if not columns or len(columns) < len(cells) or not _alike(cells, metric):
        return None
    if any(not column.index.equals(columns[0].index) for column in columns):
        return None
    mean = pd.concat(columns, axis=1).mean(axis=1)
    return mean if np.isfinite(mean).all() else None


def wide(study: StudyRecord) -> pd.DataFrame:
    """A row a variant, full precision: every score with its interval, spread over seeds, difference; and the cost."""
    rows = []
    for variant in study.variants:
        cells = study.of(variant)
        row: dict[str, Any] = {"variant": variant, "n_seeds": len(cells)}
        for metric in study.metrics:
            s = summarise(study, variant, metric)
            d = s.difference
            row |= {
                metric: s.value,
                f"{metric}_low": s.low,
                f"{metric}_high": s.high,
                f"{metric}_seed_sd": s.seed_sd,
                f"{metric}_diff": d.value if d else None,
                f"{metric}_diff_low": d.low if d else None,
                f"{metric}_diff_high": d.high if d else None,
                f"{metric}_n": s.n_images or None,
            }
        row |= _cost(cells)
        row["state"] = _states(study, variant)
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


def _cost(cells: list[CellRecord]) -> dict[str, Any]:
    trainings = [cell.status["training"] for cell in cells if isinstance(cell.status.get("training"), dict)]
    if not trainings:
        return {"generator_parameters": None, "training_seconds": None, "peak_memory_bytes": None}
    return {
        "generator_parameters": trainings[0].get("generator_parameters"),
        "training_seconds": float(np.mean([t.get("seconds", math.nan) for t in trainings])),
        "peak_memory_bytes": max(t.get("peak_memory_bytes", 0) for t in trainings),
    }


def _states(study: StudyRecord, variant: str) -> str:
    cells = [cell for cell in study.cells if cell.variant == variant]
    bad = [f"seed {cell.seed} {cell.state}" for cell in cells if cell.state != "finished"]
    return "; ".join(bad) or "finished"


def printed(study: StudyRecord) -> pd.DataFrame:
    """The table as people read it: a row a variant, ``value [low, high]`` per score, a mark where it differs."""
    rows = []
    for variant in study.variants:
        name = f"{variant} (baseline)" if variant == study.about["baseline"] else variant
        row = {"variant": name}
        for metric in study.metrics:
            row[study.metric(metric).heading] = cell_text(summarise(study, variant, metric))
        cost = _cost(study.of(variant))
        row["training"] = "" if cost["training_seconds"] is None else duration(cost["training_seconds"])
        rows.append(row)
    return pd.DataFrame(rows)


def cell_text(summary: Summary) -> str:
    if summary.value is None:
        return "not measured" if summary.reason != "no finished cell" else "no result"
    mark = "*" if summary.differs else ""
    if summary.low is None or summary.high is None:
        spread = "" if summary.seed_sd is None else f" ± {summary.seed_sd:.2g}"
        return f"{summary.value:.4g}{spread}"
    digits = decimals(summary.high - summary.low)
    spread = "" if summary.seed_sd is None else f" ± {summary.seed_sd:.{digits + 1}f}"
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


def notes(study: StudyRecord) -> list[str]:
    """What a reader must know to read the table rightly."""
    found = []
    counts = {variant: len(study.of(variant)) for variant in study.variants}
    intervals = "Brackets: 95 % Student t interval over test images of the seeds' mean."
    found.append(intervals)
    if max(counts.values(), default=0) > 1:
        found.append(
            "±: standard deviation over seeds. Brackets and * are over images alone: they leave the seeds' spread out."
        )
    if len({n for n in counts.values() if n}) > 1:
        found.append(f"Unequal numbers of seeds: {', '.join(f'{v} {n}' for v, n in counts.items())}.")
    if 1 in counts.values():
        found.append("One seed: training variance is not assessed; another seed may order the variants otherwise.")
    found.append(
        "*: the paired difference to the baseline, over the same test images, has a 95 % interval without zero "
        "(not corrected for the number of variants)."
    )
    found += [note for metric in study.metrics if (note := _over_set(study, metric))]
    for metric in study.metrics:
        cells = [c for c in study.cells if c.scores.get(metric, {}).get("state") == "measured"]
        if cells and not _alike(cells, metric):
            label = study.metric(metric).label
            found.append(f"{label} was made in different ways or of images of different sizes, and is not compared.")
    reasons: dict[str, list[str]] = {}
    for metric in study.metrics:
        for cell in study.cells:
            score = cell.scores.get(metric, {})
            if score.get("state") == "not measured" and score.get("reason"):
                names = reasons.setdefault(score["reason"], [])
                label = study.metric(metric).label
                names += [] if label in names else [label]
            for note in score.get("notes", []):
                found += [] if note in found else [note]
    found += [f"{', '.join(names)} not measured: {reason}." for reason, names in reasons.items()]
    return found


def _over_set(study: StudyRecord, metric: str) -> str | None:
    """The score over all test images together, where it has one beside the mean over images."""
    values = {}
    for variant in study.variants:
        settings = [cell.scores[metric]["settings"] for cell in study.of(variant) if metric in cell.scores]
        whole = [s["over_set"] for s in settings if isinstance(s, dict) and s.get("over_set") is not None]
        if whole:
            values[variant] = float(np.mean(whole))
    if not values:
        return None
    listed = ", ".join(f"{variant} {value:.3f}" for variant, value in values.items())
    return f"{study.metric(metric).label} over all test images together, as pix2pix's Figure 7 has it: {listed}."


def to_markdown(study: StudyRecord) -> str:
    """The printed table, the paper's rows apart from it, and the notes, as Markdown."""
    parts = [f"# {study.about['question']}\n", _markdown_table(printed(study))]
    parts += ["\n" + "\n".join(f"- {note}" for note in notes(study))]
    paper = published(study)
    if paper is not None:
        table = TABLES[study.about["paper"]]
        parts += [f"\n## The paper's rows: {table.title}\n", _markdown_table(paper), f"\n{paper_note(study)}"]
    return "\n".join(parts) + "\n"


def paper_note(study: StudyRecord) -> str:
    table = TABLES[study.about["paper"]]
    return f"{table.source}. Other scores or other data: read the order of the rows, not their distance to ours."


def _markdown_table(frame: pd.DataFrame) -> str:
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


def to_latex(study: StudyRecord) -> str:
    """The printed table and the paper's rows as LaTeX tables (booktabs)."""
    parts = [
        "% \\usepackage{booktabs}",
        _latex_table(printed(study), str(study.about["question"]), " ".join(notes(study))),
    ]
    paper = published(study)
    if paper is not None:
        parts.append(_latex_table(paper, TABLES[study.about["paper"]].title, paper_note(study)))
    return "\n".join(parts) + "\n"


def _latex_table(frame: pd.DataFrame, caption: str, note: str) -> str:
    lines = [" & ".join(map(latex_escape, frame.columns)) + r" \\", r"\midrule"]
    lines += [" & ".join(map(latex_escape, row)) + r" \\" for row in frame.astype(str).to_numpy().tolist()]
    body = "\n".join(lines)
    return (
        "\\begin{table}\n\\centering\n"
        f"\\caption{{{latex_escape(caption)} {latex_escape(note)}}}\n"
        f"\\begin{{tabular}}{{l{'r' * (frame.shape[1] - 1)}}}\n\\toprule\n{body}\n\\bottomrule\n"
        "\\end{tabular}\n\\end{table}\n"
    )


def latex_escape(text: object) -> str:
    """``text`` with LaTeX's special characters made harmless."""
    replacements = {
        "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "±": r"$\pm$",
        "λ": r"$\lambda$", "→": r"$\rightarrow$", "<": r"\textless{}", ">": r"\textgreater{}",
    }  # fmt: skip
    return "".join(replacements.get(character, character) for character in str(text))
