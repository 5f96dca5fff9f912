"""``bench step``: the update of D and G, ours in each engine and precision beside a plain loop as people write it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch

from p2pbench.bench.limits import ceilings, limits_of, share, work_of
from p2pbench.bench.measure import Contestant, Step, figures, race
from p2pbench.bench.plain import build_plain, random_pairs
from p2pbench.config.resolve import Layer, Resolved, flatten, resolve
from p2pbench.config.schema import RunConfig
from p2pbench.data.batches import Batches
from p2pbench.models.build import build_discriminator, build_generator
from p2pbench.system.hardware import available_cores, describe_machine, versions
from p2pbench.system.progress import Count
from p2pbench.training.engine import (
    available_device,
    available_engine,
    build_optimisers,
    place_networks,
    prepare_engine,
    runner,
)
from p2pbench.training.memory import out_of_memory_explained
from p2pbench.training.step import Networks

PLAIN = "plain loop"


def bench_step(
    variants: Resolved | Sequence[Resolved],
    *,
    rounds: int = 20,
    round_seconds: float = 0.5,
    progress: Count,
) -> dict[str, Any]:
    """The documented JSON of ``bench step``: our step beside the plain loop, for each of ``variants`` in its turn.

    Each precision that the device has, and on CUDA the engines eager and graph, are a row each; a
    ``training.precision`` or ``training.engine`` that was set on purpose leaves that one alone beside the plain loop.
    Our step begins with the index of its batch and ends with both of Adam's updates; the pairs are random, and lie
    where training has them. The machine's ceilings are measured first.
    """
    variants = [variants] if isinstance(variants, Resolved) else list(variants)
    first = variants[0].config
    device = available_device(first.training.device)
    for resolved in variants:
        available_engine(resolved.config.training.engine, torch.device(device))
    entered = [(resolved.config, _contestants(resolved, device)) for resolved in variants]
    precisions = list(dict.fromkeys(["fp32", *(_precision(c) for _, found in entered for c in found[1:])]))
    limited = ceilings(device, _threads(first), precisions)
    total = rounds * sum(len(found) for _, found in entered) + 5 * len(limited)
    done = 0

    def count(*_: int) -> None:
        nonlocal done
        done += 1
        progress(done, total)

    limits = limits_of(race(limited, rounds=5, round_seconds=round_seconds / 2, progress=count), device)
    rows = []
    for config, contestants in entered:
        timings = race(contestants, rounds=rounds, round_seconds=round_seconds, progress=count)
        for contestant in contestants:
            timing, precision = timings[contestant.name], _precision(contestant)
            ours: RunConfig = contestant.arguments[0]
            work = work_of(ours)
            rows.append(
                {
                    "workload": "step",
                    "name": f"{config.generator.name}, {_judge(config)}, {config.objective.name}",
                    "size": config.data.crop_size,
                    "batch_size": config.training.batch_size,
                    "precision": precision,
                    "engine": "plain" if contestant.name == PLAIN else ours.training.engine,
                    **figures(timing, timings[PLAIN]),
                    "flops_per_step": work.flops,
                    "bytes_per_step": work.n_bytes,
                    **share(work, timing.median, precision, limits),
                }
            )
    machine = describe_machine(torch.device(device))
    return {"machine": {**machine, "versions": versions(), "threads": _threads(first)}, "limits": limits, "rows": rows}


def _contestants(resolved: Resolved, device: str) -> list[Contestant]:
    """The plain loop, then ours in each precision and engine."""
    training = resolved.config.training
    precisions = ["fp32", "tf32", "bf16"] if device == "cuda" else ["fp32", "bf16"] if device == "cpu" else ["fp32"]
    engines = ["eager", "graph"] if device == "cuda" else ["eager"]
    if _on_purpose(resolved, "training.precision"):
        precisions = [training.precision]
    if training.engine != "auto":
        engines = [training.engine]
    plain = _with(resolved.config, **{"training.precision": "fp32", "training.engine": "auto"})
    found = [Contestant(PLAIN, build_plain, (plain,))]
    for engine, precision in itertools.product(engines, precisions):
        ours = _with(resolved.config, **{"training.precision": precision, "training.engine": engine})
        found.append(Contestant(f"{engine}, {precision}", build_ours, (ours,)))
    return found


def _on_purpose(resolved: Resolved, key: str) -> bool:
    """Whether ``key`` was set by the user or is varied by the grid; a protocol's own does not count."""
    return resolved.origin[key] == "--set" or resolved.origin[key].startswith("level")


def _with(config: RunConfig, **changes: Any) -> RunConfig:
    return resolve([Layer("bench", {**flatten(config.model_dump(), "bench"), **changes})]).config


def _precision(contestant: Contestant) -> str:
    return "fp32" if contestant.name == PLAIN else str(contestant.arguments[0].training.precision)


def build_ours(config: RunConfig) -> tuple[Step, int]:
    """Our training step as ``train`` runs it. The device is not waited for, but for the losses every ``log_every``."""
    engine = prepare_engine(config.training, _threads(config))
    with out_of_memory_explained(config, engine.device):
        networks = place_networks(Networks(build_generator(config), build_discriminator(config)), engine)
        optimisers = build_optimisers(networks, config, capturable=engine.kind == "graph")
        run = runner(engine, networks, optimisers, Batches(random_pairs(config), config, engine.device), config)
    steps = itertools.count()

    def step() -> None:
        number = next(steps)
        with out_of_memory_explained(config, engine.device):
            run.feed(number)
            losses = run.run()
            if (number + 1) % config.training.log_every == 0:
                losses.cpu()

    return step, config.training.batch_size


def _judge(config: RunConfig) -> str:
    return config.discriminator.name if config.objective.has_discriminator else "no discriminator"


def _threads(config: RunConfig) -> int:
    return config.training.threads or available_cores()
