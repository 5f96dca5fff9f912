"""How many seeds of a study fit into some hours: whole blocks, each of all variants with one seed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from p2pbench.config.run_id import cost_key
from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError
from p2pbench.runs.store import Store
from p2pbench.study.estimate import estimate, unknown_costs
from p2pbench.study.plan import Study
from p2pbench.system.console import duration

PROBE_SECONDS = 30.0
"""How long steps are timed in all, where no past run tells how long they take."""
MOST_SEEDS = 20
"""The most seeds that a budget plans, unless seeds are named."""

Probe = Callable[[RunConfig, float], float]
"""Times steps of a configuration for about so many seconds, and gives the seconds a step."""


def seeds_within(hours: float, study: Study, store: Store, jobs: int, probe: Probe) -> tuple[Sequence[int], float]:
    """The first seeds of ``study`` whose cells fit into ``hours``, ``jobs`` at once, and the seconds that they take.

    What is trained already costs nothing. A step of which no past run tells the time is timed by ``probe``; what
    scoring takes beside it is then not counted.

    Raises:
        ConfigError: not one seed of all variants fits.
        DataError: the data are not on this machine.
    """
    unknown = unknown_costs(study, store)
    probed = {cost_key(config): probe(config, PROBE_SECONDS / len(unknown)) for config in unknown}
    chosen: list[int] = []
    total = 0.0
    for seed in dict.fromkeys(cell.seed for cell in study.cells):
        block = _seconds(study, seed, store, jobs, probed)
        if total + block > 3600 * hours:
            if not chosen:
                raise ConfigError(
                    f"--budget {hours:g}: one seed of all {len(study.cells_of(seed))} variants takes about "
                    f"{duration(block)}; give more hours, a shorter protocol, or a grid of fewer variants"
                )
            break
        total += block
        chosen.append(seed)
    return chosen, total


def _seconds(study: Study, seed: int, store: Store, jobs: int, probed: Mapping[str, float]) -> float:
    found = estimate(replace(study, cells=study.cells_of(seed)), store, jobs, probed).seconds
    assert found is not None  # the probe told what no record did
    return found
