"""One cell, from its configuration to its record: data, training, scores."""

from __future__ import annotations

import datetime
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from torch import nn

from p2pbench.config.run_id import cost_key, run_id
from p2pbench.config.schema import RunConfig
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import DataSet, open_dataset
from p2pbench.data.images import as_rgb8
from p2pbench.data.transforms import as_displayed, conditions_of, targets_of
from p2pbench.errors import ConfigError, DataError, NotFinite, StorageError
from p2pbench.inference.generator import translate
from p2pbench.inference.samples import save_png, spread, write_sheet
from p2pbench.models.describe import describe
from p2pbench.runs.folder import LOCK_SECONDS, RunFolder
from p2pbench.runs.records import Training
from p2pbench.runs.score_run import score_run
from p2pbench.system.files import sha256_of
from p2pbench.system.hardware import describe_machine, versions
from p2pbench.system.progress import Count, no_progress
from p2pbench.training.checkpoint import save_generator
from p2pbench.training.distributed import ALONE, Group
from p2pbench.training.engine import Engine, prepare_engine
from p2pbench.training.loop import Reporter, TrainingResult, train
from p2pbench.training.memory import out_of_memory_explained

log = logging.getLogger(__name__)

N_SHEET, N_UNTRAINED = 4, 8
"""Pairs on each sheet that training leaves, and test pairs whose output at the initial weights is kept."""
N_JUDGED = 100
"""Validation pairs, at most, that ``training.select`` looks at after each epoch."""


@dataclass(frozen=True)
class Watcher:
    """Who is told how a cell goes, and who may stop it."""

    stage: Callable[[str], None]
    """Called with what is done now: ``data``, ``train`` or ``score``."""
    progress: Count
    """Called with (done, in all) of the stage, in pairs or steps."""
    stop: Callable[[], bool]


def run_cell(
    config: RunConfig,
    run: RunFolder,
    watcher: Watcher,
    *,
    modes: Sequence[str],
    wait: bool,
    threads: int,
    weights_dir: Path | None,
    fetch: bool,
    asked: float | None = None,
    group: Group = ALONE,
) -> None:
    """Train, score and record the run of ``config`` in the folder ``run``.

    A finished run gets only the scores it lacks; an unfinished one goes on from its checkpoint. Anything raised is for
    the caller to record.

    Args:
        modes: the inference modes to score under (``scoring.inference``).
        wait: for another process that has the run, instead of raising :class:`RunBusy`.
        threads: CPU threads, unless the configuration or an earlier sitting of this run says otherwise.
        fetch: whether pretrained networks that are not here may be fetched.
        group: of which this is the first process, where several share the training; the others :func:`take_part`.
        asked: when the cell was asked for, on ``time.time``'s clock: what it took beside its training is recorded.
    """
    watcher.stage("data")
    dataset = open_dataset(config.data)
    identity = run_id(config, dataset.key, group.size)
    with run.lock(seconds=-1 if wait else LOCK_SECONDS):
        _check_owner(run, identity)
        _check_links(run)
        # Same threads, same bits: a run goes on with as many as it began with.
        threads = config.training.threads or run.recorded_threads() or threads
        engine = prepare_engine(config.training, threads)
        _repair(run, config)
        to_score = [m for m in modes if _is_lacking(RunFolder(run.path, m), config, weights_dir)]
        if to_score and run.trained() and not run.generator_is_whole():
            log.warning("%s is not what training left: trained again", run.generator_file)
            run.forget(run.generator_file)
        whole = not run.trained() and not run.checkpoint.is_dir()
        group.broadcast(None if run.trained() else (identity, threads))
        if not run.trained():
            run.forget_scores()  # they were another generator's
            to_score = list(modes)
            run.set_status(
                "running", run_id=identity, threads=threads, processes=group.size, data_key=dataset.key, started=_now(),
                machine=describe_machine(engine.device), versions=versions(),
            )  # fmt: skip
            run.write_config(config)
            _train(config, dataset, identity, run, engine, watcher, group)
        watcher.stage("score")
        if to_score:
            run.set_status(_state(run), files={})  # no hash holds until all are written
        training = _record_flops(run, config)
        for mode in to_score:
            scored = config.model_copy(update={"scoring": config.scoring.model_copy(update={"inference": mode})})
            score_run(scored, dataset, RunFolder(run.path, mode), engine, weights_dir, fetch, watcher.progress)
        beside: dict[str, Any] = {}
        if whole and asked is not None:  # in one sitting: start of the process, data, scores
            beside["seconds_beside_training"] = max(0.0, time.time() - asked - training.seconds)
        run.set_status("finished", finished=_now(), files=run.record_hashes(), **beside)
        if not config.training.keep_checkpoints:
            shutil.rmtree(run.checkpoint, ignore_errors=True)


def take_part(config: RunConfig, group: Group, stop: Callable[[], bool]) -> None:
    """Train with the first process of ``group``, which writes, if it finds that there is something to train.

    Raises:
        DataError: the data here are not those of the first process.
    """
    dataset = open_dataset(config.data)
    told = group.broadcast(None)
    if told is None:
        return
    identity, threads = told
    if run_id(config, dataset.key, group.size) != identity:
        raise DataError(f"process {group.rank} of the training has other data, or another p2pbench, than the first")
    engine = prepare_engine(config.training, threads)
    images = decoded(dataset, "train")
    reporter = Reporter(no_progress, lambda _epochs, _generator: None, stop)
    with TemporaryDirectory() as folder:
        train(config, images, Path(folder), identity, engine, reporter, group)


def _check_owner(run: RunFolder, identity: str) -> None:
    if (owner := run.recorded_id() or identity) != identity:
        raise ConfigError(
            f"{run.path} holds another run ({owner}, not {identity}): its settings, data or code differ; "
            "use another --out, or remove the folder"
        )


def _check_links(run: RunFolder) -> None:
    """A link in a run's folder, which may be a stranger's, would have its files written elsewhere."""
    for path in run.path.iterdir():
        if path.is_symlink():
            raise StorageError(f"{path} is a link, and a run's files lie in its own folder: remove it")


def _is_lacking(run: RunFolder, config: RunConfig, weights_dir: Path | None) -> bool:
    return bool(run.missing_scores(config, weights_dir)) or not run.profiled()


def _repair(run: RunFolder, config: RunConfig) -> None:
    """Drop the records that are not what the run left, as after a crash of the machine: what can be is made anew."""
    damaged = run.damaged_records()
    for name in damaged:
        log.warning(
            "%s is gone or not what the run left: %s",
            run.path / name,
            "made anew" if name != "losses.csv" else "dropped",
        )
    if any(name.startswith(("scores", "per_image", "profile", "samples")) for name in damaged):
        run.forget_scores()
    if "losses.csv" in damaged:
        run.forget(run.losses_file)
    if "config.yaml" in damaged:
        run.write_config(config)


def _train(
    config: RunConfig, dataset: DataSet, identity: str, run: RunFolder, engine: Engine, watcher: Watcher, group: Group
) -> None:
    images = decoded(dataset, "train", watcher.progress)
    test = decoded(dataset, "test")
    unseen = decoded(dataset, "val") if "val" in dataset.names else test
    shown = unseen[spread(len(unseen), N_SHEET)]
    given = conditions_of(shown, config.data)
    chosen = spread(len(test), N_UNTRAINED)

    def sample(epochs: int, generator: nn.Module) -> None:
        outputs = translate(generator, given, config.data, seed=config.training.seed)
        columns = [as_displayed(given, config.data), outputs, targets_of(shown, config.data)]
        write_sheet(run.samples / f"epoch-{epochs:04d}.png", [as_rgb8(column) for column in columns])
        if epochs == 0:
            untrained = conditions_of(test[chosen], config.data)
            outputs = translate(generator, untrained, config.data, seed=config.training.seed, keys=chosen)
            for position, output in zip(chosen, outputs, strict=True):
                save_png(run.sample_file("untrained", position), as_rgb8(output))

    validation_score = None
    if config.training.select == "best-on-val":
        judged = unseen[spread(len(unseen), N_JUDGED)]
        validation_score = partial(l1_of, pairs=judged, config=config)

    run.set_status("running", bits=8 * images.dtype.itemsize)
    watcher.stage("train")
    log.info(
        "training %s on %s, engine %s%s, %d threads, %s",
        identity, engine.device, engine.kind, " (auto)" if config.training.engine == "auto" else "", engine.threads,
        config.training.precision,
    )  # fmt: skip
    reporter = Reporter(watcher.progress, sample, watcher.stop, validation_score)
    with out_of_memory_explained(config, engine.device):
        trained = train(config, images, run.path, identity, engine, reporter, group)
    log.info("trained %d steps in %.0f s", trained.steps, trained.seconds)
    log_to_tensorboard(run)
    save_generator(run.generator_file, trained.generator, {"run_id": identity})
    run.set_status(
        "running",
        training={
            "steps": trained.steps,
            "seconds": trained.seconds,
            "seconds_per_step": trained.seconds / trained.steps,
            "peak_memory_bytes": trained.peak_memory_bytes,
            "data_wait_share": trained.data_wait_share,
            "engine": trained.engine,
            "generator_parameters": sum(p.numel() for p in trained.generator.parameters()),
            "cost_key": cost_key(config),
            **_selected(trained),
            "generator_sha256": sha256_of(run.generator_file),
        },
    )


def l1_of(generator: nn.Module, pairs: np.ndarray, config: RunConfig) -> float:
    """Mean L1 of what ``generator`` makes of ``pairs``, 0 to 1, translated as the paper does; inf where that is NaN."""
    try:
        outputs = translate(generator, conditions_of(pairs, config.data), config.data, seed=config.training.seed)
    except NotFinite:
        return float("inf")
    differences = np.abs(outputs.astype(np.int32) - targets_of(pairs, config.data))
    return float(differences.mean() / np.iinfo(outputs.dtype).max)


def _selected(trained: TrainingResult) -> dict[str, Any]:
    """What the record says of the epoch that was selected; nothing where it is the last."""
    if trained.selected is None:
        return {}
    value = trained.selected.value
    return {"selected": {"epoch": trained.selected.epoch, "val_l1": value if isfinite(value) else None}}


def _state(run: RunFolder) -> str:
    """The state of a run whose training is recorded."""
    status = run.status()
    assert status is not None
    return status.state


def _record_flops(run: RunFolder, config: RunConfig) -> Training:
    """The record of the training, to which is added what its generator costs for one image."""
    training = run.training()
    assert training is not None
    if training.generator_flops is None:
        training = training.model_copy(update={"generator_flops": describe(config)["generator"]["flops"]})
        run.set_status(_state(run), training=training)
    return training


def log_to_tensorboard(run: RunFolder) -> None:
    """Write losses.csv as a TensorBoard log too, where the extra ``tensorboard`` is installed."""
    import importlib.util

    if importlib.util.find_spec("tensorboard") is None:
        return
    import csv

    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(run.path / "tensorboard", ignore_errors=True)
    with SummaryWriter(str(run.path / "tensorboard")) as writer, run.losses_file.open() as stream:
        for row in csv.DictReader(stream):
            step = int(row.pop("step"))
            row.pop("epoch")
            for name, value in row.items():
                if value:
                    writer.add_scalar(f"loss/{name}", float(value), step)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
