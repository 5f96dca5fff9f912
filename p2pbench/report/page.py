"""The report of a study: its tables, figures, sheets and one self-contained HTML page."""

import csv
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from p2pbench.errors import ConfigError
from p2pbench.report import effects, latex, published, tables
from p2pbench.report.agreement import agreement
from p2pbench.report.chosen import chosen_sentence
from p2pbench.report.claims import NOTE, claims_table, judged_claims
from p2pbench.report.curves import curve_sentences
from p2pbench.report.figures.all import IN_PAPER, files_of, write_figures
from p2pbench.report.figures.names import shortened
from p2pbench.report.figures.panels import drawn
from p2pbench.report.figures.sheets import write_sheets
from p2pbench.report.forest import forest
from p2pbench.report.markup import TEMPLATES
from p2pbench.report.methods import paper_texts
from p2pbench.report.notes import missing_scores, notes
from p2pbench.report.primary import primary_metric
from p2pbench.report.records import StudyRecord, read_study
from p2pbench.report.samples import Choice, choose, pairs_on_page
from p2pbench.report.score_table import score_table, shown_metrics
from p2pbench.report.training_cost import cost_table
from p2pbench.report.verdict import answer, by_score, counted, headline
from p2pbench.runs.store import Store
from p2pbench.system import html
from p2pbench.system.files import write_text

MOST_LISTED = 200
"""The most cells without a result that the page lists; of more it gives the number."""


@dataclass(frozen=True)
class Report:
    """A report that was written, and what it was made from."""

    study: str
    folder: Path
    files: list[Path]
    n_finished: int
    n_cells: int
    record: StudyRecord


def write_report(
    store: Store,
    name: str,
    out: Path,
    *,
    overwrite: bool = False,
    paper: bool = False,
    show: Callable[[StudyRecord], StudyRecord] = lambda study: study,
) -> Report:
    """Write the report of study ``name`` to ``out / name``; the same records give the same bytes.

    Args:
        show: what of the study is shown (:func:`p2pbench.report.chosen.choose`); the CSV files have all of it.
        overwrite: also in the place of a report of more finished cells.
        paper: with the figures of a paper, a paragraph on methods and BibTeX; they stay with a report that has them.
    Raises:
        ConfigError: there is no such study, its file cannot be read, or there is a report of more finished cells.
        StorageError: the report cannot be written.
    """
    study = show(read_study(store, name))
    folder = out / name
    paper = paper or (folder / IN_PAPER).is_dir()
    finished = [cell for cell in study.cells if cell.state == "finished"]
    if not overwrite and (before := _cells_of_report(folder)) > len(finished):
        raise ConfigError(
            f"{folder} has a report of {before} finished cells, and the study has {len(finished)} now: it stays as it "
            "is; write elsewhere with --out, or add --overwrite"
        )
    choice = choose(study)
    texts = {
        "scores.csv": tables.wide(study).to_csv(index=False),
        "scores_long.csv": tables.long(study).to_csv(index=False),
        "scores.md": tables.to_markdown(study),
        "scores.tex": latex.to_latex(study),
    }
    found = effects.effects_table(study)
    if len(found):
        texts |= {"effects.csv": found.to_csv(index=False), "effects.md": effects.effects_markdown(study, found)}
    if paper:
        texts |= {f"{IN_PAPER}/{file}": text for file, text in paper_texts(study).items()}
    for file, text in texts.items():
        write_text(folder / file, text)
    figures = write_figures(study, folder, paper=paper)
    sheets = write_sheets(study, choice, folder)
    write_text(folder / "index.html", render(study, figures, sheets, choice, found))
    drawings = [file for png in figures.values() for kind in files_of(png)[: 3 if paper else 1] for file in kind]
    files = [folder / "index.html", *(folder / f for f in texts), *drawings, *sheets.values()]
    return Report(name, folder, files, len(finished), len(study.cells), study)


def _cells_of_report(folder: Path) -> int:
    """How many finished cells the report in ``folder`` was made of; 0 where there is none."""
    try:
        with (folder / "scores_long.csv").open(newline="", encoding="utf-8") as file:
            return len({(row["variant"], row["seed"]) for row in csv.DictReader(file)})
    except (OSError, ValueError, KeyError):
        return 0


def render(
    study: StudyRecord,
    figures: dict[str, Path],
    sheets: dict[str, Path],
    choice: Choice | None,
    shown_effects: pd.DataFrame,
) -> str:
    """The page as one HTML text that needs nothing beside it."""
    paper = published.published_table(study)
    first = next(iter(shown_metrics(study)), None)
    unfinished = [cell for cell in study.cells if cell.state != "finished"]
    return html.render(
        TEMPLATES / "study.html",
        about=study.about,
        facts=_facts(study),
        headline=headline(study),
        sentences=[sentence for sentence in answer(study) if sentence != headline(study)],
        unfinished=unfinished[:MOST_LISTED],
        n_unfinished=len(unfinished),
        pairs=pairs_on_page(study, choice),
        without_pictures=choice is None and any(cell.profile.get("kept") for cell in study.cells),
        rule=choice.rule if choice else "",
        common=shortened(study.variants)[1],
        n_variants=len(study.chosen_variants),
        n_drawn=len(drawn(study)),
        first=study.metric(first) if first else None,
        is_primary=first == primary_metric(study),
        forest=forest(study, first) if first else None,
        chosen=chosen_sentence(study),
        scores=score_table(study),
        missing=missing_scores(study),
        agreement=agreement(study),
        costs=cost_table(study),
        notes=notes(study),
        by_score=by_score(study),
        effects=effects.printed_effects(study, shown_effects),
        effects_shown=effects.effects_sentences(study, shown_effects),
        effects_notes=effects.effects_notes(study, shown_effects) if len(shown_effects) else [],
        published=paper,
        published_rows=published.published_rows(paper) if paper else None,
        published_notes=[published.published_note(paper), *published.order_sentences(study)] if paper else [],
        claims=claims_table(judged) if (judged := judged_claims(study)) else None,
        claims_note=NOTE,
        while_training=curve_sentences(study),
        figures={name: html.data_url(path.with_suffix(".svg")) for name, path in figures.items()},
        redraws=html.data_url(sheets["redraws"]) if "redraws" in sheets else None,
        machines=_machines(study),
        command=f"{study.about.command}\np2pbench report --study {shlex.quote(study.about.name)}{_options(study)}",
        settings=_settings(study),
    )


def _options(study: StudyRecord) -> str:
    """The options of ``report`` that chose what is shown."""
    chosen = study.chosen
    named = {"metrics": chosen.metrics, "variants": chosen.variants, "images": chosen.images}
    options = [f" --{option} {shlex.quote(','.join(names))}" for option, names in named.items() if names is not None]
    return "".join([*options, "" if chosen.references else " --no-references"])


def _facts(study: StudyRecord) -> list[str]:
    """What a reader has to know of the study before its answer, a few words each."""
    finished = [cell for cell in study.cells if cell.state == "finished"]
    trainings = sorted({len(study.of(variant)) for variant in study.variants})
    images = sorted({score.n for cell in finished for score in cell.scores.values() if score.value is not None})
    return [
        counted([len(study.variants)], "variant"),
        f"{counted(trainings, 'training')} of each",
        *([counted(images, "test image")] if images else []),
    ]


def _settings(study: StudyRecord) -> list[tuple[str, str]]:
    """Every setting with the values that it has among the cells, or their number where they are many."""
    values: dict[str, dict[str, None]] = {}
    for cell in study.cells:
        for section, settings in cell.config.items():
            for key, value in settings.items():
                values.setdefault(f"{section}.{key}", {})[str(value)] = None
    return [(key, " · ".join(found) if len(found) <= 8 else f"{len(found)} values") for key, found in values.items()]


def _machines(study: StudyRecord) -> list[dict[str, Any]]:
    """Each machine that cells ran on, with the versions of what ran there."""
    found: list[dict[str, Any]] = []
    for cell in study.cells:
        status = cell.status
        if status and status.machine and status.versions and status.threads:
            about = {"machine": status.machine, "versions": status.versions, "threads": status.threads}
            found += [] if about in found else [about]
    return found
