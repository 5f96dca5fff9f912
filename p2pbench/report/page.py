"""The report of a study: its tables, figures and one self-contained HTML page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from p2pbench import html
from p2pbench.files import write_text
from p2pbench.report.effects import (  # fmt: skip
    effects_markdown,
    effects_notes,
    effects_sentences,
    effects_table,
    printed_effects,
)
from p2pbench.report.paper import TABLES
from p2pbench.report.records import StudyRecord, read_study
from p2pbench.report.tables import (  # fmt: skip
    long,
    notes,
    paper_note,
    printed,
    printed_references,
    published,
    summarise,
    to_latex,
    to_markdown,
    wide,
)
from p2pbench.study.store import Store


@dataclass(frozen=True)
class Report:
    study: str
    folder: Path
    files: list[Path]
    n_finished: int
    n_cells: int


def write_report(store: Store, name: str, out: Path) -> Report:
    """Write the report of study ``name`` to ``out / name``; the same records give the same bytes.

    Raises:
        ConfigError: there is no such study, or its file cannot be read.
        StorageError: the report cannot be written.
    """
    from p2pbench.report.figures import write_figures

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
    write_text(folder / "index.html", render(study, figures, effects))
    files = [folder / "index.html", *(folder / file for file in texts), *figures.values()]
    return Report(name, folder, files, sum(c.state == "finished" for c in study.cells), len(study.cells))


def render(study: StudyRecord, figures: dict[str, Path], effects: pd.DataFrame) -> str:
    """The page as one HTML text that needs nothing beside it."""
    paper = published(study)
    return html.render(
        Path(__file__).parent / "templates" / "study.html",
        about=study.about,
        table=printed(study),
        references=printed_references(study),
        notes=notes(study),
        answer=answer(study),
        effects=printed_effects(study, effects),
        effects_shown=effects_sentences(study, effects),
        effects_notes=effects_notes(effects) if len(effects) else [],
        paper=paper,
        paper_title="" if paper is None else TABLES[study.about["paper"]].title,
        paper_note="" if paper is None else paper_note(study),
        figures={name: html.data_url(path) for name, path in figures.items()},
        unfinished=[cell for cell in study.cells if cell.state != "finished"],
        machines=_machines(study),
    )


def answer(study: StudyRecord) -> list[str]:
    """A sentence a score, for those that can be compared: which variants differ from the baseline, and which way."""
    baseline = str(study.about["baseline"])
    sentences = []
    for metric in study.metrics:
        summaries = {v: summarise(study, v, metric) for v in study.variants if v != baseline}
        compared = {v: s for v, s in summaries.items() if s.comparison is not None}
        if not compared:
            continue
        about = study.metric(metric)
        below, above = {"lower": ("better", "worse"), "higher": ("worse", "better")}.get(
            about.better, ("lower", "higher")
        )
        lower = [v for v, s in compared.items() if s.differs and s.comparison.difference.value < 0]  # type: ignore[union-attr]
        higher = [v for v, s in compared.items() if s.differs and v not in lower]
        same = [v for v in compared if v not in lower and v not in higher]
        groups = {below: lower, above: higher, "no difference shown": same}
        order = sorted(groups, key=["better", "lower", "higher", "worse", "no difference shown"].index)
        parts = [f"{word}: {', '.join(groups[word])}" for word in order if groups[word]]
        sentences.append(f"{about.label} against {baseline}: {'; '.join(parts)}.")
    return sentences


def _machines(study: StudyRecord) -> list[dict[str, Any]]:
    """Each machine and set of versions that cells ran on, once."""
    found: list[dict[str, Any]] = []
    for cell in study.cells:
        about: dict[str, Any] = {
            key: cell.status[key] for key in ("machine", "versions", "threads") if key in cell.status
        }
        if {"machine", "versions", "threads"} <= about.keys() and about not in found:
            found.append(about)
    return found
