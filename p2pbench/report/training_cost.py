"""What the trainings of a variant cost: time, memory, parameters; machines are kept apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from p2pbench.report.records import CellRecord, StudyRecord
from p2pbench.system.console import bytes_text, duration


@dataclass(frozen=True)
class Cost:
    """What the finished trainings of a variant took on one machine; None where that is not recorded."""

    machine: str
    n_seeds: int
    parameters: float | None
    """Of the generator."""
    flops: float | None
    """Of the generator for one image: convolutions, a multiplication and an addition as two."""
    seconds: float | None
    """Of a training, the mean over seeds."""
    images_per_second: float | None
    """In training, the mean over seeds."""
    peak_memory_bytes: float | None
    """The most of any seed."""


def costs(study: StudyRecord, variant: str) -> list[Cost]:
    """What ``variant`` cost, for each machine by itself: times of two machines are never averaged."""
    by_machine: dict[str, list[CellRecord]] = {}
    for cell in study.of(variant):
        by_machine.setdefault(cell.machine, []).append(cell)
    return [
        Cost(
            machine, len(cells),
            _first(numbers(cells, "generator_parameters")), _first(numbers(cells, "generator_flops")),
            _mean(numbers(cells, "seconds")), _mean(images_per_second(cells)),
            max(numbers(cells, "peak_memory_bytes"), default=None),
        )
        for machine, cells in by_machine.items()
    ]  # fmt: skip


def numbers(cells: list[CellRecord], key: str) -> list[float]:
    """What the trainings of ``cells`` recorded under ``key``, where it is a number."""
    found = [getattr(cell.training, key, None) for cell in cells]
    return [float(value) for value in found if value is not None]


def images_per_second(cells: list[CellRecord]) -> list[float]:
    """Of each training where it is known: its batch over the seconds of a step."""
    found = []
    for cell in cells:
        batch = cell.config.get("training", {}).get("batch_size")
        found += [batch / seconds for seconds in numbers([cell], "seconds_per_step") if seconds > 0 and batch]
    return found


def _first(values: list[float]) -> float | None:
    return values[0] if values else None


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def full_cost(found: list[Cost]) -> dict[str, Any]:
    """The cost in full precision; of several machines the values of each, in the order of :func:`machines`."""
    columns = {
        "generator_parameters": [c.parameters for c in found[:1]],
        "generator_flops": [c.flops for c in found[:1]],
        "training_seconds": [c.seconds for c in found],
        "training_images_per_second": [c.images_per_second for c in found],
        "peak_memory_bytes": [c.peak_memory_bytes for c in found],
    }
    return {
        name: None if not values else values[0] if len(values) == 1 else "; ".join(map(str, values))
        for name, values in columns.items()
    } | {"n_machines": len(found)}


def machines(study: StudyRecord) -> list[str]:
    """The machines that finished cells were trained on, in order; ``A`` is the first."""
    return list(dict.fromkeys(cell.machine for cell in study.cells if cell.state == "finished"))


def letter(position: int) -> str:
    """What a machine is called in tables, by its position among :func:`machines`."""
    return chr(ord("A") + position)


def named_machines(study: StudyRecord) -> list[str]:
    """Each machine with its letter."""
    return [f"{letter(k)}: {machine or 'not recorded'}" for k, machine in enumerate(machines(study))]


COSTS = ("parameters", "GFLOPs", "training", "images/s", "memory")


def printed_cost(study: StudyRecord, variant: str) -> dict[str, str]:
    """The cost of a variant in words, a text a column of ``COSTS``; of several machines each with its letter."""
    found, known = costs(study, variant), machines(study)

    def each(texts: list[str | None]) -> str:
        letters = [letter(known.index(cost.machine)) for cost in found]
        named = [f"{letter}: {t}" if len(known) > 1 else t for letter, t in zip(letters, texts, strict=True) if t]
        return ", ".join(named)

    first = found[0] if found else None
    return {
        "parameters": "" if first is None or first.parameters is None else f"{first.parameters / 1e6:.3g} M",
        "GFLOPs": "" if first is None or first.flops is None else f"{first.flops / 1e9:.3g}",
        "training": each([None if c.seconds is None else duration(c.seconds) for c in found]),
        "images/s": each([None if c.images_per_second is None else f"{c.images_per_second:.3g}" for c in found]),
        "memory": each([None if c.peak_memory_bytes is None else bytes_text(int(c.peak_memory_bytes)) for c in found]),
    }
