"""What a study will cost, before it runs: disk from the networks' shapes, time and memory from past records."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from p2pbench.config.run_id import cost_key
from p2pbench.config.schema import DISCRIMINATOR_STRIDES, RunConfig
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.store import Store
from p2pbench.study.plan import Study

FLOAT_BYTES = 4


@dataclass(frozen=True)
class Estimate:
    """None stands for unknown."""

    seconds: float | None
    """From the first start to the last end of the cells that are not finished, so many at once."""
    at_once: int
    memory_bytes: int | None
    """Of the largest cell."""
    kept_bytes: int | None
    """Disk that the finished cells keep: their generators."""
    working_bytes: int | None
    """Disk that the cells at work need more: their checkpoints."""

    def to_json(self) -> dict[str, Any]:
        return {
            "seconds": self.seconds,
            "at_once": self.at_once,
            "memory_bytes": self.memory_bytes,
            "disk_bytes": self.kept_bytes,
            "disk_bytes_while_training": self.working_bytes,
        }


def estimate(study: Study, store: Store, jobs: int) -> Estimate:
    """Sum up the cells of ``study`` that ``store`` does not hold finished."""
    past = _past_costs(store)
    cells: list[float] = []
    todo = {c.run_id or f"{c.variant}/{c.seed}": c for c in study.cells
            if c.run_id is None or not store.run(c.run_id).trained()}  # fmt: skip
    memory: int | None = 0
    kept: int | None = 0
    working: int | None = 0
    for cell in todo.values():
        config, steps = cell.config, cell.steps
        seen = past.get(cost_key(config))
        if seen and steps:
            cells.append(seen.seconds_per_step * steps + seen.seconds_beside_training)
        memory = max(memory, seen.memory_bytes) if seen and memory is not None else None
        generator, discriminator = generator_parameters(config), discriminator_parameters(config)
        kept = kept + FLOAT_BYTES * generator if generator is not None and kept is not None else None
        both = None if generator is None or discriminator is None else generator + discriminator
        # A checkpoint holds the weights and two moments of Adam; the new one is whole before the oldest goes.
        checkpoints = (config.training.checkpoints + 1) * 3 * FLOAT_BYTES
        working = max(working, checkpoints * both) if both is not None and working is not None else None
    jobs = min(jobs, max(1, len(todo)))
    return Estimate(
        makespan(cells, jobs) if len(cells) == len(todo) else None,
        jobs,
        None if memory is None else memory * jobs,
        kept,
        None if working is None else working * jobs,
    )


def makespan(seconds: Sequence[float], workers: int) -> float:
    """When the last of tasks ends that are begun in their order, each by the worker that is free first.

    Graham's list scheduling, as the executors do it: at most 2 - 1/workers of the best.
    """
    free_at = [0.0] * workers
    for task in seconds:
        heapq.heapreplace(free_at, free_at[0] + task)
    return max(free_at)


def generator_parameters(config: RunConfig) -> int | None:
    """Parameters of the U-Net and the encoder-decoder, from their shape alone; None for others.

    A test holds this against the networks.
    """
    generator = config.generator
    if generator.name not in ("unet", "encoder_decoder"):
        return None
    skips = generator.name == "unet"
    biased = config.training.bias_rule == "zeroed" or generator.norm != "batch"
    normed = 0 if generator.norm == "none" else 2
    kernel, spread = {"transposed": (16, 1), "pixel-shuffle": (9, 4)}.get(generator.upsampling, (9, 1))
    depth = config.depth
    assert depth is not None
    condition, image = config.data.channels
    widths = [generator.ngf * min(2**level, 8) for level in range(depth)]
    total = 0
    for level, (before, after) in enumerate(pairwise([condition, *widths])):
        norm = normed if 0 < level < depth - 1 else 0
        total += 16 * before * after + (after if biased else 0) + norm * after
    outputs = [*reversed(widths[:-1]), image]
    for level, (before, after) in enumerate(zip(reversed(widths), outputs, strict=True)):
        last = level == depth - 1
        inputs = before * (2 if skips and level else 1)
        total += spread * (kernel * inputs * after + (after if biased or last else 0)) + (0 if last else normed * after)
    return total


def discriminator_parameters(config: RunConfig) -> int | None:
    """Parameters of the built-in discriminators, likewise; 0 where the objective has none."""
    if not config.objective.has_discriminator:
        return 0
    n_layers = DISCRIMINATOR_STRIDES.get(config.discriminator.name)
    if n_layers is None:
        return None
    biased = config.training.bias_rule == "zeroed" or config.discriminator.norm != "batch"
    normed = 0 if config.discriminator.norm == "none" else 2
    condition, image = config.data.channels
    channels = condition + image if config.objective.conditional else image
    ndf = config.discriminator.ndf
    if n_layers == 0:
        weights = channels * ndf + ndf * 2 * ndf + 2 * ndf
        return weights + ndf + 2 * ndf * normed + (2 * ndf + 1 if biased else 0)
    widths: list[int] = [channels, *(ndf * min(2**level, 8) for level in range(n_layers + 1))]
    total = 16 * widths[-1] + 1
    for level, (before, after) in enumerate(pairwise(widths)):
        total += 16 * before * after + (after if biased or level == 0 else 0) + (normed * after if level else 0)
    return total


class _Cost(NamedTuple):
    """What a run took; the later one sorts after the earlier."""

    finished: str
    seconds_per_step: float
    memory_bytes: int
    seconds_beside_training: float
    """Starting, reading data, scoring; 0 where it was not recorded."""


def _past_costs(store: Store) -> dict[str, _Cost]:
    """What finished runs took, by what decides it; the newest counts."""
    found: dict[str, _Cost] = {}
    for path in store.root.glob("cells/*/status.json"):
        status = RunFolder(path.parent).status()
        training = status.training if status else None
        if status is None or training is None or training.cost_key is None:
            continue
        cost = _Cost(
            str(status.finished),
            training.seconds_per_step,
            training.peak_memory_bytes,
            status.seconds_beside_training or 0.0,
        )
        found[training.cost_key] = max(found.get(training.cost_key, cost), cost)
    return found
