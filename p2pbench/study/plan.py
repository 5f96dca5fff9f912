"""A question under a protocol as the cells to run: every variant with every seed, its settings resolved."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p2pbench.config import DataConfig, RunConfig, is_reference
from p2pbench.data.dataset import open_dataset
from p2pbench.errors import ConfigError, DataError
from p2pbench.identity import locate_reference, run_id
from p2pbench.settings import Layer, resolve
from p2pbench.study.grid import Grid, Protocol, label_of, read_grid, read_protocol, text_of


@dataclass(frozen=True)
class Cell:
    """A variant with a seed."""

    variant: str
    levels: dict[str, str]
    """For each factor the label of its level."""
    seed: int
    config: RunConfig
    origin: dict[str, str] = field(repr=False)
    run_id: str | None
    """None only in a plan, where the data are not on this machine."""


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
    missing_data: str | None = None
    """In a plan: why the data could not be read."""


def build_study(
    grid: str, protocol: str | None, assignments: Mapping[str, Any], seeds: Sequence[int] | None, *, plan: bool = False
) -> Study:
    """Read the grid and the protocol and resolve every cell.

    Args:
        grid, protocol: a file, or the name of one that comes with p2pbench.
        assignments: the settings of ``--set``, by dotted key.
        seeds: instead of the grid's or the protocol's own.
        plan: let the data be missing.
    Raises:
        ConfigError: names the file, the key, the value and what is allowed.
        DataError: the data cannot be found.
    """
    if "training.seed" in assignments:
        raise ConfigError("--set training.seed: a study's seeds are given with --seeds 0,1,2")
    question = read_grid(grid)
    fixed = read_protocol(protocol or question.protocol)
    chosen = seeds if seeds is not None else question.seeds or fixed.seeds or (0,)
    missing: str | None = None
    keys: dict[DataConfig, str | None] = {}
    cells = []
    for variant in question.variants():
        label = label_of(variant)
        for seed in chosen:
            try:
                resolved = resolve(
                    [
                        Layer(f"protocol {fixed.name}", fixed.settings),
                        Layer(f"grid {question.name}", question.settings),
                        *(Layer(f"level {factor}: {level.label}", level.settings) for factor, level in variant.items()),
                        Layer("seeds", {"training.seed": seed}),
                        Layer("--set", assignments),
                    ]
                )
                for component in (resolved.config.generator, resolved.config.discriminator):
                    if is_reference(component.name):
                        locate_reference(component.name)
            except ConfigError as error:
                raise ConfigError(f"{question.file}: variant {label!r}: {error}") from None
            data = resolved.config.data
            if data not in keys:
                try:
                    keys[data] = open_dataset(data).key
                except DataError as error:
                    if not plan:
                        raise
                    keys[data], missing = None, str(error)
            key = keys[data]
            name = run_id(resolved.config, key) if key is not None else None
            labels = {factor: level.label for factor, level in variant.items()}
            cells.append(Cell(label, labels, seed, resolved.config, resolved.origin, name))
    if not cells:
        raise ConfigError(f"{question.file}: exclude takes every variant out; there is nothing to run")
    name = question.name if fixed.name == Path(question.protocol).stem else f"{question.name}@{fixed.name}"
    command = ["p2pbench", "ablate", "--grid", grid, *(["--protocol", protocol] if protocol else [])]
    command += [part for key, value in assignments.items() for part in ("--set", f"{key}={text_of(value)}")]
    command += ["--seeds", ",".join(map(str, chosen))]
    return Study(name, question, fixed, cells, _baseline_of(question), shlex.join(command), missing)


def _baseline_of(grid: Grid) -> str:
    matching = [
        label_of(variant)
        for variant in grid.variants()
        if grid.baseline.items() <= {factor: level.label for factor, level in variant.items()}.items()
    ]
    if not matching:
        raise ConfigError(f"{grid.file}: baseline {grid.baseline!r} is none of the variants")
    return matching[0]
