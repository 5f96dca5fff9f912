"""The scores of one model, or of a folder of images, outside a study: what ``score`` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from p2pbench.config.metrics import FCN_SCORES, METRICS, checked_metrics
from p2pbench.config.resolve import Layer, resolve
from p2pbench.config.run_id import run_id
from p2pbench.data.dataset import open_dataset
from p2pbench.data.image_files import read_image
from p2pbench.data.outputs import is_of_port, outputs_in, targets_in
from p2pbench.errors import ConfigError, DataError
from p2pbench.runs.folder import RunFolder
from p2pbench.scoring.images import LazyImages
from p2pbench.system.hardware import available_cores
from p2pbench.system.progress import Count, stages

if TYPE_CHECKING:
    from p2pbench.scoring.segmentation import ClassReader, NoReader


def score_model(
    model: str,
    runs: Path,
    layers: Sequence[Layer],
    metrics: Sequence[str] | None,
    weights_dir: Path | None,
    console: Console,
    split: str = "test",
    inference: str | None = None,
) -> dict[str, Any]:
    """The documented JSON of ``score --model``: a run's generator, or a port's, on a split of its data.

    Nothing is written to the run: its record holds the test split's scores alone.
    """
    from p2pbench.runs.model import load_model
    from p2pbench.runs.score_run import score_generator
    from p2pbench.training.engine import prepare_engine

    loaded = load_model(model, runs, layers, inference=inference)
    config, run = loaded.config, RunFolder(loaded.folder) if loaded.folder else None
    names = checked_metrics(metrics, "--metrics") if metrics else list(config.scoring.wanted)
    recorded = run.recorded_threads() if run else 0
    engine = prepare_engine(config.training, config.training.threads or recorded)
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
    wanted = (
        checked_metrics(metrics, "--metrics") if metrics else _default_metrics(weights_dir, with_classes=bool(settings))
    )
    names, fakes, targets = _matched(fake, target)
    shape = _one_shape([*fakes, *targets])
    target_images = _read(targets, shape)
    classes: ClassReader | NoReader = NO_LABELS
    with stages(console) as stage:
        if set(FCN_SCORES) & set(wanted):
            classes = _find_reader(target_images, names, settings, stage("segmentation network", "steps"))
        scores = evaluate(
            _read(fakes, shape), target_images, names, wanted,
            weights_dir=weights_dir, settings={"size": list(shape[:2])}, classes=classes,
            progress=stage("scoring", "images"),
        )  # fmt: skip
    return scores.to_json()


def _matched(fake: Path, target: Path) -> tuple[list[str], list[Path], list[Path]]:
    """The names that both folders have images of, sorted, and the images of each.

    Either may be a results folder of the port, which holds both.

    Raises:
        DataError: a folder without images, or against itself, or a name that only one of them has.
    """
    if fake.resolve() == target.resolve() and not is_of_port(fake):
        raise DataError(f"--fake and --target are both {fake}: images against themselves say nothing")
    fakes, targets = outputs_in(fake), targets_in(target)
    lonely = sorted(fakes.keys() ^ targets.keys())
    if lonely:
        lacks = target if lonely[0] in fakes else fake
        raise DataError(
            f"{len(lonely)} names are in one folder only, the first {lonely[0]!r}, which {lacks} lacks; "
            "images are matched by name"
        )
    names = sorted(fakes)
    return names, [fakes[name] for name in names], [targets[name] for name in names]


def _one_shape(files: Sequence[Path]) -> tuple[int, int, int]:
    """(H, W, 3) of all ``files``. Each is decoded: what cannot be read shows now, not after an hour of scoring.

    Raises:
        DataError: sizes that differ, or an image that cannot be read.
    """
    with ThreadPoolExecutor() as pool:
        shapes = pool.map(lambda path: read_image(path).shape, files)
        height, width, _ = first = next(shapes)
        for path, shape in zip(files[1:], shapes, strict=True):
            if shape != first:
                raise DataError(
                    f"{path} is {shape[1]}x{shape[0]} where {files[0]} is {width}x{height}: "
                    "scores compare images of one size; resize them first"
                )
    return height, width, 3


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


def _default_metrics(weights_dir: Path | None, *, with_classes: bool) -> list[str]:
    """The scores that need no model, and no pretrained network but those on this machine.

    LPIPS and FID, which everybody expects, are always among them: their networks are fetched, or the reason is given.
    """
    from p2pbench.scoring.weights import usable

    left_out = {"diversity", *(() if with_classes else FCN_SCORES)}
    return [
        name for name, metric in METRICS.items()
        if name not in left_out and (metric.net in (None, "alex", "inception") or usable(metric.net, weights_dir))
    ]  # fmt: skip
