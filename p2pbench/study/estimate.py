"""What a study will cost, before it runs: disk from the networks' shapes, time and memory from past records."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from p2pbench.config.combinations import attention_level
from p2pbench.config.run_id import cost_key
from p2pbench.config.schema import DISCRIMINATOR_STRIDES, RunConfig
from p2pbench.config.yaml12 import text_of
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.records import Status
from p2pbench.runs.store import Store
from p2pbench.study.plan import Cell, Study

FLOAT_BYTES = 4

T = TypeVar("T", int, float)


@dataclass(frozen=True)
class Estimate:
    """What ``--plan --json`` says under ``estimate``. None stands for unknown."""

    seconds: float | None
    """Time from the first start to the last end of the cells that are not trained, ``at_once`` at a time."""
    at_once: int
    memory_bytes: int | None
    """Memory of as many cells at once, each as large as the largest."""
    disk_bytes: int | None
    """Disk that the finished cells keep: their generators."""
    disk_bytes_while_training: int | None
    """Disk that the cells at work need besides: their checkpoints."""


def cells_json(study: Study, store: Store) -> list[dict[str, Any]]:
    """How the cells of ``study`` stand before it is carried out, as the documented JSON of ``ablate`` has them."""
    cells, same_as = [], study.same_as()
    for cell in study.cells:
        finished = cell.run_id is not None and store.run(cell.run_id, cell.config.scoring.inference).finished()
        state = "no data" if cell.run_id is None else "finished" if finished else "to run"
        cells.append(cell.to_json(state) | {"same_as": same_as.get(cell.variant)})
    return cells


def changed_settings(study: Study) -> list[tuple[str, list[str], list[str]]]:
    """The settings that are not defaults: the key, the values over all cells, and where these came from."""
    found = []
    for key in study.cells[0].origin:
        section, name = key.split(".")
        values = [text_of(getattr(getattr(cell.config, section), name)) for cell in study.cells]
        origins = [cell.origin[key].split(":")[0] for cell in study.cells]
        if set(origins) != {"default"}:
            found.append((key, list(dict.fromkeys(values)), list(dict.fromkeys(origins))))
    return found


def unknown_costs(study: Study, store: Store) -> list[RunConfig]:
    """A configuration for each kind of step that is to be trained and of which no past run tells the time."""
    past = _past_costs(store)
    kinds = {cost_key(cell.config): cell.config for cell in _to_train(study, store)}
    return [config for key, config in kinds.items() if key not in past]


def _to_train(study: Study, store: Store) -> list[Cell]:
    todo = {c.run_id or f"{c.variant}/{c.seed}": c for c in study.cells
            if c.run_id is None or not store.run(c.run_id).trained()}  # fmt: skip
    return list(todo.values())


def estimate(study: Study, store: Store, jobs: int, probed: Mapping[str, float] | None = None) -> Estimate:
    """Sum up the cells of ``study`` that ``store`` does not hold trained, ``jobs`` at once.

    Args:
        probed: by cost key the seconds of a step that was timed because no past run tells them.
    """
    past, todo = _past_costs(store), _to_train(study, store)
    seconds: list[float | None] = []
    memory: list[int | None] = []
    kept: list[int | None] = []
    working: list[int | None] = []
    for cell in todo:
        status = past.get(cost_key(cell.config))
        training = status.training if status else None
        memory.append(training.peak_memory_bytes if training else None)
        beside = status.seconds_beside_training or 0.0 if status else 0.0
        step = training.seconds_per_step if training else (probed or {}).get(cost_key(cell.config))
        seconds.append(step * cell.steps + beside if step is not None and cell.steps else None)
        generator, discriminator = generator_parameters(cell.config), discriminator_parameters(cell.config)
        kept.append(None if generator is None else FLOAT_BYTES * generator)
        both = None if generator is None or discriminator is None else generator + discriminator
        # A checkpoint holds the weights and two moments of Adam; the new one is whole before the oldest goes.
        working.append(None if both is None else (cell.config.training.checkpoints + 1) * 3 * FLOAT_BYTES * both)
    jobs = min(jobs, max(1, len(todo)))
    return Estimate(
        _known(seconds, lambda known: makespan(known, jobs)),
        jobs,
        _known(memory, lambda known: jobs * max(known, default=0)),
        _known(kept, sum),
        _known(working, lambda known: jobs * max(known, default=0)),
    )


def _known(values: Sequence[T | None], summed_up: Callable[[list[T]], T]) -> T | None:
    """``values`` summed up, or None where one of them is unknown."""
    known = [value for value in values if value is not None]
    return summed_up(known) if len(known) == len(values) else None


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
    if generator.name not in ("unet", "encoder_decoder") or config.objective.is_transport:
        return None
    biased, normed = _biased_and_normed(config, generator.norm)
    kernel, spread = {"transposed": (16, 1), "pixel-shuffle": (9, 4)}.get(generator.upsampling, (9, 1))
    depth = config.depth
    assert depth is not None
    condition, image = config.data.channels[0] + generator.noise, config.data.channels[1]
    widths = [generator.ngf * min(2**level, 8) for level in range(depth)]
    total = 0
    for level, (before, after) in enumerate(pairwise([condition, *widths])):
        total += 16 * before * after + after * (biased + (normed if 0 < level < depth - 1 else 0))
    outputs = [*reversed(widths[:-1]), image]
    for level, (before, after) in enumerate(zip(reversed(widths), outputs, strict=True)):
        last = level == depth - 1
        inputs = 2 * before if generator.name == "unet" and level else before
        total += spread * after * (kernel * inputs + (biased or last)) + (0 if last else normed * after)
    if generator.spade != "none":  # in place of each norm's scale and shift three 3x3 convolutions
        hidden = 2 * generator.ngf
        for width in outputs[:-1]:
            total += hidden * (9 * condition + 1) + 2 * width * (9 * hidden + 1) - 2 * width
    if (attended := config.attention_level) is not None:
        total += (2 if attended < depth - 1 else 1) * _of_attention(widths[attended])
    return total


def discriminator_parameters(config: RunConfig) -> int | None:
    """Parameters of the built-in discriminators, from their shape alone; 0 where the objective has none."""
    if not config.objective.has_discriminator:
        return 0
    n_layers = DISCRIMINATOR_STRIDES.get(config.discriminator.name)
    if n_layers is None:
        return None
    biased, normed = _biased_and_normed(config, config.discriminator.norm)
    scales = config.discriminator.scales
    condition, image = config.data.channels
    channels = condition + image if config.objective.conditional else image
    ndf = config.discriminator.ndf
    if n_layers == 0:
        return scales * (channels * ndf + ndf + 2 * ndf * (ndf + biased + normed) + 2 * ndf + biased)
    widths: list[int] = [channels, *(ndf * min(2**level, 8) for level in range(n_layers + 1))]
    total = 16 * widths[-1] + 1
    for level, (before, after) in enumerate(pairwise(widths)):
        total += after * (16 * before + ((biased + normed) if level else 1))
    if (attended := attention_level(config.discriminator, min(config.data.crop_shape))) is not None:
        total += _of_attention(widths[attended + 1])
    return scales * total


def _of_attention(width: int) -> int:
    return 2 * width * (max(1, width // 8) + max(1, width // 2)) + 1


def _biased_and_normed(config: RunConfig, norm: str) -> tuple[bool, int]:
    """Whether convolutions have biases, and the parameters of a norm layer for each of its channels."""
    return config.training.bias_rule == "zeroed" or norm != "batch", 0 if norm == "none" else 2


def _past_costs(store: Store) -> dict[str, Status]:
    """The records of trained runs, by what decides their cost; the newest counts."""
    found: dict[str, Status] = {}
    for path in store.root.glob("cells/*/status.json"):
        status = RunFolder(path.parent).status()
        if status is not None and status.training is not None and (key := status.training.cost_key) is not None:
            found[key] = max(found.get(key, status), status, key=lambda one: str(one.finished))
    return found
