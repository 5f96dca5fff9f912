"""The scores of one model on a split of its data, outside a study: what ``score --model`` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from p2pbench.config.metrics import checked_metrics
from p2pbench.config.resolve import Layer
from p2pbench.config.run_id import run_id
from p2pbench.data.dataset import DataSet, open_dataset
from p2pbench.errors import DataError
from p2pbench.inference.generator import Model
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.model import load_model
from p2pbench.runs.score_run import score_generator
from p2pbench.scoring.evaluate import Scores
from p2pbench.system.progress import stages
from p2pbench.training.engine import prepare_engine


def score_model(
    model: str,
    runs: Path,
    layers: Sequence[Layer],
    metrics: Sequence[str] | None,
    weights_dir: Path | None,
    console: Console,
    split: str = "test",
    inference: str | None = None,
) -> Scores:
    """The scores of a run's generator, a port's or an ONNX file's, on a split of its data.

    Nothing is written to the run: its record holds the test split's scores alone.

    Raises:
        DataError: the data are not those that the run was trained on, and no ``data.source`` asks for others; or the
            code of its networks has changed.
    """
    loaded = load_model(model, runs, layers, inference=inference)
    config, run = loaded.config, RunFolder(loaded.folder) if loaded.folder else None
    names = checked_metrics(metrics, "--metrics") if metrics else list(config.scoring.wanted)
    recorded = run.recorded_threads() if run else 0
    engine = prepare_engine(config.training, config.training.threads or recorded)
    generator = loaded.generator.to(engine.device)
    moved = any("data.source" in layer.settings for layer in layers)
    dataset = open_dataset(config.data)
    note = _other_content(loaded, dataset, moved=moved)
    with stages(console) as stage:
        scores = score_generator(
            config, generator, dataset, names, engine, weights_dir, stage("scoring", "images"),
            learned=stage("segmentation network", "steps"), split=split,
        )  # fmt: skip
    if note is None:
        return scores
    return replace(
        scores,
        scores={name: replace(score, notes=(*score.notes, note)) for name, score in scores.scores.items()},
    )


def _other_content(model: Model, dataset: DataSet, *, moved: bool) -> str | None:
    """What to say of data that a run was not trained on; None where they are those that it was.

    Args:
        moved: whether the caller has said where the data are.
    """
    if model.folder is None:
        return None
    run, config = RunFolder(model.folder), model.config
    status, now = run.status(), run_id(config, dataset.key)
    if status is None or status.run_id in (None, now):
        return None
    source = config.data.source
    if moved and status.data_key is not None and run_id(config, status.data_key) == status.run_id:
        return f"the content of {source} is not what {run.path.name} was trained on"
    way_out = "" if moved else "; where they lie elsewhere, or to score it on others, --set data.source=FOLDER"
    raise DataError(
        f"{run.path} was trained as {status.run_id}, which would be {now} today: its data ({source}), or the code of "
        f"its networks, have changed since{way_out}"
    )
