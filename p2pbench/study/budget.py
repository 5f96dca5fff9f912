"""How many seeds of a study fit into some hours: whole blocks, each of all variants with one seed."""

from collections.abc import Callable, Sequence
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


class Timed:
    """A :data:`Probe` that times each kind of step once, and knows what it found."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.seconds_per_step: dict[str, float] = {}
        """By cost key."""

    def __call__(self, config: RunConfig, seconds: float) -> float:
        key = cost_key(config)
        if key not in self.seconds_per_step:
            self.seconds_per_step[key] = self.probe(config, seconds)
        return self.seconds_per_step[key]


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
        cells = [cell for cell in study.cells if cell.seed in (*chosen, seed)]
        seconds = estimate(replace(study, cells=cells), store, jobs, probed).seconds
        assert seconds is not None  # the probe told what no record did
        if seconds > 3600 * hours:
            if not chosen:
                raise ConfigError(
                    f"--budget {hours:g}: one seed of all {len(cells)} variants takes about {duration(seconds)}; give "
                    "more hours, a shorter protocol, or a grid of fewer variants"
                )
            break
        total = seconds
        chosen.append(seed)
    return chosen, total
