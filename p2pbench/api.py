"""p2pbench from Python: load a model, translate with it, score images, run a study."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from p2pbench.bench.jobs import seconds_per_step
from p2pbench.config.metrics import checked_metrics
from p2pbench.config.renamed import current_value
from p2pbench.config.resolve import Layer
from p2pbench.data.image_files import read
from p2pbench.data.images import Stored
from p2pbench.errors import ConfigError, P2PBenchError
from p2pbench.inference.generator import Model, place_model
from p2pbench.inference.tiling import output_of
from p2pbench.report.records import StudyRecord, read_study
from p2pbench.runs.model import load_model
from p2pbench.runs.store import Store
from p2pbench.scoring.evaluate import Scores, evaluate
from p2pbench.scoring.images import of_caller
from p2pbench.study.execution import Execution
from p2pbench.study.plan import build_study
from p2pbench.study.runner import carry_out


def load(model: str | Path, *, runs: str | Path = "runs", settings: Mapping[str, Any] | None = None) -> Model:
    """A trained model on its device, ready to translate.

    Args:
        model: a run's folder or id, an exported ``.onnx``, or the PyTorch port's ``latest_net_G.pth``.
        runs: where ids are looked for.
        settings: by dotted key, for the port's weights, which do not say what data they are for.
    Raises:
        ConfigError, WeightsError: there is no such model, or its files are damaged.
    """
    loaded = load_model(str(model), Path(runs), [Layer("settings", dict(settings or {}))])
    place_model(loaded)
    return loaded


def translate(
    model: Model, picture: np.ndarray | str | Path, *, mode: str | None = None, seed: int | None = None
) -> np.ndarray:
    """What ``model`` makes of one picture, at the picture's own size.

    Args:
        picture: (H, W, C), uint8 or uint16, or a file. Grey becomes RGB and RGB grey where the model wants it.
        mode: ``paper`` (with dropout), ``instance-stats`` or ``eval``, or a flow's ``euler-N``; by default the one that
            the model was scored in.
        seed: of the dropout's noise; the training's unless given.
    Returns:
        (H, W, C'), uint8 or uint16.
    Raises:
        ConfigError: a mode that the model does not have. DataError: a picture it was not trained for.
    """
    mode = current_value("scoring.inference", mode, "translate")
    if mode is not None and mode not in model.modes:
        raise ConfigError(f"mode is {mode!r}: this model has {', '.join(model.modes)}")
    given = read(Path(picture)) if isinstance(picture, str | Path) else Stored(Path("the picture"), picture)
    return output_of(model, given, mode=mode, seed=seed)


def score(
    outputs: np.ndarray,
    targets: np.ndarray,
    metrics: Sequence[str] = ("l1", "psnr", "ssim"),
    *,
    weights_dir: str | Path | None = None,
) -> Scores:
    """Score images against their targets, in the same order.

    Args:
        outputs, targets: (N, H, W, 3), or (N, H, W, 1) for grey, uint8.
        metrics: names as ``p2pbench score --metrics`` takes them, or ``module:function``.
        weights_dir: where pretrained networks are looked for first; they are never fetched.
    Returns:
        ``.scores[name]`` has ``value``, ``low`` and ``high`` (the 95 % interval over images) and ``n``;
        ``.to_frame()`` the values of each image.
    Raises:
        ValueError: an array is of another kind, or the two differ in shape; says how it becomes what is taken.
        ConfigError: a metric that there is not.
    """
    ours, theirs = of_caller(outputs, "outputs"), of_caller(targets, "targets")
    if ours.shape != theirs.shape:
        raise ValueError(f"outputs and targets have one shape; they have {outputs.shape} and {targets.shape}")
    names = [str(number) for number in range(len(ours))]
    folder = None if weights_dir is None else Path(weights_dir)
    return evaluate(ours, theirs, names, checked_metrics(metrics, "metrics"), weights_dir=folder, fetch=False)


def run_study(
    grid: str | Path,
    *,
    protocol: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    name: str | None = None,
    replace: bool = False,
    runs: str | Path = "runs",
    jobs: int = 1,
    weights_dir: str | Path | None = None,
) -> StudyRecord:
    """Train and score every variant of a grid that is not finished yet, as ``p2pbench ablate`` does, but silently.

    Pretrained networks that the scores need are fetched, and the study's reference rows are made. Call it from the
    main thread: Ctrl+C stops it after a checkpoint, and the same call resumes from there.

    Args:
        grid, protocol: a file, or the name of a shipped one.
        settings: by dotted key, as ``--set`` has them.
        seeds: instead of the grid's or the protocol's own.
        name: the study's; unless given, the grid's, with the protocol and what ``settings`` changed.
        replace: let the study take the place of another one of its name, which is kept as a version.
        runs: the folder of all runs and studies.
        jobs: how many cells are trained at once.
        weights_dir: where pretrained networks are looked for first.
    Returns:
        The record: ``.of(variant)`` has a cell a seed, each with ``scores``, ``per_image`` and ``losses``.
    Raises:
        ConfigError, DataError: as the command. P2PBenchError: cells that failed (named), once the others are done.
    """
    study = build_study(str(grid), None if protocol is None else str(protocol), settings or {}, seeds, name=name)
    store = Store(Path(runs))
    how = Execution(jobs=jobs, weights_dir=None if weights_dir is None else Path(weights_dir))
    result = carry_out(
        study, store, how, console=Console(stderr=True, quiet=True), replace=replace, probe=seconds_per_step
    )
    if result.interrupted:
        raise KeyboardInterrupt
    failed = [f"{o.cell.variant} seed {o.cell.seed}: {o.reason}" for o in result.outcomes if o.state == "failed"]
    if failed:
        raise P2PBenchError(f"{len(failed)} of {len(result.outcomes)} cells failed: {'; '.join(failed)}")
    return read_study(store, study.name)
