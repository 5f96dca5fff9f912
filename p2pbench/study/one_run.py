"""One run or one folder of images, outside a study: what ``train`` and ``score`` do."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from p2pbench.config import yaml12
from p2pbench.config.metrics import FCN_SCORES, METRICS
from p2pbench.config.plugins import is_reference
from p2pbench.config.resolve import Layer, flatten, parse_set, resolve
from p2pbench.config.run_id import run_id
from p2pbench.config.schema import RunConfig
from p2pbench.data.dataset import check_selection, open_dataset, steps_per_epoch
from p2pbench.data.image_files import read_image
from p2pbench.data.pairs import images_by_name
from p2pbench.errors import ConfigError, DataError, Interrupted, P2PBenchError, RunBusy, unknown
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.store import Store
from p2pbench.scoring.images import LazyImages
from p2pbench.study.grid import DEFAULT_PROTOCOL, read_protocol
from p2pbench.system.console import logged_to
from p2pbench.system.hardware import available_cores
from p2pbench.system.progress import Count, stages

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from p2pbench.scoring.segmentation import ClassReader, NoReader
    from p2pbench.training.distributed import Group


def train_one(
    *,
    config: Path | None,
    protocol: str | None,
    assignments: list[str],
    folder: Path | None,
    resume: bool,
    runs: Path,
    weights_dir: Path | None,
    console: Console,
) -> RunFolder | None:
    """Train and score one run in this process, with a progress bar on ``console``; returns its folder.

    Where torchrun started several processes they share the training; those that are not the first return None.

    Raises:
        ConfigError: settings that do not fit, or a folder that holds an unfinished run while ``resume`` is false.
        Interrupted: the user stopped it, after a checkpoint.
    """
    settings = _settings(config, protocol, assignments)
    dataset = open_dataset(settings.data)
    steps_per_epoch(dataset, settings.training.batch_size)  # or there are too few pairs
    check_selection(dataset, settings.training.select)

    from p2pbench.training.distributed import process_group
    from p2pbench.training.engine import available_device

    device = available_device(settings.training.device)
    with process_group(device) as group:
        group.check(settings, device)
        identity = run_id(settings, dataset.key, group.size)
        run = RunFolder(folder, settings.scoring.inference) if folder else None
        run = run or Store(runs).run(identity, settings.scoring.inference)
        return _train_one(settings, identity, run, group, resume, weights_dir, console)


def _train_one(
    settings: RunConfig, identity: str, run: RunFolder, group: Group, resume: bool, weights_dir: Path | None,
    console: Console,
) -> RunFolder | None:  # fmt: skip
    from p2pbench.runs.cell import Watcher, run_cell, take_part
    from p2pbench.study.worker import Stop, stopping_on_signals

    stop = Stop()
    if not group.is_first:
        stop.enter("train")
        with stopping_on_signals(stop):
            take_part(settings, group, stop)
        return None
    if not run.may_be_written():
        raise ConfigError(
            f"{run.path} holds files that are no run of p2pbench; choose another --out, or an empty folder"
        )
    unfinished = _has_checkpoint(run) and not run.finished()
    if unfinished and not resume:
        raise ConfigError(f"{run.path} holds an unfinished run; go on with --resume, or choose another --out")
    if resume and not unfinished and not run.trained():
        raise ConfigError(f"{run.path} holds no run to go on with; leave --resume out to begin one")
    with stages(console) as stage, stopping_on_signals(stop), logged_to(run.log_file):
        counts = {"data": stage("decode", "pairs"), "train": stage("train", "steps"), "score": stage("score", "done")}

        def progress(done: int, total: int) -> None:
            counts[stop.stage](done, total)

        watcher = Watcher(stop.enter, progress, stop)
        try:
            run_cell(
                settings, run, watcher,
                modes=[run.inference], wait=False, threads=group.threads(), weights_dir=weights_dir, fetch=True,
                group=group,
            )  # fmt: skip
        except RunBusy:
            raise  # it is another process's, its status too
        except (Interrupted, KeyboardInterrupt) as error:
            run.set_status("interrupted", str(error))
            begun = _has_checkpoint(run) or run.trained()
            raise Interrupted(f"{error}; {'go on with --resume' if begun else 'nothing was trained'}") from None
        except Exception as error:
            log.info("failed: %s", error)
            if run.recorded_id() == identity:  # or it is another run's
                with contextlib.suppress(P2PBenchError):
                    run.set_status("failed", str(error))
            raise
    return run


def _has_checkpoint(run: RunFolder) -> bool:
    return run.checkpoint.is_dir() and any(run.checkpoint.iterdir())


def _settings(config: Path | None, protocol: str | None, assignments: list[str]) -> RunConfig:
    layers = []
    if config is not None:
        if protocol is not None:
            raise ConfigError("--config and --protocol: give one of them; a config is complete by itself")
        content = yaml12.read(config)
        if not isinstance(content, dict):
            raise ConfigError(f"{config}: expected sections of settings, as in training: {{epochs: 200}}")
        if any(assignment.partition("=")[0].strip() == "training.preset" for assignment in assignments):
            raise ConfigError(
                "--set training.preset with --config: the file's own values would stand over the preset's; "
                "edit the file, or start from a --protocol"
            )
        layers.append(Layer(str(config), flatten(content, str(config))))
    else:
        fixed = read_protocol(protocol or DEFAULT_PROTOCOL)
        layers.append(Layer(f"protocol {fixed.name}", fixed.settings))
    return resolve([*layers, Layer("--set", parse_set(assignments))]).config


def score_model(
    model: str,
    runs: Path,
    layers: Sequence[Layer],
    metrics: Sequence[str] | None,
    weights_dir: Path | None,
    console: Console,
    split: str = "test",
) -> dict[str, Any]:
    """The documented JSON of ``score --model``: a run's generator, or a port's, on a split of its data.

    Nothing is written to the run: its record holds the test split's scores alone.
    """
    from p2pbench.runs.model import load_model
    from p2pbench.runs.score_run import score_generator
    from p2pbench.training.engine import prepare_engine

    loaded = load_model(model, runs, layers)
    config, run = loaded.config, RunFolder(loaded.folder) if loaded.folder else None
    names = _metrics(metrics) if metrics else list(config.scoring.wanted)
    recorded = run.recorded_threads() if run else 0
    engine = prepare_engine(config.training, config.training.threads or recorded or available_cores())
    generator = loaded.generator.to(engine.device)
    dataset = open_dataset(config.data)
    trained_as, now = run.recorded_id() if run else None, run_id(config, dataset.key)
    if run and trained_as not in (None, now):
        raise DataError(
            f"{run.path} was trained as {trained_as}, which would be {now} today: its data, or the code of its "
            "networks, have changed since"
        )
    with stages(console) as stage:
        scores = score_generator(
            config, generator, dataset, names, engine, weights_dir, stage("scoring", "images"),
            learned=stage("segmentation network", "steps"), split=split,
        )  # fmt: skip
    return scores.to_json()


def score_folders(
    fake: Path,
    target: Path,
    metrics: Sequence[str] | None,
    weights_dir: Path | None,
    settings: Mapping[str, Any],
    console: Console,
) -> dict[str, Any]:
    """The documented JSON of ``score --fake --target``: images matched by name, whatever made them.

    Args:
        settings: ``data.source`` and ``scoring.palette``, if given: with either, FCN-scores are among the scores.
    Raises:
        ConfigError: another setting.
        DataError: a name without its mate, sizes that differ, an image that cannot be read.
    """
    from p2pbench.scoring.evaluate import NO_LABELS, evaluate

    for key in settings.keys() - {"data.source", "scoring.palette"}:
        raise ConfigError(
            f"--set {key}: images in folders have no settings but data.source, the data set that they are of, and "
            "scoring.palette, the colours of its label maps"
        )
    names = _metrics(metrics) if metrics else _of_folders(weights_dir, with_classes=bool(settings))
    ours, theirs = (images_by_name(folder) for folder in (fake, target))
    for folder, found in ((fake, ours), (target, theirs)):
        if not found:
            raise DataError(f"{folder} holds no images")
    lonely = sorted(ours.keys() ^ theirs.keys())
    if lonely:
        lacks = target if lonely[0] in ours else fake
        raise DataError(
            f"{len(lonely)} names are in one folder only, the first {lonely[0]!r}, which {lacks} lacks; "
            "images are matched by name"
        )
    of_images = sorted(ours)
    fakes, targets = ([found[name] for name in of_images] for found in (ours, theirs))
    shape = _one_shape([*fakes, *targets])
    theirs_read = _read(targets, shape)
    classes: ClassReader | NoReader = NO_LABELS
    with stages(console) as stage:
        if set(FCN_SCORES) & set(names):
            classes = _find_reader(theirs_read, of_images, settings, stage("segmentation network", "steps"))
        scores = evaluate(
            _read(fakes, shape), theirs_read, of_images, names,
            weights_dir=weights_dir, settings={"size": list(shape[:2])}, classes=classes,
            progress=stage("scoring", "images"),
        )  # fmt: skip
    return scores.to_json()


def _one_shape(files: Sequence[Path]) -> tuple[int, int, int]:
    """(H, W, 3) of all ``files``. Each is decoded: what cannot be read shows now, not after an hour of scoring.

    Raises:
        DataError: sizes that differ, or an image that cannot be read.
    """
    with ThreadPoolExecutor() as pool:
        shapes = pool.map(lambda path: read_image(path).shape, files)
        first = next(shapes)
        for path, shape in zip(files[1:], shapes, strict=True):
            if shape != first:
                raise DataError(
                    f"{path} is {shape[1]}x{shape[0]} where {files[0]} is {first[1]}x{first[0]}: "
                    "scores compare images of one size; resize them first"
                )
    return first[0], first[1], 3


def _read(files: Sequence[Path], shape: tuple[int, int, int]) -> LazyImages:
    """The images in ``files``, read when they are asked for."""

    def read(start: int, stop: int) -> np.ndarray:
        with ThreadPoolExecutor() as pool:
            return np.stack(list(pool.map(read_image, files[start:stop])))

    return LazyImages((len(files), *shape), read)


def _find_reader(
    targets: LazyImages, names: Sequence[str], settings: Mapping[str, Any], learned: Count
) -> ClassReader | NoReader:
    import torch

    from p2pbench.scoring.segmentation import find_reader_of_images
    from p2pbench.training.engine import available_device

    config = resolve([Layer("--set", settings)]).config
    source = config.data.source if "data.source" in settings else None
    torch.set_num_threads(available_cores())
    device = torch.device(available_device("auto"))
    return find_reader_of_images(targets, names, source, config.scoring.palette, device, learned)


def _of_folders(weights_dir: Path | None, *, with_classes: bool) -> list[str]:
    """All scores that need no model and no network but those on this machine; LPIPS and FID even so, which everybody
    expects: their networks are fetched, or the reason is given."""
    from p2pbench.scoring.weights import usable

    left_out = {"diversity", *(() if with_classes else FCN_SCORES)}
    return [
        name for name, metric in METRICS.items()
        if name not in left_out and (metric.net in (None, "alex", "inception") or usable(metric.net, weights_dir))
    ]  # fmt: skip


def _metrics(names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in METRICS and not is_reference(name):
            raise ConfigError(f"--metrics: {unknown('metric', name, METRICS)}")
    return list(dict.fromkeys(names))
