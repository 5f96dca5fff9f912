"""From a grid file, a protocol and ``--set`` to the cells of a study. Imports no torch."""

import difflib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from p2pbench.config import renamed, yaml12
from p2pbench.config.plugins import is_reference
from p2pbench.config.renamed import current_name
from p2pbench.config.resolve import flatten, unknown_setting
from p2pbench.config.schema import (
    DISCRIMINATOR_NAMES,
    GENERATOR_NAMES,
    OBJECTIVE_NAMES,
    SECTIONS,
    SETTINGS,
)
from p2pbench.config.shipped import published_name, published_names, shipped_files
from p2pbench.config.yaml12 import text_of
from p2pbench.errors import ConfigError, did_you_mean, unknown
from p2pbench.runs.records import Contrasts
from p2pbench.study.comparisons import check_contrasts, read_margins, read_primary

COMPONENTS: dict[str, Iterable[str]] = {
    "generator": GENERATOR_NAMES,
    "discriminator": DISCRIMINATOR_NAMES,
    "objective": OBJECTIVE_NAMES,
}
GRID_KEYS = (
    "question", "about", "published", "primary", "contrasts", "margins", "baseline", "factors", "cumulative", "include",
    "exclude", "protocol", "seeds", *SECTIONS,
)  # fmt: skip
PROTOCOL_KEYS = ("about", "seeds", *SECTIONS)
DEFAULT_PROTOCOL = "quick"


@dataclass(frozen=True)
class Protocol:
    """Everything that stays fixed in a study."""

    name: str
    about: str
    seeds: tuple[int, ...] | None
    settings: dict[str, Any]


@dataclass(frozen=True)
class Level:
    label: str
    settings: dict[str, Any]
    source: str = ""
    """Where the idea comes from, as the grid says it."""


@dataclass(frozen=True)
class Grid:
    """One question: its factors and their levels."""

    name: str
    file: Path
    question: str
    published: str | None
    """The published table that reports show beside this grid's, a key of ``published_tables()``."""
    baseline: dict[str, str]
    factors: dict[str, list[Level]]
    include: list[dict[str, Level]]
    exclude: list[dict[str, str]]
    primary: tuple[str, ...]
    contrasts: Contrasts
    margins: dict[str, float]
    protocol: str
    seeds: tuple[int, ...] | None
    settings: dict[str, Any]

    def variants(self) -> list[dict[str, Level]]:
        """Every combination of levels, with ``include`` added and ``exclude`` taken out; each once, in order."""
        names = list(self.factors)
        product = [dict(zip(names, levels, strict=True)) for levels in itertools.product(*self.factors.values())]
        seen: dict[str, dict[str, Level]] = {}
        for variant in [*product, *self.include]:
            labels = {factor: level.label for factor, level in variant.items()}
            if not any(pattern.items() <= labels.items() for pattern in self.exclude):
                seen.setdefault(label_of(variant), variant)
        return list(seen.values())


def label_of(variant: Mapping[str, Level]) -> str:
    return ", ".join(level.label for level in variant.values())


def baseline_of(grid: Grid) -> str:
    """The label of the variant that the others are compared with. Raises :class:`ConfigError` if there is none."""
    for variant in grid.variants():
        if grid.baseline.items() <= {factor: level.label for factor, level in variant.items()}.items():
            return label_of(variant)
    raise ConfigError(f"{grid.file}: baseline {grid.baseline!r} is none of the variants")


def find_file(name: str, kind: str, what: str) -> Path:
    """The file that ``name`` is, or the shipped one of that name. Raises :class:`ConfigError`."""
    path, files = Path(name).expanduser(), shipped_files(kind)
    is_path = "/" in name or name.endswith((".yaml", ".yml"))
    if not is_path and name in files:
        return files[name]
    if path.is_dir():
        raise ConfigError(f"{what} {name!r} is a folder; name the file in it, as in --{what} {path / what}.yaml")
    if not is_path:
        beside = path.with_suffix(".yaml")
        file = beside if beside.is_file() else Path("my", beside)
        raise ConfigError(f"{unknown(what, name, files)}; or a file, as in --{what} {quote(str(file))}")
    if not path.is_file():
        near = difflib.get_close_matches(str(path), sorted(map(str, path.parent.glob("*.y*ml"))))
        raise ConfigError(
            f"{what} {name!r}: there is no such file{did_you_mean(near)} (p2pbench grids lists the shipped ones)"
        )
    return path


def read_protocol(name: str) -> Protocol:
    path = find_file(name, "protocols", "protocol")
    content = _mapping(path, PROTOCOL_KEYS)
    return Protocol(path.stem, str(content.get("about", "")), _seeds(content, path), _settings(content, path))


def read_grid(name: str) -> Grid:
    """The grid in a file or shipped under ``name``. Raises :class:`ConfigError`."""
    path = find_file(name, "", "grid")
    if path.stem.startswith("."):
        raise ConfigError(f"grid {name!r}: the name of its study, {path.stem!r}, begins with a dot; rename the file")
    content = _mapping(path, GRID_KEYS)
    levels = _factors(content.get("factors"), path)
    if _cumulative(content, path):
        levels = {factor: _added_up(factor, listed, path) for factor, listed in levels.items()}
    grid = Grid(
        name=path.stem,
        file=path,
        question=" ".join(str(content.get("question", path.stem)).split()),
        published=_published(content, path),
        baseline=_choice("baseline", content.get("baseline", {}), levels, path),
        factors=levels,
        include=_included(_combined("include", content, path), levels, path),
        exclude=[_choice("exclude", entry, levels, path) for entry in _combined("exclude", content, path)],
        primary=read_primary(content.get("primary", []), path),
        contrasts=content.get("contrasts", "baseline"),
        margins=read_margins(content.get("margins", {}), path),
        protocol=_beside(str(content.get("protocol", DEFAULT_PROTOCOL)), path),
        seeds=_seeds(content, path),
        settings=_settings(content, path),
    )
    check_contrasts(grid.contrasts, [label_of(variant) for variant in grid.variants()], path)
    return grid


def _beside(protocol: str, path: Path) -> str:
    """The protocol of the grid at ``path``: a file beside the grid where the current folder has none of that name."""
    file, is_path = path.parent / protocol, protocol.endswith((".yaml", ".yml"))
    return str(file) if is_path and file.is_file() and not Path(protocol).is_file() else protocol


def _factors(factors: Any, path: Path) -> dict[str, list[Level]]:
    """The levels of each factor, in the order of the file."""
    if not isinstance(factors, dict) or not factors:
        raise ConfigError(f"{path}: factors: a grid needs at least one, as in factors: {{objective: [l1, l1+cgan]}}")
    levels = {}
    for factor, values in factors.items():
        if not isinstance(factor, str):
            raise ConfigError(f"{path}: factor {factor!r} is {_kind(factor)}; a factor is a name")
        if not isinstance(values, list) or not values:
            raise ConfigError(f"{path}: factor {factor!r} has no levels; give a list, as in {factor}: [a, b]")
        levels[factor] = [_level(factor, value, path) for value in values]
        labels = [level.label for level in levels[factor]]
        if len(set(labels)) < len(labels):
            raise ConfigError(f"{path}: factor {factor!r} names a level twice: {', '.join(labels)}")
    return levels


def _cumulative(content: Mapping[str, Any], path: Path) -> bool:
    value = content.get("cumulative", False)
    if type(value) is not bool:
        raise ConfigError(f"{path}: cumulative is {value!r}: say true, and each level has what those before it have")
    return value


def _added_up(factor: str, levels: list[Level], path: Path) -> list[Level]:
    """``levels``, each with the settings of those before it, of which it may change some."""
    if factor in COMPONENTS or factor in SETTINGS:
        raise ConfigError(
            f"{path}: cumulative: the levels of {factor!r} are values of one setting, which cannot be added up; give "
            "levels with a label"
        )
    found, so_far = [], dict[str, Any]()
    for level in levels:
        so_far = so_far | level.settings
        found.append(Level(level.label, so_far, level.source))
    return found


def _mapping(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    content = yaml12.read(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values, as in question: ...")
    current: dict[str, Any] = {}
    for old, value in content.items():
        key = current_name(renamed.GRID_KEYS, old, str(path))
        if key not in keys:
            raise ConfigError(f"{path}: {unknown('key', key, keys)}")
        if key in current:
            raise ConfigError(f"{path}: {key} is given twice, once by its former name; give it once")
        current[key] = value
    return current


def _settings(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    return _without_seed(flatten({key: value for key, value in content.items() if key in SECTIONS}, str(path)), path)


def _without_seed(settings: dict[str, Any], where: object) -> dict[str, Any]:
    if "training.seed" in settings:
        raise ConfigError(f"{where}: training.seed: seeds are given as seeds: [0, 1, 2]")
    return settings


def _seeds(content: Mapping[str, Any], path: Path) -> tuple[int, ...] | None:
    seeds = content.get("seeds")
    if seeds is None:
        return None
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise ConfigError(f"{path}: seeds is {seeds!r}: give a list of whole numbers, as in seeds: [0, 1, 2]")
    return tuple(dict.fromkeys(seeds))


def _combined(key: str, content: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    """The combinations of levels under ``key``; an entry with lists of levels stands for all of their combinations."""
    entries = content.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(f"{path}: {key} is a list of {{factor: level}} or {{factor: [levels]}}; got {entries!r}")
    listed = [[value if isinstance(value, list) else [value] for value in entry.values()] for entry in entries]
    return [
        dict(zip(entry, levels, strict=True))
        for entry, values in zip(entries, listed, strict=True)
        for levels in itertools.product(*values)
    ]


def _published(content: dict[str, Any], path: Path) -> str | None:
    """The published table that the grid names."""
    name = content.get("published")
    if name is None:
        return None
    table = published_name(name) if isinstance(name, str) else ""
    if table not in published_names():
        raise ConfigError(f"{path}: published: {unknown('published table', name, published_names())}")
    return table


def _level(factor: str, value: Any, path: Path) -> Level:
    """One level of ``factor`` as the settings it stands for."""
    where = f"{path}: factor {factor!r}"
    if factor in COMPONENTS:
        if not isinstance(value, str):
            raise ConfigError(f"{where}: level {value!r} is {_kind(value)}; a level is a name: write it in quotes")
        names = COMPONENTS[factor]
        if value not in names and not (factor != "objective" and is_reference(value)):
            raise ConfigError(f"{where}: {unknown('level', value, names)}")
        return Level(value, {f"{factor}.name": value})
    if factor in SETTINGS:
        if isinstance(value, dict | list):
            raise ConfigError(f"{where}: level {value!r} is {_kind(value)}; a setting's level is a single value")
        return Level(f"{factor.split('.')[1]}={text_of(value)}", _without_seed({factor: value}, where))
    if "." in factor:
        raise ConfigError(f"{path}: {unknown_setting(factor)}")
    if not isinstance(value, dict):
        raise ConfigError(
            f"{where} is neither a component ({', '.join(COMPONENTS)}) nor a setting, so its levels are mappings "
            f"with a label, as in {{label: small, generator.ngf: 32}}; got {value!r}"
        )
    settings = dict(value)
    label, source = settings.pop("label", None), settings.pop("source", "")
    if not isinstance(label, str) or not label or not label.isprintable():
        raise ConfigError(f"{where}: a level needs a label: in words, on one line; got {label!r} in {value!r}")
    if not isinstance(source, str) or not source.isprintable():
        raise ConfigError(
            f"{where}: level {label!r}: source is {source!r}; say in words, on one line, whose idea it is"
        )
    return Level(label, _without_seed(flatten(settings, where), f"{where}: level {label!r}"), source)


def _included(entries: list[dict[str, Any]], factors: Mapping[str, list[Level]], path: Path) -> list[dict[str, Level]]:
    """Variants given level by level; a level may be one that its factor does not list."""
    known = {factor: {level.label: level for level in levels} for factor, levels in factors.items()}
    variants = []
    for entry in entries:
        if entry.keys() != factors.keys():
            names = ", ".join(factors)
            raise ConfigError(f"{path}: include {entry!r}: name a level for each factor ({names}), no others")
        variant = {}
        for factor, value in entry.items():
            listed = known[factor].get(value) if isinstance(value, str) else None
            level = listed or _level(factor, value, path)
            if known[factor].setdefault(level.label, level) != level:
                raise ConfigError(
                    f"{path}: include {entry!r}: factor {factor!r} has another level that is called {level.label!r}; "
                    "give this one a label of its own"
                )
            variant[factor] = level
        variants.append({factor: variant[factor] for factor in factors})  # a label names the factors in their order
    return variants


def _choice(key: str, entry: Any, factors: Mapping[str, list[Level]], path: Path) -> dict[str, str]:
    """A choice of levels by label, or by value for settings: as ``baseline`` and ``exclude`` have it."""
    if not isinstance(entry, dict):
        raise ConfigError(f"{path}: {key} is {entry!r}: write it as {{factor: level}}")
    choice = {}
    for factor, value in entry.items():
        if factor not in factors:
            raise ConfigError(f"{path}: {key}: {unknown('factor', factor, factors)}")
        labels = [level.label for level in factors[factor]]
        label = f"{factor.split('.')[1]}={text_of(value)}" if factor in SETTINGS else value
        if label not in labels:
            raise ConfigError(f"{path}: {key}: {unknown(f'level of {factor}', value, labels)}")
        choice[factor] = label
    return choice


def _kind(value: Any) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "a mapping"}
    return names.get(type(value), "empty" if value is None else "no name")
