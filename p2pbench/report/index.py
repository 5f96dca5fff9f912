"""Several studies on one page: where a variant stands in several, its rows are side by side and never merged."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from p2pbench.report import html
from p2pbench.report.page import Report
from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import cell_text, summarise
from p2pbench.report.training_cost import printed_cost
from p2pbench.report.verdict import answer
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
            "sentences": answer(report.record),
            "finished": f"{report.n_finished} of {report.n_cells}",
        }
        for report in reports
    ]
    tables = compare_studies([report.record for report in reports])
    write_text(path, html.render(html.TEMPLATES / "index.html", studies=studies, tables=tables, unreadable=unreadable))
    return path


def compare_studies(studies: Sequence[StudyRecord]) -> list[tuple[str, pd.DataFrame]]:
    """A table for each variant that was trained in several studies or on several machines, a row for each of them.

    Variants are the same where their factors and levels are.
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
    study = replace(
        whole, cells=[c for c in whole.of(variant) if c.machine == machine], summaries={}, comparisons={}, best={}
    )
    return {
        "study": study.about.name,
        "protocol": str(study.about.protocol.get("name", "")),
        "machine": machine or "not recorded",
        "seeds": str(len(study.cells)),
        **{study.metric(m).heading: cell_text(summarise(study, variant, m)) for m in study.metrics},
        **printed_cost(study, variant),
    }
