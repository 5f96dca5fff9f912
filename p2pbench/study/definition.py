"""What a study is by its definition, and how a recorded one differs from another of its name. Imports no torch.

The definition is what all cells share, the names of the factors, what each level means, and the baseline. Levels,
seeds, scores, primary, margins, contrasts and wording may grow or change.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from p2pbench.config.resolve import from_mapping
from p2pbench.config.run_id import run_id
from p2pbench.config.schema import RunConfig
from p2pbench.config.yaml12 import text_of
from p2pbench.errors import ConfigError
from p2pbench.runs.records import StudyCell, StudyFile
from p2pbench.study.naming import recipe_of
from p2pbench.study.plan import Cell, Study

MOST_NAMED = 3
"""The most differences that a message names."""


@dataclass(frozen=True)
class Definition:
    """What a study is now, to be compared with a record of it."""

    factors: list[str]
    baseline: str
    cells: list[Cell]
    """Those that are trained."""
    varied: Collection[str] = ()
    """The settings that levels set; of a record it is not known, and the baseline, which both have, tells as much."""


def of_study(study: Study) -> Definition:
    varied = {key for levels in study.grid.factors.values() for level in levels for key in level.settings}
    return Definition(list(study.grid.factors), study.baseline, study.cells, varied)


def of_record(record: StudyFile, data_key: Callable[[str], str | None]) -> Definition:
    """The definition that ``record`` has.

    Args:
        data_key: the hash of the data's content by run id, None where no run recorded it.
    """
    cells = [
        Cell(cell.variant, cell.levels, cell.seed, config, {}, cell.run_id, None, None, data_key(cell.run_id))
        for cell in record.cells
        if (config := _config_of(cell)) is not None
    ]
    cells.sort(key=lambda cell: cell.data_key is None)  # the first of each variant is compared
    return Definition(list(record.factors), record.baseline, cells)


def differences(recorded: StudyFile, now: Definition, data_key: Callable[[str], str | None]) -> list[str]:
    """How the definition ``now`` differs from the recorded one, a phrase each; none where they are the same.

    Args:
        data_key: the hash of the data's content by recorded run id, None where no run recorded it.
    """
    if now.factors != list(recorded.factors) and recorded.factors and now.factors:
        return [f"its factors are {', '.join(now.factors)}, were {', '.join(recorded.factors)}"]
    if now.baseline != recorded.baseline:
        return [f"its baseline is {now.baseline}, was {recorded.baseline}"]
    first, before = _first_of_each(now.cells), _first_of_each(recorded.cells)
    if taken := [name for name in first if name in before and before[name].made_elsewhere]:
        return [f"{taken[0]} is the label of images that study add brought"]
    found = _shared(recorded, now)
    for variant, cell in first.items():
        if variant in before and not found:
            found += [
                f"{variant}: {phrase}"
                for phrase in _of_variant(before[variant], cell, data_key(str(before[variant].run_id)))
            ]
    return found


def named(found: Sequence[str]) -> str:
    """The first of ``found``, and how many there are besides."""
    more = len(found) - MOST_NAMED
    return "; ".join(found[:MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")


C = TypeVar("C", Cell, StudyCell)


def _first_of_each(cells: Iterable[C]) -> dict[str, C]:
    """The first cell of each variant, in order."""
    found: dict[str, C] = {}
    for cell in cells:
        found.setdefault(cell.variant, cell)
    return found


def _shared(recorded: StudyFile, definition: Definition) -> list[str]:
    """The settings that all cells share, before or now, and that have changed."""
    varied = definition.varied
    if any("preset" in key for key in varied):
        return []  # it stands for other settings, which each variant is compared by
    before = _common(filter(None, map(_config_of, _first_of_each(recorded.cells).values())))
    now = _common(cell.config for cell in _first_of_each(definition.cells).values())
    return _changed(
        {key: value for key, value in before.items() if key in now and key not in varied},
        {key: value for key, value in now.items() if key in before and key not in varied},
    )


def _common(configs: Iterable[RunConfig]) -> dict[str, Any]:
    """The settings in which all of ``configs`` agree that have them, by dotted key."""
    found: dict[str, Any] = {}
    differing: set[str] = set()
    for config in configs:
        for key, value in recipe_of(config).items():
            if found.setdefault(key, value) != value:
                differing.add(key)
    return {key: value for key, value in found.items() if key not in differing}


def _config_of(cell: StudyCell) -> RunConfig | None:
    if cell.made_elsewhere:
        return None
    try:
        config = from_mapping(cell.config, cell.variant)
        recipe_of(config)  # which finds the code of a network of the user's own
    except ConfigError:  # it may be gone, and its level with it
        return None
    return config


def _of_variant(before: StudyCell, cell: Cell, data_was: str | None) -> list[str]:
    """How a variant that is recorded differs from the one of its name: in settings, data or code."""
    config = _config_of(before)
    if config is None:
        return ["its recorded settings cannot be read"]
    if found := _changed(recipe_of(config), recipe_of(cell.config)):
        return found
    training = cell.config.training.model_copy(update={"seed": before.seed})
    same_seed = cell.config.model_copy(update={"training": training})
    if cell.data_key is None or run_id(same_seed, cell.data_key) == before.run_id:
        return []
    now, source = cell.config.data.source, config.data.source
    if now != source and data_was != cell.data_key:
        return [f"the content of {now}, its data, is not that of {source}"]
    if data_was is None:
        return ["the content of its data, or the code of a network, is another"]
    if data_was != cell.data_key:
        return [f"files of {now}, its data, have changed since (p2pbench data check {now} finds broken ones)"]
    return ["the code of a network has changed since"]


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [
        f"{key} is {text_of(now.get(key))}, was {text_of(before.get(key))}"
        for key in dict.fromkeys((*before, *now))
        if _plain(before.get(key)) != _plain(now.get(key))
    ]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
