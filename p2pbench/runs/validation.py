"""Scores on validation pairs while a run trains: its ``curve.csv``, and what ``training.select`` goes by."""

import csv
import io
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import nn

from p2pbench.config.metrics import METRICS, QUICK_METRICS
from p2pbench.config.schema import RunConfig
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import DataSet
from p2pbench.data.images import as_scored
from p2pbench.data.transforms import conditions_of, targets_of
from p2pbench.errors import ConfigError, NotFinite
from p2pbench.inference.generator import translate
from p2pbench.inference.samples import spread
from p2pbench.scoring import weights
from p2pbench.scoring.evaluate import Scores, evaluate
from p2pbench.system.files import write_text

log = logging.getLogger(__name__)

N_VALIDATED = 100
"""The most validation pairs that a generator in training is scored on: those, spread evenly, of every reading."""


class Validation:
    """The validation pairs of a run, and how its generator is scored on them."""

    def __init__(
        self, config: RunConfig, dataset: DataSet, device: str, weights_dir: Path | None, *, fetch: bool
    ) -> None:
        """
        Args:
            dataset: one with a split ``val``.
            fetch: whether the network may be fetched that ``training.select`` needs.
        Raises:
            WeightsError: the network that ``training.select`` needs is not here.
        """
        self.config, self.device, self.weights_dir = config, device, weights_dir
        names, pairs = dataset.names["val"], decoded(dataset, "val")
        chosen = spread(len(pairs), N_VALIDATED)
        self.names, self.pairs = [names[position] for position in chosen], pairs[chosen]
        self.metrics = [
            name for name in config.scoring.wanted
            if name in QUICK_METRICS and ((net := METRICS[name].net) is None or weights.usable(net, weights_dir))
        ]  # fmt: skip
        """The scores of ``curve.csv``."""
        if (selected := METRICS.get(config.training.select)) and selected.net:
            weights.obtain(selected.net, weights_dir, fetch=fetch)

    def scores(self, generator: nn.Module, metrics: Sequence[str]) -> Scores:
        """The scores of what ``generator`` makes of the pairs, translated as the paper does whatever the inference.

        Raises:
            NotFinite: an output is NaN or infinite.
        """
        outputs, targets = self._outputs(generator), targets_of(self.pairs, self.config.data)
        return evaluate(
            as_scored(outputs), as_scored(targets), self.names, metrics,
            weights_dir=self.weights_dir, fetch=False, device=self.device,
        )  # fmt: skip

    def _outputs(self, generator: nn.Module) -> np.ndarray:
        """What ``generator`` makes of the pairs, (N, H, W, C'), uint8 or uint16."""
        data = self.config.data
        return translate(
            generator, conditions_of(self.pairs, data), data,
            seed=self.config.training.seed, mode=self.config.watched_mode,
        )  # fmt: skip

    def distance(self, generator: nn.Module) -> float:
        """How far ``generator`` is from the best by the score that ``training.select`` names: lower is better.

        That is the score itself, its negative where higher is better, or its distance from 1. Infinite where an output
        or the score is not finite. L1 is that of all bits, 16 where the data have as many, as version 0.1 selected: by
        its 8 another epoch may be best, and the run's id would not tell.

        Raises:
            ConfigError: the score cannot be measured of these images.
        """
        name = self.config.training.select
        try:
            if name == "l1":
                outputs = self._outputs(generator)
                off = np.abs(outputs.astype(np.int32) - targets_of(self.pairs, self.config.data))
                return float(off.mean() / np.iinfo(outputs.dtype).max)
            found = self.scores(generator, [name])
        except NotFinite:
            return float("inf")
        if name not in found.per_image:
            raise ConfigError(f"training.select is {name!r}, which {found.scores[name].reason}; choose another score")
        values = found.per_image[name]
        distances = {"lower": values, "higher": -values, "closer to 1": np.abs(values - 1)}[METRICS[name].better]
        finite = distances[np.isfinite(distances)]  # an image without a value costs that image, as in scores
        return float(finite.mean()) if len(finite) else float("inf")

    def add_to_curve(self, path: Path, epochs: int, step: int, seconds: float, generator: nn.Module) -> None:
        """Score ``generator`` and write it into the file ``path`` as the row of ``step``, in place of later rows.

        A row is later where the training has been resumed from a checkpoint before it.

        Args:
            seconds: of training so far, without the time that these scores take.
        """
        try:
            found = self.scores(generator, self.metrics).scores
        except NotFinite as error:
            log.warning("after %d epochs: %s", epochs, error)
            found = {}
        values = {name: score.value for name, score in found.items()}
        row = {"epoch": str(epochs), "step": str(step), "seconds": f"{seconds:.3f}", "pairs": str(len(self.names))}
        row |= {name: "" if value is None else f"{value:.6g}" for name, value in values.items()}
        rows = [*_rows_before(path, step), row]
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, list(dict.fromkeys(key for one in rows for key in one)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(path, buffer.getvalue())


def _rows_before(path: Path, step: int) -> list[dict[str, str]]:
    """The rows of a curve whose step is before ``step``; none where the file is damaged."""
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return [row for row in csv.DictReader(stream) if int(row["step"]) < step]
    except (OSError, ValueError, KeyError, TypeError):
        log.warning("%s is damaged, and begun anew", path)
        return []
