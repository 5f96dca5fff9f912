"""The tables of a report: a row a variant, the tidy long form, and the published rows beside them."""

from typing import Any

import pandas as pd

from p2pbench.report.claims import NOTE, claims_table, judged_claims
from p2pbench.report.comparisons import best, with_baseline
from p2pbench.report.markup import markdown_table
from p2pbench.report.notes import missing_scores, notes
from p2pbench.report.published import order_sentences, published_note, published_rows, published_table
from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import cell_text, digits_of, reference_summary, summarise
from p2pbench.report.training_cost import COSTS, full_cost, printed_cost


def wide(study: StudyRecord) -> pd.DataFrame:
    """A row a variant, full precision: every score with its interval, spread over seeds, difference; and the cost."""
    rows = []
    for variant in study.variants:
        cells = study.of(variant)
        row: dict[str, Any] = {"variant": variant, "n_seeds": len(cells)}
        for metric in study.metrics:
            s = summarise(study, variant, metric)
            c = with_baseline(study, variant, metric)
            found = c.found if c else None
            row |= {
                metric: s.value,
                f"{metric}_low": s.low,
                f"{metric}_high": s.high,
                f"{metric}_seed_sd": s.seed_sd,
                f"{metric}_interval": s.method,
                f"{metric}_against": c.against if c else None,
                f"{metric}_verdict": c.verdict if c else None,
                f"{metric}_diff": found.value if found else None,
                f"{metric}_diff_low": found.low if found else None,
                f"{metric}_diff_high": found.high if found else None,
                f"{metric}_diff_p": c.p if c else None,
                f"{metric}_diff_p_raw": c.p_raw if c else None,
                f"{metric}_diff_p_images": c.p_images if c else None,
                f"{metric}_diff_seeds": found.n_seeds if found else None,
                f"{metric}_n": s.n_images or None,
            }
        row |= full_cost(study, variant)
        others = [cell for cell in study.cells if cell.variant == variant and cell.state != "finished"]
        row["state"] = "; ".join(f"seed {cell.seed} {cell.state}" for cell in others) or "finished"
        rows.append(row)
    for reference in study.references:
        row = {"variant": f"reference: {reference.name}", "state": "reference"}
        for metric in study.metrics:
            s = reference_summary(reference, metric)
            row |= {metric: s.value, f"{metric}_low": s.low, f"{metric}_high": s.high, f"{metric}_interval": s.method}
            row[f"{metric}_n"] = s.n_images or None
        rows.append(row)
    return pd.DataFrame(rows)


def long(study: StudyRecord) -> pd.DataFrame:
    """A row a finished cell and score: the tidy form."""
    rows = [
        {
            "variant": cell.variant,
            "seed": cell.seed,
            "run_id": cell.run.path.name,
            "metric": metric,
            **score.model_dump(include={"value", "low", "high", "n", "unit", "better", "state", "reason"}),
        }
        for cell in study.cells
        if cell.state == "finished"
        for metric, score in cell.scores.items()
    ]
    columns = ["variant", "seed", "run_id", "metric", "value", "low", "high", "n", "unit", "better", "state", "reason"]
    return pd.DataFrame(rows, columns=columns)


def printed(study: StudyRecord) -> pd.DataFrame:
    """The table as people read it: a row a variant, ``value [low, high]`` per score, a mark where it differs.

    The best of a score stands between ``**`` (:func:`p2pbench.report.comparisons.best`).
    """
    rows = []
    for variant in study.chosen_variants:
        row = {"variant": row_name(study, variant, variant)}
        for metric in study.chosen_metrics:
            compared = with_baseline(study, variant, metric)
            text = cell_text(
                summarise(study, variant, metric), digits_of(study, metric), compared.mark if compared else ""
            )
            row[study.metric(metric).heading] = f"**{text}**" if variant == best(study, metric) else text
        rows.append(row | printed_cost(study, variant))
    return pd.DataFrame(rows).fillna("")


def row_name(study: StudyRecord, variant: str, name: str) -> str:
    """The variant as ``name``, whether it is the baseline, and how many of its trainings failed."""
    cells = [cell for cell in study.cells if cell.variant == variant]
    failed = sum(cell.state == "failed" for cell in cells)
    said = ["baseline"] * (variant == study.baseline) + [f"{failed} of {len(cells)} failed"] * (failed > 0)
    return f"{name} ({', '.join(said)})" if said else name


def printed_references(study: StudyRecord) -> pd.DataFrame:
    """The reference rows in the columns of :func:`printed`; no rows where there are none."""
    rows = []
    for reference in study.chosen_references:
        row = {"variant": reference.name}
        for metric in study.chosen_metrics:
            text = cell_text(reference_summary(reference, metric), digits_of(study, metric))
            row[study.metric(metric).heading] = text if metric in reference.scores or reference.reason else "-"
        rows.append(row | dict.fromkeys(COSTS, ""))
    return pd.DataFrame(rows)


def to_markdown(study: StudyRecord) -> str:
    """The printed table, the paper's rows apart from it, and the notes, as Markdown."""
    parts = [f"# {study.about.question}\n", markdown_table(printed(study), printed_references(study))]
    missing = [f"Not measured: {labels}: {reason}." for labels, reason in missing_scores(study)]
    parts += ["\n" + "\n".join(f"- {note}" for note in [*notes(study), *missing])]
    table = published_table(study)
    if table is not None:
        body = markdown_table(published_rows(table))
        parts += [f"\n## The paper's rows: {table.title}\n", body, f"\n{published_note(table)}"]
        parts += [f"\n{sentence}" for sentence in order_sentences(study)]
    if judged := judged_claims(study):
        parts += ["\n## What papers claim, and whether it shows here\n", markdown_table(claims_table(judged))]
        parts += [f"\n{NOTE}"]
    return "\n".join(parts) + "\n"
