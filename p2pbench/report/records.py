"""The records of a study, as far as they can be read: reports are made of these alone."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from p2pbench.config.metrics import METRICS, Metric
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.records import ReferenceRow, Score, Status, StudyCell, StudyFile, Training
from p2pbench.runs.store import Store

TrainingKey: TypeAlias = tuple[str, str, str | None]
"""The run id, the inference mode and the hash of the weights: a recipe that two machines train with one seed, or a GPU
twice, is two trainings."""


@dataclass(frozen=True)
class CellRecord:
    """What one cell left, as far as it can be read."""

    variant: str
    seed: int
    run: RunFolder
    state: str
    """``finished``, ``failed``, ``interrupted``, ``running``, ``not run``, or ``damaged``: it cannot be read."""
    reason: str | None
    status: Status | None
    scores: dict[str, Score]
    per_image: pd.DataFrame
    """A row an image, by its name, and a column a score; NaN is no number. Empty where there is none."""
    jackknife: pd.DataFrame
    """A row a unit that is left out (an image by its name, or ``group 0`` and so on), a column a score of the set: its
    pseudo-values, NaN where it has no such unit. Empty where there is none; ``runs.records.before_jackknives`` names
    the scores of a record that is older than they are."""
    config: dict[str, dict[str, Any]]
    profile: dict[str, Any]
    """What its outputs look like (:mod:`p2pbench.runs.profile`); empty where there is none."""

    @property
    def training(self) -> Training | None:
        """What the training took; None where that is not recorded."""
        return self.status.training if self.status else None

    @property
    def training_key(self) -> TrainingKey:
        return self.run.path.name, self.run.inference, self.training.generator_sha256 if self.training else None

    @cached_property
    def losses(self) -> pd.DataFrame:
        """The losses of its training: a row a reading, with its step and epoch. Empty where there are none."""
        return _read_numbers(self.run.losses_file)

    @cached_property
    def curve(self) -> pd.DataFrame:
        """Scores of validation pairs while it trained: a row a reading, with its epoch, step and seconds of training.

        Empty where there are none.
        """
        return _read_numbers(self.run.curve_file) if self.run.curve_file.is_file() else pd.DataFrame()

    @cached_property
    def machine(self) -> str:
        """The machine that trained it, in a line; empty where that is not recorded."""
        machine = self.status.machine if self.status else None
        return " · ".join(f"{key}: {value}" for key, value in (machine or {}).items())


@dataclass(frozen=True)
class Chosen:
    """What of a study a report shows. Verdicts, corrections and bold type are of the whole study all the same."""

    metrics: list[str] | None = None
    """The scores, in this order; None for all, the primary one first."""
    variants: list[str] | None = None
    """The variants, in this order; None for all, in the grid's order."""
    images: list[str] | None = None
    """The names of the test images on the sheets; None for those that the rule of the report picks."""
    references: bool = True
    """Whether reference rows are shown."""


@dataclass(frozen=True)
class StudyRecord:
    """A study and the records of its cells."""

    about: StudyFile
    cells: list[CellRecord]
    references: list[ReferenceRow] = field(default_factory=list)
    chosen: Chosen = field(default_factory=Chosen)
    # What every table and figure asks for is made once; a study that is made of this one makes its own.
    matrices: dict[tuple[str, str], Any] = field(default_factory=dict, init=False, compare=False, repr=False)
    """Values by score and variant, which all that follows is made of."""
    summaries: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)
    """Summaries by score and variant."""
    digits: dict[str, int] = field(default_factory=dict, init=False, compare=False, repr=False)
    """The decimals that a score is printed with."""
    comparisons: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)
    """The comparisons by score."""
    best: dict[str, str | None] = field(default_factory=dict, init=False, compare=False, repr=False)
    """The best variant by score, where there is one."""

    @property
    def baseline(self) -> str:
        return self.about.baseline

    @property
    def primary(self) -> list[str]:
        """The scores of which the first that can decide answers the question; empty where the grid names none."""
        return self.about.primary

    @cached_property
    def contrasts(self) -> list[tuple[str, str]]:
        """The comparisons that the question asks for, as (variant, what it is compared with)."""
        return self.about.pairs()

    def margin(self, metric: str) -> float:
        """The smallest difference of a score that matters, as the grid or ``METRICS`` has it; 0 where nobody said."""
        return self.about.margins.get(metric, self.metric(metric).margin or 0.0)

    @cached_property
    def variants(self) -> list[str]:
        return list(dict.fromkeys(cell.variant for cell in self.cells))

    @cached_property
    def runs(self) -> dict[str, set[TrainingKey]]:
        """The trainings of each variant's cells."""
        found: dict[str, set[TrainingKey]] = {variant: set() for variant in self.variants}
        for cell in self.cells:
            found[cell.variant].add(cell.training_key)
        return found

    @cached_property
    def metrics(self) -> list[str]:
        """The scores that the study asked for and any cell has, measured or not, in the order of ``METRICS``.

        A run may have more: it is shared with studies that ask for others.
        """
        asked = set(self.about.asked)
        present = dict.fromkeys(name for cell in self.cells for name in cell.scores if name in asked)
        return [*(name for name in METRICS if name in present), *(name for name in present if name not in METRICS)]

    @cached_property
    def machines(self) -> list[str]:
        """The machines that finished cells were trained on, in order; tables call the first ``A``."""
        trained = (c for c in self.cells if c.state == "finished" and not c.run.images_file.exists())
        return list(dict.fromkeys(cell.machine for cell in trained))

    @property
    def chosen_metrics(self) -> list[str]:
        """The scores that the report shows, measured or not."""
        return self.metrics if self.chosen.metrics is None else self.chosen.metrics

    @property
    def chosen_variants(self) -> list[str]:
        """The variants that the report shows."""
        return self.variants if self.chosen.variants is None else self.chosen.variants

    @property
    def chosen_references(self) -> list[ReferenceRow]:
        """The reference rows that the report shows."""
        return self.references if self.chosen.references else []

    def metric(self, name: str) -> Metric:
        """What the score ``name`` is; one of the user's own as it was recorded where it was measured."""
        if name in METRICS:
            return METRICS[name]
        found = [cell.scores[name] for cell in self.cells if name in cell.scores]
        score = next((score for score in found if score.value is not None), found[0])
        label = name.partition(":")[2]
        alone = sum(other.partition(":")[2] == label for other in self.metrics) == 1
        return Metric(label if alone else name, score.unit, score.better, least=None)

    def of(self, variant: str) -> list[CellRecord]:
        """The finished cells of a variant, a seed each."""
        return self._finished.get(variant, [])

    @cached_property
    def _finished(self) -> dict[str, list[CellRecord]]:
        found: dict[str, list[CellRecord]] = {}
        for cell in self.cells:
            if cell.state == "finished":
                found.setdefault(cell.variant, []).append(cell)
        return found


def read_study(store: Store, name: str) -> StudyRecord:
    """The study ``name`` and what its cells left. A record that is missing or damaged is a cell without scores."""
    about = store.read_study(name)
    cells = [_read_cell(store, cell) for cell in about.cells]
    return StudyRecord(about, cells, read_references(store, about))


def read_progress(store: Store, name: str) -> StudyRecord:
    """The study ``name`` with the states of its cells, whose losses and curves can be read while they train."""
    about = store.read_study(name)
    empty, cells = pd.DataFrame(), []
    for cell in about.cells:
        run = store.run(cell.run_id, cell.inference)
        status = run.status()
        state, reason = (status.state, status.reason) if status else ("not run", None)
        cells.append(CellRecord(cell.variant, cell.seed, run, state, reason, status, {}, empty, empty, cell.config, {}))
    return StudyRecord(about, cells)


def _read_cell(store: Store, cell: StudyCell) -> CellRecord:
    run = store.run(cell.run_id, cell.inference)
    status = run.status()
    state, reason = (status.state, status.reason) if status else ("not run", None)
    if status is None and run.status_file.is_file():
        state, reason = "damaged", f"{run.status_file} cannot be read, or is of another version; run ablate again"
    scores = run.scores()
    if state == "finished" and not scores:
        state = "damaged"
        reason = f"{run.scores_file} is missing or damaged, or of another version; run ablate again to score it"
    per_image = _read_numbers(run.per_image_file, dtype={"image": str})
    jackknife = _read_numbers(run.jackknife_file, dtype={"unit": str})
    return CellRecord(
        cell.variant, cell.seed, run, state, reason, status, scores, per_image, jackknife, cell.config, run.profile()
    )


def _read_numbers(path: Path, **options: Any) -> pd.DataFrame:
    """The table in ``path``; NaN stands for what is no number, as where a file was cut short. Empty if unreadable."""
    try:
        frame: pd.DataFrame = pd.read_csv(path, **options)
    except (OSError, ValueError):  # pandas' own errors are ValueErrors
        return pd.DataFrame()
    for name in {"image", "unit"} & set(frame):
        frame = frame.set_index(name)
    if all(dtype.kind in "fi" for dtype in frame.dtypes):
        return frame
    numbers: pd.DataFrame = frame.apply(pd.to_numeric, errors="coerce")
    return numbers


def read_references(store: Store, about: StudyFile) -> list[ReferenceRow]:
    """The reference rows of a study, ``about`` as recorded; none where they were made for another training or data."""
    record = store.references(about.name)
    known = record is not None and record.run_id in {cell.run_id for cell in about.cells}
    return record.rows if record and known else []
