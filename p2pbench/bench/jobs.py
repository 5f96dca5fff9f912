"""How many cells to train at once, found by measurement for ``ablate --jobs auto``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from p2pbench.bench.clock import Contestant, crowd, race
from p2pbench.bench.step import build_ours
from p2pbench.config.schema import RunConfig
from p2pbench.data.batches import MOST_OF_FREE
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import open_dataset
from p2pbench.errors import P2PBenchError
from p2pbench.system.console import significant
from p2pbench.system.hardware import available_cores
from p2pbench.training.device import available_device, visible_gpus
from p2pbench.training.memory import memory_bytes

MIN_GAIN = 1.1
"""More jobs at once must give this many times the steps per second of all; otherwise each only gets slower."""
MEMORY_SHARE = 0.8
"""Share of the memory that all jobs together may take."""
MAX_ON_A_GPU = 16
CONTEXT_BYTES = 600 * 2**20
"""GPU memory of a process beside its tensors: CUDA's context and libraries."""
SECONDS = 4.0
"""About how long each number of jobs is measured."""


@dataclass(frozen=True)
class Choice:
    jobs: int
    why: str


def seconds_per_step(config: RunConfig, seconds: float) -> float:
    """The seconds that a training step of ``config`` takes, timed for about ``seconds`` in a process of its own."""
    timed = race([Contestant("step", build_ours, (config,))], rounds=1, round_seconds=seconds)
    return timed["step"].median


def choose_jobs(configs: Sequence[RunConfig], *, seconds: float = SECONDS, say: Callable[[str], None]) -> Choice:
    """Try 1, 2, 4, ... training processes at once until the steps per second of all stop growing, or memory ends.

    Args:
        configs: the configurations of the cells to train; their data are decoded. The heaviest is measured. On a CPU
            the processes share the cores, on a GPU the device: the first is measured, and each gets as many.
        say: called with a line as each measurement starts.
    """
    heaviest = max(configs, key=_weight)
    device = torch.device(available_device(heaviest.training.device))
    cores = available_cores()
    gpus = max(1, len(visible_gpus())) if device.type == "cuda" else 1
    cells = -(-len(configs) // gpus)
    most = min(cells, MAX_ON_A_GPU if device.type == "cuda" else cores)
    memory = MEMORY_SHARE * memory_bytes(device)
    n_bytes = decoded(open_dataset(heaviest.data), "train").nbytes if device.type == "cuda" else 0
    measured: dict[int, float] = {}
    best, why = 1, "there is one core" if cells > 1 else "there is one cell" if gpus == 1 else "there is a GPU for each"
    jobs = 1
    while jobs <= most and most > 1:
        say(f"measuring {jobs} at once")
        config = heaviest.changed("training", threads=heaviest.training.threads or max(1, cores // (jobs * gpus)))
        try:
            speed, each = crowd([Contestant("step", build_ours, (config,)) for _ in range(jobs)], seconds=seconds)
        except P2PBenchError as error:
            if jobs == 1:
                raise
            why = f"{jobs} at once failed: {error}"
            break
        measured[jobs] = speed
        if jobs > 1 and speed < MIN_GAIN * measured[best]:
            why = "more at once gain nothing"
            break
        best, why = jobs, "there are no more cells" if most == cells else "one for each core"
        if device.type == "cuda":
            each += CONTEXT_BYTES + (n_bytes if n_bytes <= MOST_OF_FREE * memory_bytes(device) / (2 * jobs) else 0)
        if 2 * jobs * each > memory:
            why = f"more would not fit into {MEMORY_SHARE:.0%} of the memory"
            break
        jobs = most if jobs < most < 2 * jobs else 2 * jobs
    speeds = ", ".join(f"{n}: {significant(speed, 3)} steps/s" for n, speed in measured.items())
    why += f" ({speeds})" if speeds else ""
    return Choice(best, why) if gpus == 1 else Choice(min(best * gpus, len(configs)), f"{best} on each GPU: {why}")


def _weight(config: RunConfig) -> tuple[int, bool, int]:
    height, width = config.data.crop_shape
    return height * width * config.training.batch_size, config.objective.has_discriminator, config.generator.ngf
