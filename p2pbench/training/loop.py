"""The training loop, read from top to bottom: :func:`train` sets up, resumes, and updates D and G step by step.

The update itself is :mod:`p2pbench.training.step`; the losses are :mod:`p2pbench.training.losses`.
"""

import csv
import io
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from p2pbench.config.schema import RunConfig, TrainingConfig
from p2pbench.data.batches import open_batches
from p2pbench.data.label_classes import check_conditions
from p2pbench.errors import Interrupted, TrainingError
from p2pbench.system.files import write_text
from p2pbench.system.progress import Count
from p2pbench.training import checkpoint
from p2pbench.training.checkpoint import Writer
from p2pbench.training.distributed import ALONE, Group
from p2pbench.training.engine import (
    Engine,
    adam_settings,
    build_networks,
    build_optimisers,
    peak_memory_bytes,
    place_networks,
    runner,
)
from p2pbench.training.pretrained import NOTHING, Pretrained
from p2pbench.training.step import LOSS_NAMES, Networks, Optimisers


@dataclass(frozen=True)
class Reporter:
    """The functions by which the loop reports progress and asks whether to stop."""

    progress: Count
    """Called after each step with (steps done, steps in all)."""
    sample: Callable[[int, nn.Module], None]
    """Called with (epochs done, generator) before training, every ``sample_every`` epochs, and at the end."""
    stop: Callable[[], bool]
    """Called after each step; true ends the training after a checkpoint."""
    validation_score: Callable[[nn.Module], float] | None = None
    """Called with the generator after each epoch where ``training.select`` names a score; lower is better."""
    curve: Callable[[int, int, float, nn.Module], None] | None = None
    """Called with (epochs done, steps done, seconds of training, generator) every ``scoring.every`` epochs and at the
    end. Its own time is no part of the training's."""


@dataclass(frozen=True)
class TrainingResult:
    """A finished training: its generator and what it cost."""

    generator: nn.Module
    steps: int
    seconds: float
    """Seconds of training, resumed sittings included."""
    peak_memory_bytes: int
    data_wait_share: float
    """The share of this sitting's time between asking for a batch and having it enqueued, 0 to 1."""
    engine: str
    """What ran the steps: ``eager``, ``compile``, ``graph`` or ``graph+compile``."""
    selected: checkpoint.Best | None
    """The epoch that was selected by its validation score, and its generator; None for the last epoch."""


def train(
    config: RunConfig,
    images: np.ndarray,
    folder: Path,
    run_id: str,
    engine: Engine,
    reporter: Reporter,
    group: Group = ALONE,
    pretrained: Pretrained = NOTHING,
) -> TrainingResult:
    """Train the networks of ``config`` on ``images``, resuming from the checkpoint in ``folder`` if there is one.

    Writes ``losses.csv`` and ``checkpoint/`` into ``folder``. An interrupted and resumed training gives the same bits
    as one that ran through, on one machine with one thread setting; on CUDA under ``training.deterministic``, else the
    same to rounding.

    Args:
        images: training pairs, (N, H, W, C + C'), uint8 or uint16.
        group: the processes that share the training; only the first one writes files and takes samples.
        pretrained: the frozen networks that it looks through.
    Raises:
        ConfigError: D is to tell labels apart, and the conditions are none.
        TrainingError: a loss is not finite; the message names the step. The last good checkpoint stays.
        Interrupted: ``reporter.stop`` returned true; a checkpoint of that step is written.
        StorageError: a checkpoint cannot be written; earlier ones stay.
    """
    with (
        Writer(folder / "checkpoint", run_id, config.training.checkpoints, group.size) as writer,
        ExitStack() as at_end,
    ):
        networks = build_networks(config, pretrained)
        return _train(config, images, folder, run_id, engine, reporter, group, networks, writer, at_end)


def _train(
    config: RunConfig, images: np.ndarray, folder: Path, run_id: str, engine: Engine, reporter: Reporter, group: Group,
    networks: Networks, writer: Writer, at_end: ExitStack,
) -> TrainingResult:  # fmt: skip
    training = config.training
    check_conditions(config, images)
    networks = place_networks(networks, engine)
    networks = group.synchronise_norms(networks, config)
    optimisers = build_optimisers(networks, config, capturable="graph" in engine.kind)
    group.attach(optimisers)
    share = group.share_of(training.batch_size)
    batches = open_batches(images, config, engine.device, share=share, sharers=engine.sharers)
    steps = training.epochs * batches.steps_per_epoch
    torch.manual_seed(training.seed)  # dropout draws from the global random state

    done = group.resume(folder / "checkpoint", run_id, networks, optimisers, steps)
    if done is None:
        done = checkpoint.Progress(step=0, rows=[], pending=torch.empty(0, len(LOSS_NAMES)), seconds=0.0)
        if group.is_first:
            reporter.sample(0, group.for_one_process(networks.kept, config))
    rows, best, first = done.rows, done.best, done.step
    n_window = len(done.pending)  # steps since the last row of losses.csv
    window = torch.zeros(max(training.log_every, n_window + 1), len(LOSS_NAMES), device=engine.device)
    window[:n_window] = done.pending

    waited = 0.0  # by the host's clock, without asking the device
    start = saved = time.monotonic()
    run = runner(engine, networks, optimisers, batches, config)
    at_end.callback(run.end)
    for step in range(first, steps):
        if step == first or step % batches.steps_per_epoch == 0:
            set_learning_rates(optimisers, training, step // batches.steps_per_epoch)
        asked = time.monotonic()
        run.feed(step)
        waited += time.monotonic() - asked
        group.seed(training.seed, step)
        window[n_window] = run.run()

        n_done, n_window = step + 1, n_window + 1
        epochs_done, left_over = divmod(n_done, batches.steps_per_epoch)
        sampling = left_over == 0 and (epochs_done % training.sample_every == 0 or n_done == steps)
        validating = left_over == 0 and training.select != "last"
        every = config.scoring.every
        scoring = left_over == 0 and every > 0 and (epochs_done % every == 0 or n_done == steps)
        stopping = n_done < steps and group.any_rank(reporter.stop())
        full, last = n_window >= training.log_every, n_done == steps
        if full or last or stopping or sampling or validating or scoring:
            losses = group.mean(window[:n_window]).cpu()  # the only place where the host waits for the device
            check_finite(losses, n_done)
            if (
                sampling or validating or scoring
            ) and group.is_first:  # before the checkpoint, which counts them as done
                generator = group.for_one_process(networks.kept, config)
                if sampling:
                    reporter.sample(epochs_done, generator)
                if validating:
                    best = better(best, epochs_done, generator, reporter)
                if scoring and reporter.curve is not None:
                    before = time.monotonic()
                    reporter.curve(epochs_done, n_done, done.seconds + before - start, generator)
                    start += time.monotonic() - before
            if full:
                rows.append([n_done, n_done / batches.steps_per_epoch, *losses.double().mean(0).tolist()])
                losses, n_window = losses[:0], 0
            now = time.monotonic()
            # That of the last step is as it would be on the way of a longer training, which may go on from it.
            due = training.keep_checkpoints if last else full and now - saved >= training.checkpoint_seconds
            if (stopping or due) and group.is_first:
                state = checkpoint.Progress(n_done, rows, losses, done.seconds + now - start, best)
                then = partial(write_losses, folder / "losses.csv", list(rows), config)
                writer.save(networks, optimisers, state, then)
                saved = time.monotonic()
        reporter.progress(n_done, steps)
        if stopping:
            writer.wait()
            raise Interrupted(f"stopped at step {n_done} of {steps}")

    writer.wait()
    if n_window:  # the last row is of fewer steps
        losses = group.mean(window[:n_window]).cpu()
        rows.append([steps, steps / batches.steps_per_epoch, *losses.double().mean(0).tolist()])
    if best is not None:
        networks.kept.load_state_dict(best.generator)
    if group.is_first:
        write_losses(folder / "losses.csv", rows, config)
    sitting = time.monotonic() - start
    peak = peak_memory_bytes(engine.device)
    wait_share = waited / max(sitting, waited, 1e-9)
    generator = group.for_one_process(networks.kept, config)
    return TrainingResult(generator, steps, done.seconds + sitting, peak, wait_share, run.kind, best)


def better(best: checkpoint.Best | None, epoch: int, generator: nn.Module, reporter: Reporter) -> checkpoint.Best:
    """``best``, or the generator after ``epoch`` if its validation score is lower; the earlier of equals."""
    assert reporter.validation_score is not None
    value = reporter.validation_score(generator)
    if best is not None and best.value <= value:
        return best
    weights = {name: tensor.detach().to("cpu", copy=True) for name, tensor in generator.state_dict().items()}
    return checkpoint.Best(epoch, value, weights)


def learning_rate(training: TrainingConfig, epoch: int, network: str = "generator") -> float:
    """The learning rate of ``network`` in ``epoch``, counted from 0.

    ``constant``, or the port's ``linear-decay``: constant for the first half, then linear towards zero, which is
    reached one epoch after the last.
    """
    rate, _ = adam_settings(training, network)
    if training.schedule == "constant":
        return rate
    decay = training.epochs - training.epochs // 2
    return rate * (1.0 - max(0, epoch + 1 - training.epochs // 2) / (decay + 1))


def set_learning_rates(optimisers: Optimisers, training: TrainingConfig, epoch: int) -> None:
    """Set the learning rate that each network has in ``epoch``."""
    for name, optimiser in optimisers.by_name().items():
        rate = learning_rate(training, epoch, name)
        for group in optimiser.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)  # in place, because a captured step reads it there
            else:
                group["lr"] = rate


def check_finite(losses: Tensor, n_done: int) -> None:
    """Raise :class:`TrainingError` if a loss of the last k steps, which end at step ``n_done``, is not finite.

    Args:
        losses: (k, 4), float32, in the order of ``LOSS_NAMES``.
    """
    bad = (~torch.isfinite(losses)).any(dim=1).nonzero()
    if len(bad):
        step = n_done - len(losses) + int(bad[0]) + 1
        names = [
            name
            for name, value in zip(LOSS_NAMES, losses[int(bad[0])].tolist(), strict=True)
            if not math.isfinite(value)
        ]
        raise TrainingError(
            f"{' and '.join(names)} of step {step} is not finite: training has diverged; "
            "try a lower training.learning_rate, or precision fp32"
        )


def write_losses(path: Path, rows: list[list[float]], config: RunConfig) -> None:
    """Write ``losses.csv``: steps done, epochs done, and the mean losses since the previous row.

    The columns of D are empty where the objective has no discriminator.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["step", "epoch", *LOSS_NAMES])
    for step, epoch, d_loss, g_loss, g_adversarial, g_l1 in rows:
        from_d = [f"{d_loss:.6g}", f"{g_adversarial:.6g}"] if config.objective.has_discriminator else ["", ""]
        writer.writerow([int(step), f"{epoch:.4f}", from_d[0], f"{g_loss:.6g}", from_d[1], f"{g_l1:.6g}"])
    write_text(path, buffer.getvalue())
