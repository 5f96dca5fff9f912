"""The score table of the page: the primary score first, a column a score that any variant has."""

from dataclasses import dataclass

from p2pbench.config.metrics import ARROWS
from p2pbench.report.comparisons import best, with_baseline
from p2pbench.report.primary import primary_metric
from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import (
    Summary,
    digits_of,
    interval_text,
    measured,
    reference_summary,
    sd_text,
    summarise,
    value_text,
)


@dataclass(frozen=True)
class Column:
    label: str
    arrow: str
    unit: str
    primary: bool


@dataclass(frozen=True)
class Cell:
    """A score of a row, as texts; empty where there is nothing to say."""

    text: str
    value: float | None = None
    sd: str = ""
    interval: str = ""
    mark: str = ""
    best: bool = False


@dataclass(frozen=True)
class Row:
    name: str
    cells: list[Cell]
    baseline: bool = False
    seeds: str = ""
    """How many trainings it stands on: ``3``, or ``2 of 3``."""
    lacking: str = ""
    """Which of its trainings have no result."""


@dataclass(frozen=True)
class ScoreTable:
    columns: list[Column]
    rows: list[Row]
    references: list[Row]


def score_table(study: StudyRecord) -> ScoreTable:
    """The table of ``study``: rows in the grid's order, then the reference rows."""
    shown = shown_metrics(study)
    primary = primary_metric(study)
    abouts = [study.metric(m) for m in shown]
    columns = [
        Column(about.label, ARROWS[about.better], about.unit, metric == primary)
        for metric, about in zip(shown, abouts, strict=True)
    ]
    rows = []
    for variant in study.chosen_variants:
        cells = [cell for cell in study.cells if cell.variant == variant]
        without = [cell for cell in cells if cell.state != "finished"]
        n = len(cells) - len(without)
        rows.append(
            Row(
                variant,
                [_cell(study, variant, metric) for metric in shown],
                variant == study.baseline,
                f"{n} of {len(cells)}" if without else str(n),
                ", ".join(f"seed {cell.seed} {cell.state}" for cell in without),
            )
        )
    references = []
    for row in study.chosen_references:
        summaries = [reference_summary(row, metric) for metric in shown]
        digits = [digits_of(study, metric) for metric in shown]
        absent = ["not measured" if row.reason else "–"] * len(shown)
        references.append(
            Row(row.name, [_of_summary(s, d, a) for s, d, a in zip(summaries, digits, absent, strict=True)])
        )
    return ScoreTable(columns, rows, references)


def shown_metrics(study: StudyRecord) -> list[str]:
    """The scores that any variant has, the primary one first; of chosen ones in the order of the choice."""
    primary = primary_metric(study)
    having = [m for m in study.chosen_metrics if any(measured(study, v, m) for v in study.variants)]
    return having if study.chosen.metrics else sorted(having, key=lambda metric: metric != primary)


def _cell(study: StudyRecord, variant: str, metric: str) -> Cell:
    compared = with_baseline(study, variant, metric)
    mark = compared.mark if compared else ""
    return _of_summary(
        summarise(study, variant, metric), digits_of(study, metric), "–", mark, variant == best(study, metric)
    )


def _of_summary(summary: Summary, digits: int, absent: str, mark: str = "", is_best: bool = False) -> Cell:
    if summary.value is None:
        return Cell(absent)
    value, sd, interval = (write(summary, digits) for write in (value_text, sd_text, interval_text))
    return Cell(value, summary.value, sd, interval, mark, is_best)
