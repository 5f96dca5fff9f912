"""The report of a study: its tables, figures, sheets and one self-contained HTML page."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from p2pbench.report import html
from p2pbench.report.effects import (  # fmt: skip
    effects_markdown,
    effects_notes,
    effects_sentences,
    effects_table,
    printed_effects,
)
from p2pbench.report.notes import notes
from p2pbench.report.records import StudyRecord, read_study
from p2pbench.report.samples import Choice, choose, viewer
from p2pbench.report.tables import (  # fmt: skip
    long,
    printed,
    printed_references,
    published_note,
    published_rows,
    published_table,
    to_latex,
    to_markdown,
    wide,
)
from p2pbench.report.verdict import by_score, two_sentences
from p2pbench.runs.store import Store
from p2pbench.system.files import write_text

TEMPLATES = Path(__file__).parent / "templates"
MOST_LISTED = 200
"""Cells without a result that the page lists; it says how many more there are."""


@dataclass(frozen=True)
class Report:
    study: str
    folder: Path
    files: list[Path]
    n_finished: int
    n_cells: int
    record: StudyRecord


def write_report(store: Store, name: str, out: Path) -> Report:
    """Write the report of study ``name`` to ``out / name``; the same records give the same bytes.

    Raises:
        ConfigError: there is no such study, or its file cannot be read.
        StorageError: the report cannot be written.
    """
    from p2pbench.report.figures.all import write_figures
    from p2pbench.report.figures.sheets import write_sheets

    study = read_study(store, name)
    folder = out / name
    texts = {
        "scores.csv": wide(study).to_csv(index=False),
        "scores_long.csv": long(study).to_csv(index=False),
        "scores.md": to_markdown(study),
        "scores.tex": to_latex(study),
    }
    effects = effects_table(study)
    if len(effects):
        texts |= {"effects.csv": effects.to_csv(index=False), "effects.md": effects_markdown(study, effects)}
    for file, text in texts.items():
        write_text(folder / file, text)
    figures = write_figures(study, folder)
    choice = choose(study)
    sheets = write_sheets(study, choice, folder)
    write_text(folder / "index.html", render(study, figures, sheets, choice, effects))
    vectors = [path.with_suffix(".svg") for path in figures.values()]
    files = [folder / "index.html", *(folder / f for f in texts), *figures.values(), *vectors, *sheets.values()]
    return Report(name, folder, files, sum(c.state == "finished" for c in study.cells), len(study.cells), study)


def render(
    study: StudyRecord, figures: dict[str, Path], sheets: dict[str, Path], choice: Choice | None, effects: pd.DataFrame
) -> str:
    """The page as one HTML text that needs nothing beside it."""
    from p2pbench.report.figures.all import CAPTIONS

    published = published_table(study)
    unfinished = [cell for cell in study.cells if cell.state != "finished"]
    return html.render(
        TEMPLATES / "study.html",
        about=study.about,
        sentences=two_sentences(study),
        table=printed(study),
        references=printed_references(study),
        notes=notes(study),
        answer=by_score(study),
        effects=printed_effects(study, effects),
        effects_shown=effects_sentences(study, effects),
        effects_notes=effects_notes(effects) if len(effects) else [],
        published=published,
        published_rows=published_rows(published) if published else None,
        published_note=published_note(published) if published else "",
        figures={name: html.data_url(path.with_suffix(".svg")) for name, path in figures.items()},
        captions=CAPTIONS,
        redraws=html.data_url(sheets["redraws"]) if "redraws" in sheets else None,
        viewer=viewer(study, choice),
        rule=choice.rule if choice else "",
        unfinished=unfinished[:MOST_LISTED],
        n_unfinished=len(unfinished),
        missing=missing_scores(study),
        machines=_machines(study),
        command=f"{study.about.command}\np2pbench report --study {shlex.quote(study.about.name)}",
        settings=_settings(study),
    )


def missing_scores(study: StudyRecord) -> list[tuple[str, str, str]]:
    """Of finished cells the scores that were not measured: variants, score, reason; a line for each reason."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for cell in study.cells:
        for metric in study.metrics if cell.state == "finished" else ():
            score = cell.scores.get(metric)
            if score is None or score.value is None:
                reason = str(score.reason) if score else "the run was not asked for it; run ablate again"
                found.setdefault((study.metric(metric).label, reason), {})[cell.variant] = None
    every = len(study.variants)
    return [
        ("every variant" if len(variants) == every else ", ".join(variants), label, reason)
        for (label, reason), variants in found.items()
    ]


def _settings(study: StudyRecord) -> list[tuple[str, str]]:
    """Every setting of the cells with its value, or its few values."""
    values: dict[str, dict[str, None]] = {}
    for cell in study.cells:
        for section, settings in cell.config.items():
            for key, value in settings.items():
                values.setdefault(f"{section}.{key}", {})[str(value)] = None
    return [(key, " · ".join(found) if len(found) <= 8 else f"{len(found)} values") for key, found in values.items()]


def _machines(study: StudyRecord) -> list[dict[str, Any]]:
    """Each machine and set of versions that cells ran on, once."""
    found: list[dict[str, Any]] = []
    for cell in study.cells:
        status = cell.status
        if status and status.machine and status.versions and status.threads:
            about = {"machine": status.machine.to_json(), "versions": status.versions, "threads": status.threads}
            found += [] if about in found else [about]
    return found
