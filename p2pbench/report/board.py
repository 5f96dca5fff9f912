"""The leaderboard: the variants of several studies in one order, as far as the tests tell them apart.

A place is a range, as in the rankings of the WMT shared tasks: from one more than the number of variants that are
better, to the number that are not worse, over other trainings and test images.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from p2pbench.config.data_section import DataConfig
from p2pbench.config.sections import TrainingConfig
from p2pbench.report.comparisons import Comparison, comparisons, standing
from p2pbench.report.markup import TEMPLATES, markdown_table
from p2pbench.report.notes import not_compared
from p2pbench.report.primary import listed, named, primary_metric, saturated_sentences
from p2pbench.report.records import CellRecord, StudyRecord, TrainingKey
from p2pbench.report.score_table import shown_metrics
from p2pbench.report.summaries import digits_of, sd_text, summarise, value_text
from p2pbench.runs.records import StudyCell
from p2pbench.system import html
from p2pbench.system.files import write_text

DATA = ("source", "direction", "condition", "crop_size", "colours", "channels", "range", "background", "train_size")
"""The settings of data that decide what the test images are, and how many are trained on: others do not compare."""
BUDGET = ("epochs", "batch_size")
"""The settings of a training that decide how many steps it has."""
NOTE = (
    "place: first and last that the tests leave open, over other trainings and test images (p below 0.05 after Holm's "
    "correction over all pairs of the board, seeds and images crossed); '-' below three seeds that have the score. ±: "
    "standard deviation over seeds. Rows of one name in several studies are one row where they are the same trainings."
)


@dataclass(eq=False)
class Row:
    """A variant, and the studies that it is of."""

    variant: str
    studies: list[str]
    cells: dict[TrainingKey, tuple[CellRecord, StudyCell]] = field(default_factory=dict)


@dataclass(frozen=True)
class Board:
    """The variants of all studies under one protocol, and who may stand where."""

    title: str
    """The protocol, and what its studies changed of it that all variants share."""
    study: StudyRecord
    """All of them as one study, whose contrasts are all pairs."""
    studies: dict[str, list[str]]
    """The names of the studies that each variant is of."""
    metric: str | None
    """The score that decides; None where none is measured."""
    places: dict[str, tuple[int, int]]
    """The first and the last place that the tests leave open; of variants of three seeds and more."""

    def sentence(self) -> str:
        """Who may be first."""
        if self.metric is None:
            return "No score is measured."
        label = self.study.metric(self.metric).label
        first = [variant for variant, (least, _) in self.places.items() if least == 1]
        if len(self.places) < 2:
            return f"By {label} there is no order yet: it takes two variants with three seeds each that have it."
        placed = len(self.places) == len(self.study.variants)
        others = "every other variant" if placed else "every other variant that has three seeds"
        if len(first) == 1 and self.places[first[0]][1] > 1:
            return f"By {label}, only {first[0]} may be first: {others} is behind some other."
        if len(first) == 1:
            return f"By {label}, {first[0]} is ahead of {others}."
        those = "" if placed else " of those that have three seeds"
        return f"By {label}, {named(first)} may be first{those}: the tests do not tell them apart from the best."

    def cautions(self) -> list[str]:
        """Sentences on the scores that decide nothing, or are not compared."""
        return [*saturated_sentences(self.study), *not_compared(self.study)]

    def table(self) -> pd.DataFrame:
        """A row a variant, the best first; those without a place last."""
        return pd.DataFrame([
            {
                "place": _range(self.places.get(variant)),
                "variant": variant,
                "seeds": str(len(self.study.of(variant))),
                **{self.study.metric(m).heading: self._text(variant, m) for m in shown_metrics(self.study)},
                "studies": ", ".join(self.studies[variant]),
            }
            for variant in self._ordered()
        ])  # fmt: skip

    def _text(self, variant: str, metric: str) -> str:
        found, digits = summarise(self.study, variant, metric), digits_of(self.study, metric)
        if found.value is None:
            return value_text(found, digits)
        return " ".join(filter(None, [value_text(found, digits), sd_text(found, digits)]))

    def _ordered(self) -> list[str]:
        if self.metric is None:
            return self.study.variants
        metric = self.metric
        return sorted(self.study.variants, key=lambda v: (v not in self.places, -standing(self.study, v, metric)))


def boards(studies: Iterable[StudyRecord]) -> list[Board]:
    """A board for each protocol under which any of ``studies`` has a finished cell."""
    groups: dict[tuple[str, str], list[StudyRecord]] = {}
    for study in studies:
        if any(cell.state == "finished" for cell in study.cells):
            groups.setdefault((_title(study), _content(study)), []).append(study)
    titles = Counter(title for title, _ in groups)
    return [
        _board(title if titles[title] == 1 else f"{title}, data {content[:8] or 'not recorded'}", group)
        for (title, content), group in sorted(groups.items())
    ]


def to_markdown(found: Sequence[Board]) -> str:
    parts = ["# Leaderboard\n"]
    for board in found:
        parts += [f"## {board.title}\n", board.sentence(), *board.cautions(), ""]
        parts += [markdown_table(board.table()), ""]
    return "\n".join([*parts, NOTE]) + "\n"


def write_boards(found: Sequence[Board], folder: Path) -> list[Path]:
    """Write ``board.md`` and ``board.html`` into ``folder``."""
    pages = [{"title": b.title, "sentence": b.sentence(), "cautions": b.cautions(), "table": b.table()} for b in found]
    files = [folder / "board.md", folder / "board.html"]
    write_text(files[0], to_markdown(found))
    write_text(files[1], html.render(TEMPLATES / "board.html", boards=pages, note=NOTE))
    return files


def to_json(found: Sequence[Board]) -> list[dict[str, Any]]:
    return [
        {
            "protocol": board.title, "primary": board.metric, "answer": board.sentence(),
            "places": [
                {"variant": v, "studies": board.studies[v], "first": low, "last": high}
                for v, (low, high) in board.places.items()
            ],
        }
        for board in found
    ]  # fmt: skip


def _title(study: StudyRecord) -> str:
    """The protocol of a study, and where any of its cells has other test images or another budget than that, these."""
    protocol = study.about.protocol
    usual = {f"data.{name}": DataConfig.model_fields[name].default for name in DATA}
    usual |= {f"training.{name}": TrainingConfig.model_fields[name].default for name in BUDGET}
    changed = []
    for key, default in usual.items():
        section, name = key.split(".")
        fixed = _plain(protocol.get("settings", {}).get(key, default))
        own = [_plain(cell.config.get(section, {}).get(name, fixed)) for cell in study.about.cells]
        if any(value != fixed for value in own):
            values = sorted({str(value) for value in own}, key=lambda value: (len(value), value))
            changed.append(f"{name}={listed(values)}")
    return ", ".join([str(protocol.get("name", "no protocol")), *changed])


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _content(study: StudyRecord) -> str:
    """The hash of the content of a study's data; empty where no run recorded it."""
    return next((cell.status.data_key for cell in study.cells if cell.status and cell.status.data_key), "")


def _board(title: str, studies: Sequence[StudyRecord]) -> Board:
    rows = _rows(studies)
    about = studies[0].about.model_copy(
        update={
            "name": title,
            "baseline": rows[0].variant,
            "contrasts": [list(pair) for pair in combinations([row.variant for row in rows], 2)],
            "margins": {metric: margin for study in studies for metric, margin in study.about.margins.items()},
            "primary": next((study.primary for study in studies if study.primary), []),
            "cells": [
                cell.model_copy(update={"variant": row.variant, "made_elsewhere": False})
                for row in rows
                for _, cell in row.cells.values()
            ],
        }
    )
    cells = [replace(cell, variant=row.variant) for row in rows for cell, _ in row.cells.values()]
    references = next((study.references for study in studies if study.references), [])
    whole = StudyRecord(about, cells, references)
    metric = primary_metric(whole)
    places = {} if metric is None else _places(whole.variants, comparisons(whole, metric))
    return Board(title, whole, {row.variant: row.studies for row in rows}, metric, places)


def _rows(studies: Sequence[StudyRecord]) -> list[Row]:
    """The variants with a finished cell; those that share a training are one, under the name it had first.

    Of a seed that was trained twice the first training counts: a seed is one training in every comparison.
    """
    rows: list[Row] = []
    for study in studies:
        for variant in study.variants:
            own = {
                cell.training_key: (cell, recorded)
                for cell, recorded in zip(study.cells, study.about.cells, strict=True)
                if cell.variant == variant and cell.state == "finished"
            }
            if not own:
                continue
            alike = [row for row in rows if row.cells.keys() & own.keys()] or [Row(variant, [])]
            joined = alike[0]
            for row in (*alike[1:], Row(variant, [study.about.name], own)):  # this one may show two to be one recipe
                joined.cells = row.cells | joined.cells
                joined.studies += [name for name in row.studies if name not in joined.studies]
            rows = [row for row in rows if row not in alike[1:]]
            rows += [] if joined in rows else [joined]
    for row in rows:
        first: dict[int, TrainingKey] = {}
        for key, (cell, _) in row.cells.items():
            first.setdefault(cell.seed, key)
        row.cells = {key: row.cells[key] for key in first.values()}
    for row in rows:  # one name for two recipes: the study tells them apart
        same = [other for other in rows if other.variant == row.variant]
        if len(same) > 1:
            for other in same:
                other.variant = f"{other.variant} ({listed(other.studies)})"
    return rows


def _places(variants: Sequence[str], pairs: Sequence[Comparison]) -> dict[str, tuple[int, int]]:
    """The places that are open to each variant that was compared over other trainings."""
    tested = [pair for pair in pairs if pair.p is not None]
    ranked = [v for v in variants if any(v in (pair.variant, pair.against) for pair in tested)]
    above, below = dict.fromkeys(ranked, 0), dict.fromkeys(ranked, 0)
    for pair in tested:
        if pair.differs:
            first, second = (pair.variant, pair.against) if pair.better else (pair.against, pair.variant)
            above[second] += 1
            below[first] += 1
    return {variant: (1 + above[variant], len(ranked) - below[variant]) for variant in ranked}


def _range(place: tuple[int, int] | None) -> str:
    if place is None:
        return "-"
    first, last = place
    return str(first) if first == last else f"{first}–{last}"
