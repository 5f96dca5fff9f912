"""The training of a run: what it samples on the way, what it is selected by, and the record of what it took."""

import logging
from collections.abc import Callable
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from p2pbench.config.metrics import METRICS
from p2pbench.config.run_id import cost_key
from p2pbench.config.schema import RunConfig
from p2pbench.config.sections import PROJECTED
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import DataSet
from p2pbench.data.images import as_rgb8
from p2pbench.data.transforms import as_displayed, conditions_of, targets_of
from p2pbench.inference.generator import translate
from p2pbench.inference.samples import save_png, spread, write_sheet
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.records import Training
from p2pbench.runs.validation import Validation
from p2pbench.scoring import weights
from p2pbench.scoring.lpips import load_layers
from p2pbench.scoring.lpips_loss import load_lpips_loss
from p2pbench.system.files import sha256_of
from p2pbench.system.progress import Count
from p2pbench.training.checkpoint import save_generator
from p2pbench.training.distributed import Group
from p2pbench.training.engine import Engine
from p2pbench.training.loop import Reporter, TrainingResult, train
from p2pbench.training.memory import out_of_memory_explained
from p2pbench.training.pretrained import Pretrained

log = logging.getLogger(__name__)

N_SHEET, N_UNTRAINED = 4, 8
"""Pairs on each sheet of samples, and test pairs whose output at the initial weights is kept."""


def train_run(
    config: RunConfig, images: np.ndarray, identity: str, run: RunFolder, engine: Engine, reporter: Reporter,
    group: Group, pretrained: Pretrained,
) -> nn.Module:  # fmt: skip
    """Train the generator of ``run`` on ``images``, write it, and record what the training took; returns it."""
    run.set_status("running", bits=8 * images.dtype.itemsize)
    log.info(
        "training %s on %s, engine %s%s, %d threads, %s",
        identity, engine.device, engine.kind, " (auto)" if config.training.engine == "auto" else "", engine.threads,
        config.training.precision,
    )  # fmt: skip
    with out_of_memory_explained(config, engine.device):
        trained = train(config, images, run.path, identity, engine, reporter, group, pretrained)
    log.info("trained %d steps in %.0f s", trained.steps, trained.seconds)
    save_generator(run.generator_file, trained.generator, {"run_id": identity})
    record = _record_of(trained, config, run).model_copy(update=pretrained.record)
    run.set_status("running", training=record)
    # As a generator that is read from its file is laid out: its scores are the same to the bit.
    return trained.generator.to(memory_format=torch.contiguous_format)


def pretrained_of(config: RunConfig, weights_dir: Path | None, *, fetch: bool) -> Pretrained:
    """The frozen networks that the training of ``config`` looks through.

    Raises:
        WeightsError: the weights of one are not on this machine and cannot be fetched, or are damaged.
    """
    perceptual = features = None
    record: dict[str, Any] = {}
    if (net := config.objective.perceptual) is not None:
        perceptual = load_lpips_loss(net, weights_dir, fetch=fetch)
        record["perceptual"] = perceptual.settings
    if config.is_projected:
        path = weights.obtain(PROJECTED, weights_dir, fetch=fetch)
        features = load_layers(PROJECTED, path).state_dict()
        record["features"] = {"net": PROJECTED, "weights": path.name, "weights_sha256": weights.sha256(path)}
    return Pretrained(perceptual, features, record)


def _record_of(trained: TrainingResult, config: RunConfig, run: RunFolder) -> Training:
    record = Training(
        steps=trained.steps,
        seconds=trained.seconds,
        seconds_per_step=trained.seconds / trained.steps,
        peak_memory_bytes=trained.peak_memory_bytes,
        data_wait_share=trained.data_wait_share,
        engine=trained.engine,
        generator_parameters=sum(parameter.numel() for parameter in trained.generator.parameters()),
        cost_key=cost_key(config),
        generator_sha256=sha256_of(run.generator_file),
    )
    if (best := trained.selected) is None:
        return record
    name = config.training.select
    value = -best.value if METRICS[name].better == "higher" else best.value
    selected = {"epoch": best.epoch, f"val_{name}": value if isfinite(value) else None}
    return record.model_copy(update={"selected": selected})


def reporter_of(
    config: RunConfig, dataset: DataSet, run: RunFolder, engine: Engine, progress: Count, stop: Callable[[], bool],
    *, weights_dir: Path | None, fetch: bool,
) -> Reporter:  # fmt: skip
    """What the training of ``run`` reports to: sheets of samples, and validation scores where they are asked for."""
    test = decoded(dataset, "test")
    unseen = decoded(dataset, "val") if "val" in dataset.names else test
    shown = unseen[spread(len(unseen), N_SHEET)]
    given = conditions_of(shown, config.data)
    kept = spread(len(test), N_UNTRAINED)

    def sample(epochs: int, generator: nn.Module) -> None:
        outputs = translate(generator, given, config.data, seed=config.training.seed, mode=config.watched_mode)
        columns = [as_displayed(given, config.data), outputs, targets_of(shown, config.data)]
        write_sheet(run.samples / f"epoch-{epochs:04d}.png", [as_rgb8(column) for column in columns])
        if epochs == 0:
            untrained = conditions_of(test[kept], config.data)
            outputs = translate(
                generator, untrained, config.data, seed=config.training.seed, mode=config.watched_mode, keys=kept
            )
            for position, output in zip(kept, outputs, strict=True):
                save_png(run.sample_file("untrained", position), as_rgb8(output))

    selecting, scoring = config.training.select != "last", config.scoring.every > 0
    if not (selecting or scoring):
        return Reporter(progress, sample, stop)
    if "val" not in dataset.names:
        log.warning("no scores while training: %s has no validation split", config.data.source)
        return Reporter(progress, sample, stop)
    validation = Validation(config, dataset, str(engine.device), weights_dir, fetch=fetch)
    curve = partial(validation.add_to_curve, run.curve_file)
    return Reporter(progress, sample, stop, validation.distance if selecting else None, curve if scoring else None)
