"""One cell, from its configuration to its record: train, score, record."""

import contextlib
import datetime
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from p2pbench.config.run_id import run_id
from p2pbench.config.schema import RunConfig
from p2pbench.data.cache import training_pairs
from p2pbench.data.dataset import open_dataset
from p2pbench.errors import ConfigError, DataError, RunBusy, StorageError
from p2pbench.models.describe import describe
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.logged import log_to_tensorboard
from p2pbench.runs.longer import begin_from, kept_checkpoints, shorter
from p2pbench.runs.model import load_generator
from p2pbench.runs.records import OF_TRAINING, Training
from p2pbench.runs.score_run import score_run
from p2pbench.runs.train_run import pretrained_of, reporter_of, train_run
from p2pbench.system.hardware import describe_machine, versions
from p2pbench.system.progress import Count, no_progress
from p2pbench.training.distributed import ALONE, Group
from p2pbench.training.engine import engine_for
from p2pbench.training.loop import Reporter, train

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watcher:
    """The functions by which a cell reports progress and asks whether to stop."""

    stage: Callable[[str], None]
    """Called with the stage that begins: ``data``, ``train`` or ``score``."""
    progress: Count
    """Called with (done, in all) of the stage, in pairs, steps or images."""
    stop: Callable[[], bool]
    """Called after each step; true ends the training after a checkpoint."""


@contextlib.contextmanager
def _held(run: RunFolder, watcher: Watcher, *, wait: bool) -> Iterator[None]:
    """Hold the run; who waits for another process says so again and again, and is not taken for hanging."""
    with contextlib.ExitStack() as stack:
        waits = 0
        while True:
            try:
                stack.enter_context(run.lock())
                break
            except RunBusy:
                if not wait:
                    raise
            if waits == 0:
                watcher.stage("waiting for another process")
            waits += 1
            watcher.progress(0, waits)
        yield


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
    sharers: int = 1,
    group: Group = ALONE,
) -> None:
    """Train, score and record the run of ``config`` in the folder ``run``.

    A finished run gets only the scores it lacks; an unfinished one goes on from its checkpoint. Anything raised is for
    the caller to record.

    Args:
        modes: the inference modes to score in (``scoring.inference``).
        wait: wait for another process that holds the run, instead of raising :class:`RunBusy`.
        threads: CPU threads, unless the configuration or an earlier sitting of this run says otherwise.
        fetch: whether pretrained networks that are not on this machine may be fetched.
        sharers: the cells that train on the same device at once.
        asked: when the cell was asked for, by ``time.time``; the seconds besides training are recorded from then on.
        group: the processes that share the training; this is the first of them, and the others :func:`take_part`.
    """
    watcher.stage("data")
    dataset = open_dataset(config.data)
    identity = run_id(config, dataset.key, group.size)
    with _held(run, watcher, wait=wait):
        _check_owner(run, identity)
        _check_links(run)
        begin = shorter(kept_checkpoints(run.path.parent), config, dataset.key, run, group.size)
        # The same threads give the same bits: a run goes on with as many as it began with.
        threads = config.training.threads or (begin.run if begin else run).recorded_threads() or threads
        engine = engine_for(config, threads, sharers=sharers)
        _repair(run, config)
        for left_behind in run.path.rglob(".*.part"):  # by a process that was killed while it wrote
            if not left_behind.is_dir():
                left_behind.unlink(missing_ok=True)
        in_modes = [RunFolder(run.path, mode) for mode in modes]
        to_score = [one for one in in_modes if one.missing_scores(config, weights_dir) or not one.profiled()]
        if to_score and run.trained() and not run.generator_is_whole():
            log.warning("%s is not what training left; the run is trained again", run.generator_file)
            run.forget(run.generator_file)
        to_train, from_scratch = not run.trained(), not run.has_checkpoint()
        group.broadcast((identity, threads) if to_train else None)
        generator = None
        if to_train:
            run.forget_scores()  # they were another generator's
            to_score = in_modes
            run.set_status(
                "running", run_id=identity, threads=engine.threads, processes=group.size, data_key=dataset.key,
                started=_now(), started_in=str(Path.cwd()), machine=describe_machine(engine.device),
                versions=versions(), seconds_per_image={},
            )  # fmt: skip
            run.write_config(config)
            images = training_pairs(dataset, watcher.progress)
            if from_scratch:
                run.forget(run.curve_file)
                if begin is not None and begin_from(begin, run, identity, config, group.size):
                    from_scratch = False
                    _record(run, goes_on_from=begin.run_id)
            reporter = reporter_of(
                config, dataset, run, engine, watcher.progress, watcher.stop, weights_dir=weights_dir, fetch=fetch
            )
            pretrained = pretrained_of(config, weights_dir, fetch=fetch)
            watcher.stage("train")
            generator = train_run(config, images, identity, run, engine, reporter, group, pretrained)
        watcher.stage("score")
        if to_score:
            _record(run, files={})  # no hash holds until all records are written
            generator = generator or load_generator(run).to(engine.device)
        training = _training_with_flops(run, config)
        for one in to_score:
            assert generator is not None
            scored = config.changed("scoring", inference=one.inference)
            score_run(scored, generator, dataset, one, engine, weights_dir, fetch, watcher.progress)
        if to_train or to_score:
            log_to_tensorboard(run)
        about: dict[str, Any] = {}
        if to_train and from_scratch and asked is not None:  # in one sitting: start of the process, data, scores
            about["seconds_beside_training"] = max(0.0, time.time() - asked - training.seconds)
        run.set_status("finished", finished=_now(), started_in=None, files=run.record_hashes(), **about)
        if not config.training.keep_checkpoints:
            shutil.rmtree(run.checkpoint, ignore_errors=True)


def take_part(config: RunConfig, group: Group, stop: Callable[[], bool], weights_dir: Path | None = None) -> None:
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
    engine = engine_for(config, threads)
    images = training_pairs(dataset)
    reporter = Reporter(no_progress, lambda _epochs, _generator: None, stop)
    with TemporaryDirectory() as folder:
        pretrained = pretrained_of(config, weights_dir, fetch=True)
        train(config, images, Path(folder), identity, engine, reporter, group, pretrained)


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


def _repair(run: RunFolder, config: RunConfig) -> None:
    """Drop the records that are not what the run left, as after a crash of the machine: what can be is made anew."""
    damaged = run.damaged_records()
    for name in damaged:
        log.warning(
            "%s is gone or not what the run left: %s",
            run.path / name,
            "made anew" if name not in OF_TRAINING else "dropped",
        )
    if any(name.startswith(("scores", "per_image", "jackknife", "profile", "samples")) for name in damaged):
        run.forget_scores()
    for name in OF_TRAINING & set(damaged):
        run.forget(run.path / name)
    if "config.yaml" in damaged:
        run.write_config(config)


def _record(run: RunFolder, **about: Any) -> None:
    """Add ``about`` to the record of a run, whatever state it is in."""
    status = run.status()
    assert status is not None
    run.set_status(status.state, **about)


def _training_with_flops(run: RunFolder, config: RunConfig) -> Training:
    """The record of the training, to which the operations of its networks for one image are added."""
    training = run.training()
    assert training is not None
    if training.generator_flops is None or training.discriminator_flops is None:
        found = describe(config)
        flops = {f"{role}_flops": float(about["flops"]) if about else 0.0 for role, about in found.items()}
        training = training.model_copy(update=flops)
        _record(run, training=training)
    return training


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
