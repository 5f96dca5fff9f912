"""One cell, from its configuration to its record: data, training, scores."""

from __future__ import annotations

import contextlib
import datetime
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from torch import nn

from p2pbench import yaml12
from p2pbench.bench.machine import describe_machine, versions
from p2pbench.config import RunConfig
from p2pbench.data.cache import Progress, decoded
from p2pbench.data.dataset import DataSet, open_dataset
from p2pbench.data.images import as_rgb8, as_scored
from p2pbench.data.transforms import conditions_of, targets_of, visible
from p2pbench.errors import ConfigError, DataError, NotFinite, WeightsError
from p2pbench.files import sha256_of, write_json, write_text
from p2pbench.identity import run_id
from p2pbench.memory import let_go
from p2pbench.models import build_generator
from p2pbench.models.describe import describe
from p2pbench.scoring.evaluate import NO_LABELS, Scores, evaluate
from p2pbench.scoring.images import Made
from p2pbench.scoring.metrics import FCN_SCORES
from p2pbench.scoring.segmentation import ClassReader, NoReader, find_reader
from p2pbench.settings import from_mapping
from p2pbench.study.estimate import cost_key
from p2pbench.study.profile import Profile
from p2pbench.study.samples import N_REDRAWN, N_SHEET, N_UNTRAINED, REDRAWS, save_png, spread, write_sheet
from p2pbench.study.store import LOCK_SECONDS, RunFolder
from p2pbench.training.checkpoint import save_generator
from p2pbench.training.distributed import ALONE, Group
from p2pbench.training.engine import Engine, prepare
from p2pbench.training.loop import Reporter, Trained, train
from p2pbench.training.room import telling_what_fits
from p2pbench.translation import translate

log = logging.getLogger(__name__)

N_JUDGED = 100
"""Validation pairs, at most, that ``training.select`` looks at after each epoch."""


@dataclass(frozen=True)
class Watcher:
    """Who is told how a cell goes, and who may stop it."""

    stage: Callable[[str], None]
    """Called with what is done now: ``data``, ``train`` or ``score``."""
    progress: Callable[[int, int], None]
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
        # Same threads, same bits: a run goes on with as many as it began with.
        threads = config.training.threads or run.recorded_threads() or threads
        engine = prepare(config.training, threads)
        _repair(run, config)
        to_score = [m for m in modes if _is_lacking(RunFolder(run.path, m), config, weights_dir)]
        if to_score and run.trained() and not run.generator_is_whole():
            log.warning("%s is not what training left: trained again", run.generator_file)
            run.generator_file.unlink()
        whole = not run.trained() and not run.checkpoint.is_dir()
        group.tell(None if run.trained() else (identity, threads))
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
            run.set_status(str(run.status()["state"]), files={})  # no hash holds until all are written
        _record_flops(run, config)
        for mode in to_score:
            scored = config.model_copy(update={"scoring": config.scoring.model_copy(update={"inference": mode})})
            _score(scored, dataset, RunFolder(run.path, mode), engine, weights_dir, fetch, watcher.progress)
        beside = {}
        if whole and asked is not None:  # in one sitting: start of the process, data, scores
            beside["seconds_beside_training"] = max(0.0, time.time() - asked - run.status()["training"]["seconds"])
        run.set_status("finished", finished=_now(), files=run.record_hashes(), **beside)
        if not config.training.keep_checkpoints:
            shutil.rmtree(run.checkpoint, ignore_errors=True)


def take_part(config: RunConfig, group: Group, stop: Callable[[], bool]) -> None:
    """Train with the first process of ``group``, which writes, if it finds that there is something to train.

    Raises:
        DataError: the data here are not those of the first process.
    """
    dataset = open_dataset(config.data)
    told = group.tell(None)
    if told is None:
        return
    identity, threads = told
    if run_id(config, dataset.key, group.size) != identity:
        raise DataError(f"process {group.rank} of the training has other data, or another p2pbench, than the first")
    engine = prepare(config.training, threads)
    images = decoded(dataset, "train")
    reporter = Reporter(lambda _done, _total: None, lambda _epochs, _generator: None, stop)
    with TemporaryDirectory() as folder:
        train(config, images, Path(folder), identity, engine, reporter, group)


def _check_owner(run: RunFolder, identity: str) -> None:
    owner = run.status().get("run_id", identity)
    if owner != identity:
        raise ConfigError(
            f"{run.path} holds another run ({owner}, not {identity}): its settings, data or code differ; "
            "use another --out, or remove the folder"
        )


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
        run.losses_file.unlink(missing_ok=True)
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
        columns = [visible(given, config.data), outputs, targets_of(shown, config.data)]
        write_sheet(run.samples / f"epoch-{epochs:04d}.png", [as_rgb8(column) for column in columns])
        if epochs == 0:
            untrained = conditions_of(test[chosen], config.data)
            outputs = translate(generator, untrained, config.data, seed=config.training.seed, keys=chosen)
            for position, output in zip(chosen, outputs, strict=True):
                save_png(run.sample_file("untrained", position), as_rgb8(output))

    judge = None
    if config.training.select == "best-on-val":
        judged = unseen[spread(len(unseen), N_JUDGED)]
        judge = partial(l1_of, pairs=judged, config=config)

    run.set_status("running", bits=8 * images.dtype.itemsize)
    watcher.stage("train")
    log.info(
        "training %s on %s, engine %s%s, %d threads, %s",
        identity, engine.device, engine.kind, " (auto)" if config.training.engine == "auto" else "", engine.threads,
        config.training.precision,
    )  # fmt: skip
    reporter = Reporter(watcher.progress, sample, watcher.stop, judge)
    with telling_what_fits(config, engine.device):
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


def _selected(trained: Trained) -> dict[str, Any]:
    """What the record says of the epoch that was selected; nothing where it is the last."""
    if trained.selected is None:
        return {}
    value = trained.selected.value
    return {"selected": {"epoch": trained.selected.epoch, "val_l1": value if isfinite(value) else None}}


def _record_flops(run: RunFolder, config: RunConfig) -> None:
    """Add to the record of the training what its generator costs for one image."""
    training = run.status()["training"]
    if "generator_flops" not in training:
        flops = describe(config)["generator"]["flops"]
        run.set_status(str(run.status()["state"]), training={**training, "generator_flops": flops})


def _score(
    config: RunConfig,
    dataset: DataSet,
    run: RunFolder,
    engine: Engine,
    weights_dir: Path | None,
    fetch: bool,
    progress: Progress,
) -> None:
    """Measure the scores that the run lacks, and add them to those it has; record what reports show of its outputs."""
    wanted = run.missing_scores(config, weights_dir)
    profile = Profile(run, len(dataset.names["test"])) if not run.profile() else None
    if not wanted and profile is None:
        return
    log.info("scoring: %s", ", ".join(wanted) or "what reports show")
    generator = load_generator(run).to(engine.device)
    scores = score_generator(
        config, generator, dataset, wanted, engine, weights_dir, progress,
        fetch=fetch, watchers=[] if profile is None else [profile.add],
    )  # fmt: skip
    if profile is not None:
        _profile(config, generator, dataset, run, profile)
    if wanted:
        record_scores(run, scores)


def _profile(config: RunConfig, generator: nn.Module, dataset: DataSet, run: RunFolder, profile: Profile) -> None:
    """Record what reports show of the outputs beside their scores, and pictures of the conditions."""
    test = decoded(dataset, "test")
    for position in profile.kept:
        condition = visible(conditions_of(test[position : position + 1], config.data), config.data)[0]
        save_png(run.sample_file("condition", position), as_rgb8(condition))
    redrawn = spread(len(test), N_REDRAWN) if config.scoring.inference == "paper" else []  # others draw no noise
    with contextlib.suppress(NotFinite):  # the scores say so
        for draw in range(1, REDRAWS + 1) if redrawn else ():
            outputs = _outputs(config, generator, test[redrawn], keys=[draw * len(test) + p for p in redrawn])
            for position, output in zip(redrawn, outputs, strict=True):
                save_png(run.sample_file(f"draw{draw}", position), as_rgb8(output))
    write_json(run.profile_file, profile.to_json(dataset.names["test"], redrawn))


def score_generator(
    config: RunConfig,
    generator: nn.Module,
    dataset: DataSet,
    metrics: Sequence[str],
    engine: Engine,
    weights_dir: Path | None,
    progress: Progress,
    *,
    fetch: bool = True,
    split: str = "test",
    watchers: Sequence[Callable[[np.ndarray, np.ndarray], None]] = (),
) -> Scores:
    """The scores of ``generator`` on a split, at ``crop_size``; translated, and read, batch by batch.

    Args:
        progress: of training the segmentation network, where FCN-scores need one that is not there yet.
        watchers: see :func:`evaluate`.

    Raises:
        ConfigError: the data have no such split.
    """
    if split not in dataset.names:
        raise ConfigError(f"{config.data.source} has no split {split!r}; it has {', '.join(dataset.names)}")
    # Training pairs too as test pairs are: not larger, to be cropped.
    uncropped = replace(dataset, config=config.data.model_copy(update={"jitter": False}))
    pairs, n = decoded(uncropped, split), len(dataset.names[split])
    shape = (n, *as_scored(targets_of(pairs[:1], config.data)).shape[1:])

    def rows(start: int, stop: int) -> np.ndarray:
        found = np.array(pairs[start:stop])
        let_go(pairs)
        return found

    def draw(k: int) -> Made:
        """The outputs with the k-th noise; those with the 0th are scored."""

        def outputs(start: int, stop: int) -> np.ndarray:
            return as_scored(_outputs(config, generator, rows(start, stop), keys=range(k * n + start, k * n + stop)))

        return Made(shape, outputs)

    targets = Made(shape, lambda start, stop: as_scored(targets_of(rows(start, stop), config.data)))
    return evaluate(
        draw(0), targets, dataset.names[split], metrics,
        weights_dir=weights_dir, fetch=fetch, device=str(engine.device),
        settings=inference_settings(config, split), redraw=lambda k: draw(k + 1),
        classes=class_reader(config, dataset, metrics, engine, progress, split), watchers=watchers,
    )  # fmt: skip


def class_reader(
    config: RunConfig, dataset: DataSet, metrics: Sequence[str], engine: Engine, progress: Progress, split: str = "test"
) -> ClassReader | NoReader:
    """What reads classes from outputs, where any of ``metrics`` is an FCN-score; or why nothing can."""
    if not set(FCN_SCORES) & set(metrics):
        return NO_LABELS
    if split != "test":
        return NoReader("is taken of the test split alone, where it stands beside what the real photos score")
    return find_reader(dataset, config.scoring.palette, engine.device, progress)


def _outputs(config: RunConfig, generator: nn.Module, pairs: np.ndarray, keys: Sequence[int]) -> np.ndarray:
    """What ``generator`` makes of the conditions of ``pairs``, as scoring has it: (N, H, W, C'), uint8 or uint16."""
    return translate(
        generator, conditions_of(pairs, config.data), config.data,
        seed=config.training.seed, mode=config.scoring.inference, keys=keys,
    )  # fmt: skip


def inference_settings(config: RunConfig, split: str = "test") -> dict[str, Any]:
    """How a run's outputs are made for scoring, and of which split: recorded with every score."""
    settings = {
        "split": split,
        "inference": config.scoring.inference,
        "noise_seed": config.training.seed,
        "size": config.data.crop_size,
    }
    return settings | ({"padded_to": config.padded_shape} if config.padded_shape != config.data.crop_shape else {})


def record_scores(run: RunFolder, new: Scores) -> None:
    """Add ``new`` to the run's scores.json and per_image.csv."""
    import pandas as pd

    added = new.to_json()
    merged = {**added, "scores": {**run.scores(), **added["scores"]}}
    table = new.to_frame()
    if run.per_image_file.is_file():
        try:
            before = pd.read_csv(run.per_image_file, dtype={"image": str})
        except ValueError:  # damaged: made anew
            before = pd.DataFrame({"image": []})
        if len(before) == len(table):  # of the same images in the same order, or the run would be another
            kept = before.drop(columns=["image", *new.per_image], errors="ignore")
            table = pd.concat([table[["image"]], kept, table.drop(columns="image")], axis=1)
    write_text(run.per_image_file, table.to_csv(index=False))
    write_json(run.scores_file, merged)  # last: a run with scores.json has all of them


def load_config(run: RunFolder) -> RunConfig:
    """The configuration of a run. Raises :class:`ConfigError` if it is damaged."""
    return from_mapping(yaml12.read(run.config_file), str(run.config_file))


def load_generator(run: RunFolder) -> nn.Module:
    """The trained generator of a run, on the CPU. Raises :class:`WeightsError` if it is missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    generator = build_generator(load_config(run))
    try:
        generator.load_state_dict(load_file(run.generator_file))
    except FileNotFoundError:
        raise WeightsError(f"{run.path} has no generator.safetensors: its training has not finished") from None
    except (SafetensorError, RuntimeError, OSError) as error:
        raise WeightsError(
            f"{run.generator_file} does not fit the run's configuration: {str(error).splitlines()[0]}"
        ) from None
    return generator


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
