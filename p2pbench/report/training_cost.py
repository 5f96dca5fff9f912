"""What a variant cost: its trainings, and its generator for an image. Two machines are never averaged."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import pandas as pd

from p2pbench.config.sections import passes_of
from p2pbench.report.records import CellRecord, StudyRecord
from p2pbench.system.console import bytes_text, duration, significant

COSTS = ("parameters", "GFLOPs", "s/image", "training", "images/s", "memory")
"""The columns of the printed table that say what a variant cost."""


@dataclass(frozen=True)
class Cost:
    """What the finished trainings of a variant took on one machine; None where that is not recorded."""

    machine: str
    parameters: float | None
    """The generator's parameters."""
    flops: float | None
    """The generator's convolutions for one image, in all passes of its inference mode; a multiplication and an addition
    count as two."""
    seconds_per_image: float | None
    """The seconds of translating a test image in its inference mode, in batches, the mean over seeds."""
    training_flops: float | None
    """Those of a training (:func:`training_flops`), the mean over seeds."""
    seconds: float | None
    """The seconds of a training, the mean over seeds."""
    images_per_second: float | None
    """The speed of training, the mean over seeds."""
    peak_memory_bytes: float | None
    """The most that any seed needed."""


def costs(study: StudyRecord, variant: str) -> list[Cost]:
    """What ``variant`` cost on each machine that trained it."""
    by_machine: dict[str, list[CellRecord]] = {}
    for cell in study.of(variant):
        by_machine.setdefault(cell.machine, []).append(cell)
    passes = max((passes_of(cell.run.inference) for cell in study.of(variant)), default=1)
    return [
        Cost(
            machine=machine,
            parameters=next(iter(_recorded(cells, "generator_parameters")), None),
            flops=next((passes * flops for flops in _recorded(cells, "generator_flops")), None),
            seconds_per_image=_mean([n for cell in cells if (n := seconds_per_image(cell)) is not None]),
            training_flops=_mean([n for cell in cells if (n := training_flops(cell)) is not None]),
            seconds=_mean(_recorded(cells, "seconds")),
            images_per_second=_mean(images_per_second(cells)),
            peak_memory_bytes=max(_recorded(cells, "peak_memory_bytes"), default=None),
        )
        for machine, cells in by_machine.items()
    ]


def _recorded(cells: Sequence[CellRecord], key: str) -> list[float]:
    """What the trainings of ``cells`` recorded under ``key``."""
    found = [getattr(cell.training, key, None) for cell in cells]
    return [float(value) for value in found if value is not None]


def seconds_per_image(cell: CellRecord) -> float | None:
    """The seconds of translating a test image in the cell's inference mode; None where they were not measured."""
    return cell.status.seconds_per_image.get(cell.run.inference) if cell.status else None


def training_flops(cell: CellRecord) -> float | None:
    """The operations of the networks' convolutions in a training; None where they are not recorded.

    A backward pass counts as two forward passes, and as one where only the image's gradient is wanted: a step is 3
    passes of G an image, 6 of D for its own update and 2 for G's, 6 more of D with each gradient penalty, and 3 with a
    mixture of both images.
    """
    training, batch = cell.training, cell.config.get("training", {}).get("batch_size")
    if training is None or not batch or training.generator_flops is None or training.discriminator_flops is None:
        return None
    objective = cell.config.get("objective", {})
    penalties = [objective.get("adversarial") == "wgan-gp", bool(objective.get("r1")), bool(objective.get("r2"))]
    mixes = objective.get("cutmix") is not None or cell.config.get("discriminator", {}).get("name") == "oasis"
    passes: int = 8 + 6 * sum(penalties) + 3 * mixes
    return float(training.steps * batch) * (3 * training.generator_flops + passes * training.discriminator_flops)


def training_images(cells: Iterable[CellRecord]) -> str:
    """How many training images an epoch has, as ``400`` or ``100 to 400``; empty where no losses tell."""
    found = set()
    for cell in cells:
        batch = cell.config.get("training", {}).get("batch_size")
        if batch and len(cell.losses) and {"step", "epoch"} <= set(cell.losses.columns):
            step, epoch = cell.losses[["step", "epoch"]].iloc[-1]
            found |= {round(batch * step / epoch)} if epoch > 0 and step > 0 else set()
    return " to ".join(str(n) for n in sorted({min(found), max(found)})) if found else ""


def images_per_second(cells: Sequence[CellRecord]) -> list[float]:
    """The speed of each training where it is known: its batch over the seconds of a step."""
    found = []
    for cell in cells:
        batch = cell.config.get("training", {}).get("batch_size")
        found += [batch / seconds for seconds in _recorded([cell], "seconds_per_step") if seconds > 0 and batch]
    return found


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def full_cost(study: StudyRecord, variant: str) -> dict[str, Any]:
    """The cost in full precision; of several machines the values of each, in the order of ``study.machines``."""
    found = costs(study, variant)
    columns = {
        "generator_parameters": [c.parameters for c in found[:1]],
        "generator_flops": [c.flops for c in found[:1]],
        "seconds_per_image": [c.seconds_per_image for c in found],
        "training_seconds": [c.seconds for c in found],
        "training_images_per_second": [c.images_per_second for c in found],
        "peak_memory_bytes": [c.peak_memory_bytes for c in found],
    }
    listed = {
        name: "; ".join(map(str, values)) if len(values) > 1 else next(iter(values), None)
        for name, values in columns.items()
    }
    return listed | {"n_machines": len(found)}


def most_at_once(study: StudyRecord) -> int:
    """The most trainings of ``study`` that ran at the same time on machines of one description, one or several alike.

    Those of one sitting count: of one that was resumed the record does not say when it ran.
    """
    events: dict[str, list[tuple[float, int]]] = {}
    for cell in {cell.run.path.name: cell for cell in study.cells}.values():
        status, training = cell.status, cell.training
        if status and training and status.started and status.seconds_beside_training is not None:
            start = pd.to_datetime(status.started, errors="coerce", utc=True, format="ISO8601")
            if not pd.isna(start):  # a stranger's record may say anything
                begun = start.timestamp()
                events.setdefault(cell.machine, []).extend([(begun, 1), (begun + training.seconds, -1)])
    running = (n for of_one in events.values() for n in accumulate(step for _, step in sorted(of_one)))
    return max(running, default=0)


def named_machines(study: StudyRecord) -> list[str]:
    """Each machine with its letter."""
    return [f"{_letter(k)}: {machine or 'not recorded'}" for k, machine in enumerate(study.machines)]


def _letter(position: int) -> str:
    return chr(ord("A") + position)


def printed_cost(study: StudyRecord, variant: str) -> dict[str, str]:
    """The cost of a variant as people read it, by the columns ``COSTS``; of several machines each with its letter."""
    found, known = costs(study, variant), study.machines

    def on_each(value: Callable[[Cost], float | None], text: Callable[[float], str]) -> str:
        shown = [(cost.machine, text(number)) for cost in found if (number := value(cost)) is not None]
        return ", ".join(f"{_letter(known.index(m))}: {t}" if len(known) > 1 else t for m, t in shown)

    first = found[0] if found else None
    return {
        "parameters": ""
        if first is None or first.parameters is None
        else f"{significant(first.parameters / 1e6, 3)} M",
        "GFLOPs": "" if first is None or first.flops is None else significant(first.flops / 1e9, 3),
        "s/image": on_each(lambda cost: cost.seconds_per_image, "{:.3g}".format)
        or ("not measured" if any(cost.seconds is not None for cost in found) else ""),
        "training": on_each(lambda cost: cost.seconds, duration),
        "images/s": on_each(lambda cost: cost.images_per_second, lambda speed: significant(speed, 3)),
        "memory": on_each(lambda cost: cost.peak_memory_bytes, lambda n: bytes_text(int(n))),
    }


def cost_table(study: StudyRecord) -> pd.DataFrame:
    """A row a variant that has a result: the columns of :func:`printed_cost` that any variant has a value in."""
    rows = [{"variant": v, **printed_cost(study, v)} for v in study.chosen_variants if study.of(v)]
    frame = pd.DataFrame(rows, columns=["variant", *COSTS])
    return frame[["variant", *(column for column in COSTS if frame[column].astype(bool).any())]]
