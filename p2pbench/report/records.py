"""The records of a study, as far as they can be read: what reports are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from p2pbench.report.references import Reference, read_references
from p2pbench.scoring.metrics import METRICS, Metric
from p2pbench.study.store import RunFolder, Store


@dataclass(frozen=True)
class CellRecord:
    """What one cell left, as far as it can be read."""

    variant: str
    seed: int
    run: RunFolder
    state: str
    """``finished``, ``failed``, ``interrupted``, ``running`` or ``not run``."""
    reason: str | None
    status: dict[str, Any]
    scores: dict[str, dict[str, Any]]
    per_image: pd.DataFrame
    """Indexed by the image's name, a column a score; empty where there is none."""
    losses: pd.DataFrame


@dataclass(frozen=True)
class StudyRecord:
    """A study and the records of its cells."""

    about: dict[str, Any]
    cells: list[CellRecord]
    references: list[Reference] = field(default_factory=list)
    compared: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """Comparisons with the baseline, by score: made once, for they are tests of permutations."""
    summaries: dict[tuple[str, str], Any] = field(default_factory=dict, compare=False, repr=False)
    """Summaries by variant and score: made once, for every table and figure asks for them, and some are bootstraps."""

    @property
    def variants(self) -> list[str]:
        return list(dict.fromkeys(cell.variant for cell in self.cells))

    @property
    def metrics(self) -> list[str]:
        """The scores that the study asked for and any cell has, measured or not, in the order of ``METRICS``.

        A run may have more: it is shared with studies that ask for others.
        """
        asked = {
            name
            for cell in self.about["cells"]
            for key in ("metrics", "also")
            for name in cell["config"].get("scoring", {}).get(key, ())
        }
        present = dict.fromkeys(name for cell in self.cells for name in cell.scores if name in asked)
        return [*(name for name in METRICS if name in present), *(name for name in present if name not in METRICS)]

    def metric(self, name: str) -> Metric:
        """What the score ``name`` is; one of the user's own as it was recorded where it was measured."""
        if name in METRICS:
            return METRICS[name]
        found = [cell.scores[name] for cell in self.cells if name in cell.scores]
        score = next((score for score in found if score["state"] == "measured"), found[0])
        label = name.partition(":")[2]
        alone = sum(other.partition(":")[2] == label for other in self.metrics) == 1
        return Metric(label if alone else name, str(score["unit"]), score["better"])

    def of(self, variant: str) -> list[CellRecord]:
        """The finished cells of a variant, a seed each."""
        return [cell for cell in self.cells if cell.variant == variant and cell.state == "finished"]


def read_study(store: Store, name: str) -> StudyRecord:
    """The study ``name`` and what its cells left. A record that is missing or damaged is a cell without scores."""
    about = store.read_study(name)
    return StudyRecord(
        about,
        [
            _read_cell(store.run(cell["run_id"], cell["config"]["scoring"]["inference"]), cell)
            for cell in about["cells"]
        ],
        read_references(store, about),
    )


def _read_cell(run: RunFolder, cell: Mapping[str, Any]) -> CellRecord:
    status = run.status()
    state, reason = str(status.get("state", "not run")), status.get("reason")
    scores = run.scores()
    if state == "finished" and not scores:
        state, reason = "failed", f"{run.scores_file} is missing or damaged; run ablate again to score it"
    per_image = _read_csv(run.per_image_file, dtype={"image": str})
    if "image" in per_image:
        per_image = per_image.set_index("image")
    return CellRecord(
        cell["variant"], cell["seed"], run, state, reason, status, scores, per_image, _read_csv(run.losses_file)
    )


def _read_csv(path: Any, **options: Any) -> pd.DataFrame:
    try:
        frame: pd.DataFrame = pd.read_csv(path, **options)
        return frame
    except (OSError, ValueError):  # pandas' own errors are ValueErrors
        return pd.DataFrame()
