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
from p2pbench.report.references import FLOOR, Reference, floor_of, reference_notes
from p2pbench.statistics import Comparison, compare, crossed_interval, holm, image_interval, seed_spread


@dataclass(frozen=True)
class Summary:
    """One score of one variant, over its seeds and test images."""

    value: float | None
    low: float | None
    """Ends of the 95 % interval: over trainings and images from three seeds on, over images below."""
    high: float | None
    method: str | None
    """What interval it is: ``crossed`` over trainings and images; ``t`` or ``BCa`` over images."""
    seed_sd: float | None
    """Standard deviation over seeds; None with one seed: then training variance is not assessed."""
    comparison: Comparison | None
    """With the baseline, over the same test images; None for the baseline itself and for scores of whole sets."""
    p_holm: float | None
    """The comparison's p-value, corrected for the number of variants that the score is compared of (Holm)."""
    n_seeds: int
    n_images: int
    reason: str | None

    @property
    def differs(self) -> bool:
        """Whether these trainings differ from the baseline's beyond the chance of the test images."""
        return self.p_holm is not None and self.p_holm <= ALPHA


ALPHA = 0.05


def summarise(study: StudyRecord, variant: str, metric: str) -> Summary:
    """The score ``metric`` of ``variant``: its mean over seeds and images, with interval, and against the baseline."""
    if (variant, metric) not in study.summaries:
        study.summaries[variant, metric] = _summarise(study, variant, metric)
    summary: Summary = study.summaries[variant, metric]
    return summary


def _summarise(study: StudyRecord, variant: str, metric: str) -> Summary:
    cells = measured(study, variant, metric)
    if not cells:
        reasons = [cell.scores[metric].get("reason") for cell in study.of(variant) if metric in cell.scores]
        reason = reasons[0] if reasons else "no finished cell"
        return Summary(None, None, None, None, None, None, None, 0, 0, reason)
    values = np.array([cell.scores[metric]["value"] for cell in cells], dtype=float)
    seed_sd, n_images = seed_spread(values).sd, int(cells[0].scores[metric]["n"])
    matrix = by_seed_and_image(cells, metric)
    if matrix is None or matrix.shape[1] < 2:
        # A score of the whole set: its own interval, over the images that one training was scored on.
        alone = cells[0].scores[metric] if len(cells) == 1 else {"low": None, "high": None}
        method = (alone.get("settings") or {}).get("interval")
        return Summary(
            float(values.mean()), alone["low"], alone["high"], method, seed_sd, None, None, len(values), n_images, None
        )
    crossed = crossed_interval(matrix.to_numpy())
    over_images, method = image_interval(matrix.mean(axis=0).to_numpy())
    low, high, how = (over_images.low, over_images.high, str(method))
    if crossed.low is not None:
        low, high, how = crossed.low, crossed.high, "crossed"
    comparison, p_holm = comparisons(study, metric).get(variant, (None, None))
    return Summary(float(values.mean()), low, high, how, seed_sd, comparison, p_holm, len(values), n_images, None)


def comparisons(study: StudyRecord, metric: str) -> dict[str, tuple[Comparison, float]]:
    """Every variant that can be compared with the baseline, and its p-value corrected for their number (Holm)."""
    if metric not in study.compared:
        baseline = str(study.about["baseline"])
        others = measured(study, baseline, metric)
        reference = by_seed_and_image(others, metric)
        found = {}
        for variant in study.variants if reference is not None else []:
            cells = measured(study, variant, metric)
            matrix = by_seed_and_image(cells, metric)
            if variant == baseline or matrix is None or reference is None or len(matrix.columns) < 2:
                continue
            if matrix.columns.equals(reference.columns) and _alike([*cells, *others], metric):
                ours, theirs = (frame.mean(axis=0).to_numpy() for frame in (matrix, reference))
                found[variant] = compare(ours, theirs, study.metric(metric).better)
        adjusted = holm([comparison.p for comparison in found.values()]).tolist()
        study.compared[metric] = {v: (c, p) for (v, c), p in zip(found.items(), adjusted, strict=True)}
    compared: dict[str, tuple[Comparison, float]] = study.compared[metric]
    return compared


def measured(study: StudyRecord, variant: str, metric: str) -> list[CellRecord]:
    return [cell for cell in study.of(variant) if cell.scores.get(metric, {}).get("state") == "measured"]


FREE = {"inference", "noise_seed", "over_set", "interval", "levels", "std_over_subsets", "per_class"}
"""Settings in which scores that are compared may differ: what a grid asks about, what a seed decides, results."""


LATER = {"split", "library", "weights_sha256", "heads_sha256"}
"""Settings that were not always recorded: where one record lacks one, it tells none apart."""


def _alike(cells: list[CellRecord], metric: str) -> bool:
    """Whether the score was made in the same way, of images of the same size, in all ``cells``."""
    settings = [dict(cell.scores[metric].get("settings") or {}) for cell in cells]
    for key in LATER:
        if any(key not in own for own in settings):
            for own in settings:
                own.pop(key, None)
    made = [{key: value for key, value in own.items() if key not in FREE} for own in settings]
    return all(own == made[0] for own in made)


def by_seed_and_image(cells: list[CellRecord], metric: str) -> pd.DataFrame | None:
    """The score of each test image, a row a seed; None where the images are not the same or there are none."""
    columns = [cell.per_image[metric] for cell in cells if metric in cell.per_image]
    if not columns or len(columns) < len(cells) or not _alike(cells, metric):
        return None
    if any(not column.index.equals(columns[0].index) for column in columns):
        return None
    matrix = pd.concat(columns, axis=1).T
    return matrix if np.isfinite(matrix.to_numpy()).all() else None


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
        row |= _cost(cells)
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


def printed_references(study: StudyRecord) -> pd.DataFrame:
    """The reference rows in the columns of :func:`printed`; no rows where there are none."""
    rows = []
    for reference in study.references:
        row = {"variant": reference.name}
        for metric in study.metrics:
            text = cell_text(_of_reference(reference, metric))
            row[study.metric(metric).heading] = text if metric in reference.scores or reference.reason else "-"
        rows.append(row | {"training": ""})
    return pd.DataFrame(rows)


def _of_reference(reference: Reference, metric: str) -> Summary:
    """A score of a reference row: one set of images, never compared."""
    score = reference.scores.get(metric, {})
    value, low, high = (score.get(key) for key in ("value", "low", "high"))
    method = score["settings"].get("interval") if low is not None else None
    n = reference.n if value is not None else 0
    return Summary(value, low, high, method, None, None, None, 1, n, score.get("reason"))


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
                floor = floor_of(study.references, metric, score["n"])
                beside = "" if floor is None else f"; the floor at this n is {floor:.4g} (row {FLOOR!r})"
                found += [] if f"{note}{beside}" in found else [f"{note}{beside}"]
    found += [f"{', '.join(names)} not measured: {reason}." for reason, names in reasons.items()]
    return found + reference_notes(study.references, study.metrics)


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
    return f"{study.metric(metric).label} over all test images together, as pix2pix has it: {listed}."


def to_markdown(study: StudyRecord) -> str:
    """The printed table, the paper's rows apart from it, and the notes, as Markdown."""
    parts = [f"# {study.about['question']}\n", markdown_table(printed(study), printed_references(study))]
    parts += ["\n" + "\n".join(f"- {note}" for note in notes(study))]
    paper = published(study)
    if paper is not None:
        table = TABLES[study.about["paper"]]
        parts += [f"\n## The paper's rows: {table.title}\n", markdown_table(paper), f"\n{paper_note(study)}"]
    return "\n".join(parts) + "\n"


def paper_note(study: StudyRecord) -> str:
    table = TABLES[study.about["paper"]]
    return f"{table.source}. Other scores or other data: read the order of the rows, not their distance to ours."


def markdown_table(frame: pd.DataFrame, apart: pd.DataFrame | None = None) -> str:
    """``frame`` as Markdown, with the rows of ``apart`` set apart below it."""
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    if apart is not None and len(apart):
        rows += [["*references*", *[""] * (frame.shape[1] - 1)], *apart.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


def to_latex(study: StudyRecord) -> str:
    """The printed table and the paper's rows as LaTeX tables (booktabs)."""
    parts = [
        "% \\usepackage{booktabs}",
        _latex_table(printed(study), str(study.about["question"]), " ".join(notes(study)), printed_references(study)),
    ]
    paper = published(study)
    if paper is not None:
        parts.append(_latex_table(paper, TABLES[study.about["paper"]].title, paper_note(study)))
    return "\n".join(parts) + "\n"


def _latex_table(frame: pd.DataFrame, caption: str, note: str, apart: pd.DataFrame | None = None) -> str:
    lines = [" & ".join(map(latex_escape, frame.columns)) + r" \\", r"\midrule"]
    lines += [" & ".join(map(latex_escape, row)) + r" \\" for row in frame.astype(str).to_numpy().tolist()]
    if apart is not None and len(apart):
        lines += [r"\midrule", *(" & ".join(map(latex_escape, row)) + r" \\" for row in apart.to_numpy().tolist())]
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
