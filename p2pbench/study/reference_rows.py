"""The reference rows of a study: outputs that no training made, scored on its test pairs as its baseline is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from p2pbench.config.schema import RunConfig
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import DataSet, as_tested
from p2pbench.data.images import as_scored
from p2pbench.data.transforms import as_displayed, conditions_of, targets_of
from p2pbench.errors import ConfigError, DataError
from p2pbench.models.build import build_generator
from p2pbench.runs.score_run import class_reader, score_generator
from p2pbench.scoring.evaluate import Scores, evaluate
from p2pbench.scoring.reference_rows import SIDE, UNPAIRED, disjoint, look_up
from p2pbench.system.progress import Count, no_progress
from p2pbench.training.engine import Engine

if TYPE_CHECKING:
    import pandas as pd

BLOCK_BYTES = 2**26
"""Of training pairs in memory at once."""


@dataclass(frozen=True)
class Row:
    name: str
    about: str
    """What the output is: a line that explains the row."""
    n: int
    scores: Scores | None
    reason: str | None = None
    """Why the row has no scores."""
    sources: list[str] = field(default_factory=list)
    """Of each output the training pair it is taken from, where it is."""

    def to_json(self) -> dict[str, Any]:
        scores = {} if self.scores is None else self.scores.to_json()["scores"]
        return {"name": self.name, "about": self.about, "n": self.n, "reason": self.reason, "scores": scores}

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        if self.scores is None or not self.scores.per_image:
            return pd.DataFrame()
        frame = self.scores.to_frame()
        frame.insert(0, "row", self.name)
        return frame.assign(training_image=self.sources) if self.sources else frame


def measure_rows(
    config: RunConfig,
    variant: str,
    dataset: DataSet,
    metrics: Sequence[str],
    engine: Engine,
    weights_dir: Path | None,
    progress: Count,
) -> list[Row]:
    """Every reference row; one that cannot be made has its reason. Real images have none without a score of sets.

    Args:
        config: the baseline's: its data, its generator, its inference mode.
        variant: what the baseline is called.
        metrics: the scores that any cell of the study is asked for.
        progress: called with (rows done, rows in all).
    """
    made = _Outputs(config, variant, dataset, metrics, engine, weights_dir)
    todo = [made.condition, made.mean, made.nearest, made.untrained]
    if set(metrics) & set(UNPAIRED):
        todo = [made.training_images, made.split_half, *todo]
    rows: list[Row] = []
    for make in todo:
        progress(len(rows), len(todo))
        rows.append(make())
    progress(len(rows), len(todo))
    return rows


class _Outputs:
    def __init__(
        self, config: RunConfig, variant: str, dataset: DataSet, metrics: Sequence[str], engine: Engine,
        weights_dir: Path | None,
    ) -> None:  # fmt: skip
        self.config, self.variant, self.dataset, self.metrics = config, variant, dataset, metrics
        self.engine, self.weights_dir = engine, weights_dir
        self.train, test = decoded(as_tested(dataset), "train"), decoded(dataset, "test")
        self.n = len(test)
        self.conditions = as_displayed(conditions_of(test, config.data), config.data)
        self.targets = as_scored(targets_of(test, config.data))
        self.classes = class_reader(config, dataset, metrics, engine, no_progress)
        self.memory = look_up(self._training_blocks(), self.conditions)

    def _training_blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        size, data = max(1, BLOCK_BYTES // self.train[0].nbytes), self.config.data
        for start in range(0, len(self.train), size):
            pairs = self.train[start : start + size]
            yield as_displayed(conditions_of(pairs, data), data), targets_of(pairs, data)

    def training_images(self) -> Row:
        about = (
            f"{self.n} training targets drawn at random, set against the {self.n} test targets: what a generator gets "
            "that draws from the training images' distribution"
        )
        return self._real("real (training images)", about, 1)

    def split_half(self) -> Row:
        about = (
            f"{self.n} training targets drawn at random, set against {self.n} others: the floor, what a perfect "
            f"generator would get at n = {self.n}"
        )
        return self._real("real (split half)", about, 2)

    def _real(self, name: str, about: str, samples: int) -> Row:
        """Real images against the test targets, or with two ``samples`` against each other, as many as in a cell."""
        try:
            drawn = disjoint(len(self.train), self.n, samples)
        except ValueError as error:
            return Row(name, about, self.n, None, f"at n = {self.n} it {error}")
        images = [as_scored(targets_of(self.train[positions], self.config.data)) for positions in drawn]
        sources = [self.dataset.names["train"][position] for position in drawn[0]]
        fakes, targets = (images[0], self.targets) if samples == 1 else images
        unpaired = [metric for metric in self.metrics if metric in UNPAIRED]
        return Row(name, about, self.n, self._evaluate(fakes, targets, sources, unpaired))

    def condition(self) -> Row:
        name, about = "condition", "the condition itself as the output"
        outputs = as_scored(self.conditions)
        if outputs.shape != self.targets.shape:
            found, wanted = outputs.shape[-1], self.targets.shape[-1]
            return Row(name, about, self.n, None, f"conditions have {found} channels and targets {wanted}")
        return self._row(name, about, outputs)

    def mean(self) -> Row:
        about = f"the mean of the {len(self.train)} training targets as every output"
        return self._row("mean image", about, np.broadcast_to(as_scored(self.memory.mean), self.targets.shape))

    def nearest(self) -> Row:
        about = (
            "as the output the target of the training pair whose condition is nearest (L2 between conditions averaged "
            f"down to {SIDE}x{SIDE}; at the median {np.median(self.memory.distance):.3f} of full range away, root mean "
            "square)"
        )
        outputs = as_scored(targets_of(self.train[self.memory.nearest], self.config.data))
        sources = [self.dataset.names["train"][position] for position in self.memory.nearest]
        return self._row("nearest neighbour", about, outputs, sources)

    def untrained(self) -> Row:
        name = "untrained"
        about = f"the generator of {self.variant} at the initial weights of seed {self.config.training.seed}"
        try:
            generator = build_generator(self.config).to(self.engine.device)
        except (ConfigError, DataError) as error:
            return Row(name, about, self.n, None, str(error))
        scores = score_generator(
            self.config, generator, self.dataset, self.metrics, self.engine, self.weights_dir, fetch=False
        )
        return Row(name, about, self.n, scores)

    def _row(self, name: str, about: str, outputs: np.ndarray, sources: Sequence[str] = ()) -> Row:
        scores = self._evaluate(outputs, self.targets, self.dataset.names["test"], self.metrics)
        return Row(name, about, self.n, scores, sources=list(sources))

    def _evaluate(
        self, outputs: np.ndarray, targets: np.ndarray, names: Sequence[str], metrics: Sequence[str]
    ) -> Scores:
        return evaluate(
            outputs, targets, names, metrics,
            weights_dir=self.weights_dir, fetch=False, device=str(self.engine.device),
            settings={"size": self.config.data.crop_size}, classes=self.classes,
        )  # fmt: skip
