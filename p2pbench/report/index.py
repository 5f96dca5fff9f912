"""Several studies on one page: where a variant stands in several, its rows are side by side and never merged."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from p2pbench.report.comparisons import standing, with_baseline
from p2pbench.report.forest import difference_text
from p2pbench.report.markup import TEMPLATES
from p2pbench.report.page import Report
from p2pbench.report.primary import primary_metric
from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import cell_text, digits_of, measured, summarise
from p2pbench.report.training_cost import printed_cost
from p2pbench.report.verdict import headline
from p2pbench.system import html
from p2pbench.system.files import write_text


def write_index(reports: Sequence[Report], unreadable: Sequence[tuple[str, str]], out: Path) -> Path:
    """Write ``out / index.html`` over ``reports``, which lie below it.

    Args:
        unreadable: the names of studies that have no report, and why.
    """
    path = out / "index.html"
    studies = [
        {
            "name": report.study,
            "link": quote(Path(os.path.relpath(report.folder, out)).as_posix()) + "/index.html",
            "about": report.record.about,
            "headline": headline(report.record),
            "finished": f"{report.n_finished} of {report.n_cells}",
        }
        for report in reports
    ]
    tables = compare_studies([report.record for report in reports])
    write_text(path, html.render(TEMPLATES / "index.html", studies=studies, tables=tables, unreadable=unreadable))
    return path


def compare_studies(studies: Sequence[StudyRecord]) -> list[tuple[str, pd.DataFrame]]:
    """A table for each variant that was trained in several studies or on several machines, a row for each of them.

    Variants are the same where their factors and levels are. Scores of other data do not compare; the variant's place
    among those of its study does, and so does its difference from the baseline.
    """
    found: dict[tuple[tuple[str, str], ...], list[tuple[StudyRecord, str, str]]] = {}
    for study in studies:
        levels = {c.variant: tuple(sorted(c.levels.items())) for c in study.about.cells}
        for variant in study.variants:
            for machine in dict.fromkeys(cell.machine for cell in study.of(variant)):
                found.setdefault(levels[variant], []).append((study, variant, machine))
    return [
        (places[0][1], pd.DataFrame([_row(*place) for place in places]).fillna(""))
        for key, places in found.items()
        if key and len(places) > 1
    ]


def _row(whole: StudyRecord, variant: str, machine: str) -> dict[str, str]:
    study = replace(whole, cells=[c for c in whole.of(variant) if c.machine == machine])
    primary = primary_metric(whole)
    having = [metric for metric in study.metrics if measured(study, variant, metric)]
    metrics = sorted(having, key=lambda metric: metric != primary)
    return {
        "study": study.about.name,
        "protocol": str(study.about.protocol.get("name", "")),
        "trainings": str(len(study.cells)),
        "place": _place(whole, variant, primary),
        f"from {whole.baseline}": _difference(whole, variant, primary),
        **{study.metric(m).heading: cell_text(summarise(study, variant, m), digits_of(study, m)) for m in metrics},
        "machine": machine or "not recorded",
        **printed_cost(study, variant),
    }


def _place(study: StudyRecord, variant: str, metric: str | None) -> str:
    """The variant's place among those of its study by the primary score: ``2 of 5 by LPIPS``."""
    gains = {v: standing(study, v, metric) for v in study.variants if metric and measured(study, v, metric)}
    if metric is None or variant not in gains:
        return ""
    place = 1 + sum(gain > gains[variant] for gain in gains.values())
    return f"{place} of {len(gains)} by {study.metric(metric).label}"


def _difference(study: StudyRecord, variant: str, metric: str | None) -> str:
    """The difference from the baseline by the primary score, with its interval and the mark of its verdict."""
    if variant == study.baseline:
        return "the baseline"
    compared = with_baseline(study, variant, metric) if metric else None
    if compared is None or compared.found is None or compared.against != study.baseline:
        return ""
    return difference_text(compared.found.value, compared.found.low, compared.found.high) + compared.mark
