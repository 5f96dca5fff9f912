"""How a study is carried out: where its cells run, how many at once, and which share of them. Imports no torch."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from p2pbench.errors import ConfigError, unknown
from p2pbench.study.plan import Study

EXECUTORS = ("local", "ray")


@dataclass(frozen=True)
class Shard:
    """A share of a study, for a job of an array: the ``number``-th of ``of``, from 1."""

    number: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise ConfigError(
                f"--shard is '{self.number}/{self.of}': give I/N with I from 1 to N, as in 3/8; in a job array each "
                "job its own"
            )

    def run_ids(self, study: Study) -> set[str]:
        """Every ``of``-th training of the study, whatever is finished, so that shards never overlap.

        The deal shifts by one each time that it would repeat itself: no shard has the same variants of every seed.
        """
        names = list(dict.fromkeys(str(cell.run_id) for cell in study.cells))
        of_a_seed = len({cell.run_id for cell in study.cells if cell.seed == study.cells[0].seed})
        round_length = math.lcm(of_a_seed, self.of)
        return {name for i, name in enumerate(names) if (i + i // round_length) % self.of == self.number - 1}


@dataclass(frozen=True)
class Execution:
    """Where cells run, and how many at once.

    Raises:
        ConfigError: options that do not go together.
    """

    executor: str = "local"
    jobs: int | Literal["auto"] | None = None
    """Cells at once; None for one, or with ray for as many as there is room for."""
    weights_dir: Path | None = None
    """Where pretrained networks are looked for first."""
    silence_seconds: float | None = None
    """A cell that makes no progress for so long is ended and has failed; None waits for ever."""
    ray_address: str | None = None
    gpus_per_cell: float | None = None
    memory_gib: float | None = None
    shard: Shard = field(default_factory=Shard)
    fail_fast: bool = False
    plan_gpus: int | None = None
    """The GPUs that a plan is for."""

    def __post_init__(self) -> None:
        if self.executor not in EXECUTORS:
            raise ConfigError(unknown("--executor", self.executor, EXECUTORS))
        if self.executor == "ray":
            if self.jobs == "auto":
                raise ConfigError(
                    "--jobs auto measures this machine; with --executor ray leave --jobs out, or give a number"
                )
            return
        given = {"--ray-address": self.ray_address, "--memory-per-cell": self.memory_gib}
        if self.plan_gpus is None:  # else it says how many cells share one of the plan's GPUs
            given["--gpus-per-cell"] = self.gpus_per_cell
        for option, value in given.items():
            if value is not None:
                raise ConfigError(f"{option} is of the Ray executor; add --executor ray, or leave it out")

    def planned_at_once(self) -> int:
        """How many cells at once a plan is for. Raises :class:`ConfigError` where its GPUs have room for none."""
        if self.plan_gpus is None:
            return self.jobs if isinstance(self.jobs, int) else 1
        share = 1.0 if self.gpus_per_cell is None else self.gpus_per_cell
        if not share:
            raise ConfigError("--gpus-per-cell is 0: --plan --gpus is for cells that take a share of a GPU")
        cells = cells_on_gpus(self.plan_gpus, share)
        if not cells:
            raise ConfigError(
                f"--gpus is {self.plan_gpus} and --gpus-per-cell {share:g}: there is no room for a single cell"
            )
        return cells


def cells_on_gpus(gpus: int, gpus_per_cell: float) -> int:
    """How many cells at once ``gpus`` GPUs have room for; a cell never takes parts of two."""
    if gpus_per_cell >= 1:
        return int(gpus // gpus_per_cell)
    return gpus * int(1 / gpus_per_cell + 1e-9)  # 1 // 0.2 would be 4
