"""``bench step``: the update of D and G, ours in each engine and precision beside a plain loop as people write it."""

import itertools
from collections.abc import Iterable
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from p2pbench.bench.ceilings import untrained_networks
from p2pbench.bench.clock import Contestant, Step
from p2pbench.bench.plain_loop import build_plain, left_out, random_pairs, why_no_plain_loop
from p2pbench.bench.rows import named
from p2pbench.config.resolve import Resolved
from p2pbench.config.schema import RunConfig
from p2pbench.data.batches import Batches
from p2pbench.data.label_classes import classes_of_condition
from p2pbench.errors import P2PBenchError
from p2pbench.training.device import has_tensor_cores
from p2pbench.training.engine import (
    available_engine,
    build_optimisers,
    engine_for,
    in_the_way,
    place_networks,
    runner,
)
from p2pbench.training.memory import out_of_memory_explained
from p2pbench.training.winner import Way, recorded_way

PROFILED_STEPS = 5
NAMED = (
    "generator.", "objective.", "training.preset", "training.bias_rule", "training.augment", "training.ema",
    "data.colours", "data.channels",
)  # fmt: skip
"""Settings that a row's name tells where they are not the defaults."""


def step_contestants(resolved: Resolved, device: str) -> list[Contestant]:
    """The plain loop, then our step in each precision that the device has and, on CUDA, eager and as a graph.

    Where there can be no plain loop the rows say why, and where it leaves something out its row says what.
    The plain loop's precision is that of PyTorch's defaults: TF32, which cuDNN may use, where the GPU has it.
    A ``training.precision`` or ``training.engine`` that was set on purpose leaves that one alone beside the plain loop;
    otherwise the way that won ``bench step --race``, which ``auto`` takes on CUDA, has a row of its own.
    Our step begins with the index of its batch and ends with both of Adam's updates. The pairs are random, and lie
    where training has them. Raises :class:`ConfigError` if the engine cannot run on ``device``, or if D is asked for
    the classes of a condition that has none.
    """
    config, training = resolved.config, resolved.config.training
    available_engine(training.engine, torch.device(device))
    fast = device == "cuda" and has_tensor_cores(torch.device(device))
    precisions = ["fp32", "tf32", "bf16"] if fast else ["fp32", "bf16"] if device == "cpu" else ["fp32"]
    engines = ["eager", "graph"] if device == "cuda" else ["eager"]
    if resolved.origin["training.precision"].startswith(("--set", "level")):  # a protocol's own value does not count
        precisions = [training.precision]
    if training.engine != "auto":
        engines = [training.engine]
    plain = config.changed("training", precision="fp32", engine="auto")
    row = {**row_of(plain), "engine": "plain", "precision": "tf32" if fast else "fp32"}
    if config.objective.has_discriminator and config.discriminator.name == "oasis":
        classes_of_condition(config)
    found = []
    if (reason := why_no_plain_loop(config)) is None:
        without = {"left_out": names} if (names := left_out(config)) else {}
        found = [Contestant("plain loop", build_plain, (plain,), row | without)]
    won: dict[str, Way] = {}
    if training.engine == "auto" and device == "cuda":
        raced = {precision: recorded_way(config.changed("training", precision=precision)) for precision in precisions}
        won = {precision: way for precision, way in raced.items() if way is not None}
    for engine, precision in [*itertools.product(engines, precisions), *(("auto", precision) for precision in won)]:
        ours = config.changed("training", precision=precision, engine=engine)
        row = row_of(ours) | ({"no_plain_loop": reason} if reason else {})
        if engine == "auto":
            row["engine"] = f"auto: {won[precision]}"
        found.append(Contestant(f"{engine}, {precision}", build_ours, (ours,), row))
    return found


def row_of(config: RunConfig) -> dict[str, Any]:
    """What the row of a step says beside its timing."""
    has_discriminator = config.objective.has_discriminator
    discriminator = config.discriminator.name if has_discriminator else "no discriminator"
    settings = (*NAMED, "discriminator.") if has_discriminator else NAMED
    return {
        "name": named(f"{config.generator.name}, {discriminator}, {config.objective.name}", config, *settings),
        "size": config.data.crop_size,
        "batch_size": config.training.batch_size,
        "precision": config.training.precision,
        "engine": config.training.engine,
    }


def build_ours(config: RunConfig, way: Way | None = None) -> tuple[Step, int]:
    """Our training step as ``train`` runs it: it waits for the device only to read the losses every ``log_every``.

    Args:
        way: how it is run, instead of as ``auto`` would be. Raises :class:`P2PBenchError` where it cannot be.
    """
    engine = engine_for(config) if way is None else in_the_way(engine_for(config), way)
    with out_of_memory_explained(config, engine.device):
        networks = place_networks(untrained_networks(config), engine)
        optimisers = build_optimisers(networks, config, capturable="graph" in engine.kind)
        run = runner(engine, networks, optimisers, Batches(random_pairs(config), config, engine.device), config)
    if way is not None and run.kind != way.kind:
        raise P2PBenchError(f"this step cannot be run as {way}")
    steps = itertools.count()

    def step() -> None:
        number = next(steps)
        with out_of_memory_explained(config, engine.device):
            run.feed(number)
            losses = run.run()
            if (number + 1) % config.training.log_every == 0:
                losses.cpu()

    return step, config.training.batch_size


def profile_step(config: RunConfig) -> list[dict[str, Any]]:
    """The operations of our step, the slowest first, as they run one after another: five steps after three others.

    Returns:
        For each: ``operation``, its own ``milliseconds`` per step (on the GPU's clock where there is one), ``share`` of
        all, and ``calls`` per step.
    """
    step, _ = build_ours(config)
    for _ in range(3):
        step()
    on_cuda = torch.cuda.is_initialized()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
    with profile(activities=activities) as recorded:
        for _ in range(PROFILED_STEPS):
            step()
        if on_cuda:
            torch.cuda.synchronize()
    spent = time_spent(recorded.key_averages(), on_cuda=on_cuda)
    total = sum(microseconds for _, microseconds, _ in spent)
    return [
        {
            "operation": name,
            "milliseconds": microseconds / 1000 / PROFILED_STEPS,
            "share": microseconds / total,
            "calls": count / PROFILED_STEPS,
        }
        for name, microseconds, count in sorted(spent, key=lambda found: -found[1])
        if microseconds > 0
    ]


def time_spent(events: Iterable[Any], *, on_cuda: bool) -> list[tuple[str, float, int]]:
    """The name, the microseconds of its own and the number of calls of each profiled operation.

    On CUDA these are kernels, copies and fills, once: an operation's own time on the device is that of its kernels, and
    an annotated block's that of all in it.
    """
    if not on_cuda:
        return [(event.key, event.self_cpu_time_total, event.count) for event in events]
    return [
        (event.key, event.self_device_time_total, event.count)
        for event in events
        if event.device_type == DeviceType.CUDA and not event.is_user_annotation
    ]
