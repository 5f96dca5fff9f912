"""A question under a protocol as the cells to run: every variant with every seed, its settings resolved."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p2pbench.config.plugins import is_reference, locate
from p2pbench.config.resolve import MULTIPLE, Layer, Resolved, flatten, resolve
from p2pbench.config.run_id import run_id
from p2pbench.config.schema import DataConfig, RunConfig
from p2pbench.config.sections import EMA_RAMP
from p2pbench.config.yaml12 import text_of
from p2pbench.data.dataset import DataSet, check_selection, open_dataset, reading_of, steps_per_epoch
from p2pbench.data.label_classes import classes_of_condition
from p2pbench.errors import ConfigError, DataError
from p2pbench.runs.records import Fit, pairs_of
from p2pbench.study.grid import Grid, Level, Protocol, baseline_of, label_of, read_grid, read_protocol
from p2pbench.study.naming import checked_name, suffix_of


@dataclass(frozen=True)
class Cell:
    """A variant with a seed: one training to run and score."""

    variant: str
    levels: dict[str, str]
    """For each factor the label of its level."""
    seed: int
    config: RunConfig
    origin: dict[str, str] = field(repr=False)
    run_id: str | None
    """None only in a plan, where the data are not on this machine."""
    steps: int | None
    """Steps of its training; None where ``run_id`` is."""
    test_images: int | None
    """The pairs that it is scored on; None where ``run_id`` is."""
    data_key: str | None
    """The hash of its data's content; None where ``run_id`` is."""

    def to_json(self, state: str, reason: str | None = None) -> dict[str, Any]:
        """How the cell stands, as the documented JSON of ``ablate`` has it."""
        return {"run_id": self.run_id, "variant": self.variant, "seed": self.seed, "state": state, "reason": reason}


@dataclass(frozen=True)
class Study:
    """One question under one protocol: what ``ablate`` carries out and ``report`` answers."""

    name: str
    grid: Grid
    protocol: Protocol
    cells: list[Cell]
    baseline: str
    """The variant that the others are compared with."""
    command: str
    """What to type to run it again."""
    reads: list[str]
    """Which way the pairs are read, of each data set that the cells have."""
    fits: dict[str, Fit] = field(default_factory=dict)
    """By variant, how its seconds became epochs."""
    missing_data: str | None = None
    """In a plan: why the data could not be read."""

    @property
    def about_protocol(self) -> str:
        """What the protocol says of itself; nothing where the cells have other data than it names."""
        own = self.protocol.settings.get("data.source", DataConfig().source)
        return self.protocol.about if all(cell.config.data.source == own for cell in self.cells) else ""

    def cautions(self) -> list[str]:
        """What its settings and its grid ask for in vain, each once."""
        asked = {name for cell in self.cells for name in cell.config.scoring.wanted}
        found = [caution for cell in self.cells for caution in cell.config.cautions()]
        lacking = {
            "primary scores": [] if asked & {*self.grid.primary} else list(self.grid.primary),
            "margins": [name for name in self.grid.margins if name not in asked],
        }
        if any(lacking.values()):
            extra = [name for cell in self.cells for name in cell.config.scoring.extra_metrics]
            names = dict.fromkeys([*extra, *lacking["primary scores"], *lacking["margins"]])
            idle = " and ".join(f"{what} ({', '.join(own)})" for what, own in lacking.items() if own)
            found.append(
                f"{idle} of {self.grid.name} play no part, for no cell is scored by them: "
                f"--set 'scoring.extra_metrics=[{', '.join(names)}]' adds them"
            )
        if any(cell.config.training.seconds is not None for cell in self.cells):
            return list(dict.fromkeys(found))  # how many epochs these are is not known yet
        selected = [cell.config for cell in self.cells if cell.config.training.select != "last"]
        if len({config.training.epochs for config in selected}) > 1:
            found.append(
                "training.select takes the best of as many epochs as a variant has, and the variants differ in them: "
                "those of more epochs choose from more"
            )
        cut: dict[float, set[float]] = {}
        for cell in self.cells:
            longest = EMA_RAMP * (cell.steps or math.inf) * cell.config.training.batch_size
            if (ema := cell.config.training.ema) is not None and ema >= longest:
                cut.setdefault(longest, set()).add(ema)
        found += [
            f"training.ema of {' and '.join(f'{ema:g}' for ema in sorted(lives))} images are one recipe: a half-life "
            f"is at most a twentieth of the images seen, {longest:g}"
            for longest, lives in cut.items()
            if len(lives) > 1
        ]
        return list(dict.fromkeys(found))

    def cells_of(self, seed: int) -> list[Cell]:
        """The cells of one seed, a variant each."""
        return [cell for cell in self.cells if cell.seed == seed]

    def contrasts(self) -> list[tuple[str, str]]:
        """What is compared, as (variant, against), each pair of runs once."""
        runs = {
            cell.variant: (cell.run_id or cell.variant, cell.config.scoring.inference) for cell in reversed(self.cells)
        }
        pairs = pairs_of(self.grid.contrasts, list(dict.fromkeys(cell.variant for cell in self.cells)), self.baseline)
        once = {(runs[variant], runs[against]): (variant, against) for variant, against in reversed(pairs)}
        return [pair for (run, other), pair in reversed(once.items()) if run != other]

    def same_as(self) -> dict[str, str]:
        """The variants that come to the same run as one before them, and that one: they are one recipe."""
        first: dict[tuple[str, str], str] = {}
        found = {}
        for cell in self.cells_of(self.cells[0].seed):
            if cell.run_id is not None:
                same = first.setdefault((cell.run_id, cell.config.scoring.inference), cell.variant)
                if same != cell.variant:
                    found[cell.variant] = same
        return found


def build_study(
    grid: str,
    protocol: str | None,
    assignments: Mapping[str, Any],
    seeds: Sequence[int] | None,
    *,
    name: str | None = None,
    plan: bool = False,
) -> Study:
    """Read the grid and the protocol and resolve every cell.

    Args:
        grid, protocol: a file, or the name of one that comes with p2pbench.
        assignments: the settings of ``--set``, by dotted key.
        seeds: instead of the grid's or the protocol's own.
        name: the study's, instead of one made of the grid, the protocol and ``assignments``.
        plan: let the data be missing.
    Raises:
        ConfigError: names the file, the key, the value and what is allowed.
        DataError: the data cannot be found.
    """
    assignments = flatten(assignments, "--set")
    if "training.seed" in assignments:
        raise ConfigError("--set training.seed: a study's seeds are given with --seeds 0,1,2")
    question = read_grid(grid)
    _check_assignments(question, assignments)
    fixed = read_protocol(protocol or question.protocol)
    chosen = seeds if seeds is not None else question.seeds or fixed.seeds or (0,)
    found: dict[DataConfig, DataSet | DataError] = {}
    cells = []

    def resolved(variant: Mapping[str, Level], seed: int, given: Mapping[str, Any]) -> Resolved:
        return resolve([
            Layer(f"protocol {fixed.name}", fixed.settings),
            Layer(f"grid {question.name}", question.settings),
            Layer("--set", given),  # a level sets other keys, or a multiple of what these say
            *(Layer(f"level {factor}: {level.label}", level.settings) for factor, level in variant.items()),
            Layer("seeds", {"training.seed": seed}),
        ])  # fmt: skip

    for seed in chosen:  # in blocks, all variants of a seed before the next: a study that is stopped stays balanced
        for variant in question.variants():
            try:
                cells.append(_cell(variant, seed, resolved(variant, seed, assignments), found))
            except ConfigError as error:
                raise ConfigError(f"{question.file}: variant {label_of(variant)!r}: {error}") from None
    missing = next((str(data) for data in found.values() if isinstance(data, DataError)), None)
    if missing is not None and not plan:
        raise DataError(missing)
    if not cells:
        raise ConfigError(f"{question.file}: exclude takes every variant out; there is nothing to run")
    command = ["p2pbench", "ablate", "--grid", grid, *(["--protocol", protocol] if protocol else [])]
    command += [part for key, value in assignments.items() for part in ("--set", f"{key}={text_of(value)}")]
    if name is None:
        at = "" if fixed.name == Path(question.protocol).stem else f"@{fixed.name}"
        name = f"{question.name}{at}" + suffix_of(
            assignments, lambda given: [resolved(variant, 0, given).config for variant in question.variants()]
        )
    else:
        command += ["--name", checked_name(name)]
    command += ["--seeds", ",".join(map(str, chosen))]
    reads = dict.fromkeys(reading_of(data) for data in found.values() if isinstance(data, DataSet))
    return Study(name, question, fixed, cells, baseline_of(question), shlex.join(command), list(reads), {}, missing)


def _cell(
    variant: Mapping[str, Level], seed: int, resolved: Resolved, found: dict[DataConfig, DataSet | DataError]
) -> Cell:
    """The cell of ``variant`` and ``seed``; ``found`` keeps each data set, or why it is not there, for the next one."""
    config = resolved.config
    for named in (config.generator.name, config.discriminator.name, *config.scoring.wanted):
        if is_reference(named):
            locate(named)
    if config.objective.has_discriminator and config.discriminator.name == "oasis":
        classes_of_condition(config)
    if config.data not in found:
        try:
            found[config.data] = open_dataset(config.data)
        except DataError as error:
            found[config.data] = error
    dataset = found[config.data]
    name = steps = images = key = None
    if not isinstance(dataset, DataError):
        check_selection(dataset, config.training.select)
        steps = config.training.epochs * steps_per_epoch(dataset, config.training.batch_size)
        key, images = dataset.key, len(dataset.names["test"])
        name = run_id(config, key)
    labels = {factor: level.label for factor, level in variant.items()}
    return Cell(label_of(variant), labels, seed, config, resolved.origin, name, steps, images, key)


def _check_assignments(grid: Grid, assignments: Mapping[str, Any]) -> None:
    """Refuse to set what the grid varies: all its variants would be the same under different names."""
    for factor, level in (level for variant in grid.variants() for level in variant.items()):
        for key in level.settings.keys() & assignments.keys():
            if not MULTIPLE.fullmatch(str(level.settings[key])):  # that is of what --set says
                raise ConfigError(f"--set {key}: the grid {grid.name} varies it (factor {factor!r}); use another grid")
