"""The reference rows of a study: outputs that no training made, scored on its test pairs as its baseline is.

    runs/studies/<study>/    references.json references-per_image.csv references-log.txt

:func:`rows_to_make` says, without torch, whether there is anything to do; a worker process then calls
:func:`make_rows`.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from p2pbench.config.metrics import FCN_RECIPE, METRICS
from p2pbench.config.plugins import code_hash, is_reference
from p2pbench.config.resolve import from_mapping
from p2pbench.config.run_id import run_id
from p2pbench.config.schema import RunConfig
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import DataSet, as_tested, open_dataset, trained_on
from p2pbench.data.images import as_scored
from p2pbench.errors import ConfigError, DataError
from p2pbench.runs import records
from p2pbench.runs.events import Job
from p2pbench.runs.records import SCHEMA_VERSION, ReferenceRow, References
from p2pbench.runs.store import Store
from p2pbench.scoring.evaluate import Scores, evaluate
from p2pbench.scoring.images import digest
from p2pbench.scoring.reference_rows import SIDE, UNPAIRED, disjoint, look_up
from p2pbench.scoring.weights import usable
from p2pbench.system.files import locked, write_text
from p2pbench.system.hardware import versions
from p2pbench.system.progress import Count, no_progress

if TYPE_CHECKING:
    import pandas as pd

    from p2pbench.training.engine import Engine

RECIPE = 3
"""Raised when the same data and settings come to give other rows."""

ABOUT = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
"""For each row a line that explains what the outputs are."""

BLOCK_BYTES = 2**26
"""Training pairs are looked through in blocks of this size."""


def rows_to_make(store: Store, name: str, weights_dir: Path | None) -> Job | None:
    """The job that makes the reference rows of the recorded study ``name``; None where they are up to date.

    They are those of the baseline's first seed, with every score that any cell is asked for.

    Raises:
        DataError, ConfigError: the data, or the code of a score, cannot be found.
    """
    study = store.read_study(name)
    first = min((cell for cell in study.cells if cell.variant == study.baseline), key=lambda cell: cell.seed)
    config = from_mapping(first.config, str(store.study_file(name)))
    key = key_of(config, open_dataset(config.data), study.asked)
    if up_to_date(store.references(name), key, weights_dir):
        return None
    log = store.references_file(name).with_name("references-log.txt")
    order = {"study": name, "variant": study.baseline, "metrics": study.asked}
    return Job("reference_rows", key, "reference rows", config, log, order)


def key_of(config: RunConfig, dataset: DataSet, metrics: Sequence[str]) -> str:
    """A hash of all that decides the rows but for the pretrained networks: the record says which of those it lacks."""
    recipe = {
        "recipe": (RECIPE, FCN_RECIPE, version("p2pbench")),
        "run_id": run_id(config, dataset.key),  # the data by content, their size, the generator, the seed
        "inference": config.scoring.inference,
        "metrics": {name: code_hash(name) if is_reference(name) else None for name in metrics},
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:24]


def up_to_date(record: References | None, key: str, weights_dir: Path | None) -> bool:
    """Whether ``record`` holds the rows of ``key``, with all scores that can be made here."""
    if record is None or record.key != key or record.state != "made":
        return False
    return not any(usable(net, weights_dir) for net in record.without)


def record_failure(store: Store, name: str, key: str | None, reason: str) -> None:
    """Record that the rows could not be made. Raises :class:`StorageError`."""
    record = References(schema_version=SCHEMA_VERSION, key=key, state="failed", reason=reason, rows=[])
    records.write(store.references_file(name), record)


def make_rows(
    config: RunConfig, order: dict[str, Any], store: Store, weights_dir: Path | None, progress: Count
) -> None:
    """Make the rows that a job of :func:`rows_to_make` asks for, and record them.

    Raises:
        DataError: the data or the code changed since the job was made.
    """
    import pandas as pd

    from p2pbench.training.engine import prepare_engine

    path, metrics, key = store.references_file(order["study"]), order["metrics"], order["key"]
    with locked(path.with_name("references.lock")):
        if up_to_date(store.references(order["study"]), key, weights_dir):
            return  # another process has made them meanwhile
        dataset = open_dataset(config.data)
        if key_of(config, dataset, metrics) != key:
            raise DataError("the data or the code of a network or a score changed while the study ran; run it again")
        nets = dict.fromkeys(METRICS[name].net for name in metrics if name in METRICS)
        without = [net for net in nets if net is not None and not usable(net, weights_dir)]
        engine = prepare_engine(config.training, config.training.threads or order["threads"])
        outputs = _Outputs(config, order["variant"], dataset, metrics, engine, weights_dir)
        makers = [outputs.condition, outputs.mean, outputs.nearest, outputs.untrained]
        if set(metrics) & set(UNPAIRED):
            real, halves = ("real (training images)", 1), ("real (split half)", 2)
            makers = [partial(outputs.real, *real), partial(outputs.real, *halves), *makers]
        made: list[Row] = []
        for make in makers:
            progress(len(made), len(makers))
            made.append(make())
        progress(len(made), len(makers))
        table = pd.concat([table for _, table in made])
        write_text(path.with_name("references-per_image.csv"), table.to_csv(index=False, float_format=records.FLOATS))
        record = References(
            schema_version=SCHEMA_VERSION, key=key, state="made", reason=None, run_id=run_id(config, dataset.key),
            without=without, versions=versions(), rows=[row for row, _ in made],
        )  # fmt: skip
        records.write(path, record)


Row: TypeAlias = "tuple[ReferenceRow, pd.DataFrame]"
"""A row's record, and the values of its images."""


@dataclass
class _Outputs:
    """What makes each reference row; one that cannot be made has its reason. Real images get scores of sets alone."""

    config: RunConfig
    """The baseline's: its data, its generator, its inference mode."""
    variant: str
    """What the baseline is called."""
    dataset: DataSet
    metrics: Sequence[str]
    """The scores that any cell of the study is asked for."""
    engine: Engine
    weights_dir: Path | None

    def __post_init__(self) -> None:
        from p2pbench.data.transforms import as_displayed, conditions_of, targets_of
        from p2pbench.runs.score_run import class_reader

        data = self.config.data
        self.train, test = decoded(as_tested(self.dataset), "train"), decoded(self.dataset, "test")
        self.n = len(test)
        self.conditions = as_displayed(conditions_of(test, data), data)
        self.targets = as_scored(targets_of(test, data))
        self.classes = class_reader(self.config, self.dataset, self.metrics, self.engine, no_progress)

        self.seen = np.array(trained_on(self.dataset))

        def blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            size = max(1, BLOCK_BYTES // self.train[0].nbytes)
            for start in range(0, len(self.seen), size):
                pairs = self.train[self.seen[start : start + size]]
                yield as_displayed(conditions_of(pairs, data), data), targets_of(pairs, data)

        self.memory = look_up(blocks(), self.conditions)

    def real(self, name: str, samples: int) -> Row:
        """Real images against the test targets, or with two ``samples`` against each other, as many as in a cell."""
        try:
            drawn = disjoint(len(self.train), self.n, samples)
        except ValueError as error:
            return self._row(name, f"at n = {self.n} it {error}")
        images = [self._training_targets(positions) for positions in drawn]
        fakes, targets = (images[0], self.targets) if samples == 1 else images
        unpaired = [metric for metric in self.metrics if metric in UNPAIRED]
        return self._row(name, self._evaluate(fakes, targets, self._training_names(drawn[0]), unpaired))

    def condition(self) -> Row:
        outputs = as_scored(self.conditions)
        if outputs.shape != self.targets.shape:
            found, wanted = outputs.shape[-1], self.targets.shape[-1]
            return self._row("condition", f"conditions have {found} channels and targets {wanted}")
        return self._row("condition", outputs)

    def mean(self) -> Row:
        return self._row("mean image", np.broadcast_to(as_scored(self.memory.mean), self.targets.shape))

    def nearest(self) -> Row:
        found = self.seen[self.memory.nearest]
        row, table = self._row("nearest neighbour", self._training_targets(found))
        return row, table.assign(training_image=self._training_names(found)) if len(table) else table

    def untrained(self) -> Row:
        from p2pbench.models.build import build_generator
        from p2pbench.runs.score_run import score_generator

        try:
            generator = build_generator(self.config).to(self.engine.device)
        except (ConfigError, DataError) as error:
            return self._row("untrained", str(error))
        scores = score_generator(
            self.config, generator, self.dataset, self.metrics, self.engine, self.weights_dir, fetch=False
        )
        return self._row("untrained", scores)

    def _training_targets(self, positions: np.ndarray) -> np.ndarray:
        from p2pbench.data.transforms import targets_of

        return as_scored(targets_of(self.train[positions], self.config.data))

    def _training_names(self, positions: np.ndarray) -> list[str]:
        return [self.dataset.names["train"][position] for position in positions]

    def _row(self, name: str, outcome: np.ndarray | Scores | str) -> Row:
        """The row of outputs, which are scored against the targets, of their scores, or of the reason for none."""
        import pandas as pd

        about = ABOUT[name].format(
            n=self.n, n_training=len(self.seen), side=SIDE, distance=np.median(self.memory.distance),
            variant=self.variant, seed=self.config.training.seed,
        )  # fmt: skip
        row = {"name": name, "about": about, "n": self.n, "reason": None, "scores": {}}
        if isinstance(outcome, str):
            return ReferenceRow.model_validate({**row, "reason": outcome}), pd.DataFrame()
        if isinstance(outcome, np.ndarray):
            outcome = self._evaluate(outcome, self.targets, self.dataset.names["test"], self.metrics)
        table = outcome.to_frame() if outcome.per_image else pd.DataFrame()
        if len(table):
            table.insert(0, "row", name)
        return ReferenceRow.model_validate({**row, "scores": outcome.to_json()["scores"]}), table

    def _evaluate(
        self, outputs: np.ndarray, targets: np.ndarray, names: Sequence[str], metrics: Sequence[str]
    ) -> Scores:
        return evaluate(
            outputs, targets, names, metrics,
            weights_dir=self.weights_dir, fetch=False, device=str(self.engine.device),
            settings={"size": self.config.data.crop_size, "targets_sha256": digest(targets)}, classes=self.classes,
        )  # fmt: skip
