"""How settings become a configuration: defaults < preset < protocol < grid < level < ``--set``.

:func:`resolve` lays them over each other and keeps, for every dotted key, the layer its value came from.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from p2pbench.config import renamed
from p2pbench.config.renamed import current_name, current_value
from p2pbench.config.schema import COMPONENTS, PRESETS, SECTIONS, SETTINGS, RunConfig
from p2pbench.errors import ConfigError, did_you_mean, unknown

MULTIPLE = re.compile(r"x([1-9]\d*)")
"""A whole number as a multiple of what the layers below have: with ``training.epochs: x4`` a grid has levels of equal
steps under every protocol."""
DEFAULTS = RunConfig().model_dump()


@dataclass(frozen=True)
class Layer:
    """One source of settings: ``settings`` by dotted key, ``name`` as ``--plan`` shows it."""

    name: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Resolved:
    config: RunConfig
    origin: dict[str, str]
    """For every dotted key the name of the layer that decided it (``default`` where none did)."""


def resolve(layers: Iterable[Layer]) -> Resolved:
    """Lay ``layers`` over the defaults and the preset they ask for, the last one winning.

    Raises:
        ConfigError: an unknown key, a value that its setting does not take, or settings that contradict each other.
    """
    layers = [Layer(layer.name, flatten(layer.settings, layer.name)) for layer in layers]
    preset = "paper"
    for layer in layers:
        preset = layer.settings.get("training.preset", preset)
    if not isinstance(preset, str) or preset not in PRESETS:
        raise ConfigError(unknown("training.preset", preset, PRESETS))
    nested: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    origin = dict.fromkeys(SETTINGS, "default")
    for layer in [Layer(f"preset {preset}", PRESETS[preset]), *layers]:
        for dotted, value in layer.settings.items():
            section, key = dotted.split(".", 1)
            nested[section][key] = _multiplied(value, nested[section].get(key, DEFAULTS[section][key]))
            origin[dotted] = layer.name
    return Resolved(_validate(nested, origin), origin)


def _multiplied(value: Any, below: Any) -> Any:
    """``value``, or where it is a multiple such as ``x4``, four times the whole number ``below``."""
    times = MULTIPLE.fullmatch(value) if isinstance(value, str) else None
    return value if times is None or type(below) is not int else int(times[1]) * below


def from_mapping(tree: Mapping[str, Any], name: str) -> RunConfig:
    """The configuration in a ``config.yaml``: sections of settings. ``name`` is the file, for messages."""
    if not isinstance(tree, Mapping):
        raise ConfigError(f"{name}: expected sections of settings, as in training: {{epochs: 200}}")
    return resolve([Layer(name, flatten(tree, name))]).config


def flatten(tree: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Sections of settings, dotted keys, and components by their name alone, as one mapping of dotted keys.

    ``{"training": {"epochs": 2}}`` gives ``{"training.epochs": 2}``, and ``{"objective": "l1"}`` gives
    ``{"objective.name": "l1"}``. Names of version 0.1 become those of today. ``name`` says in messages whose they are.

    Raises:
        ConfigError: a key that is no setting, or one that stands twice under two spellings.
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        inner: Mapping[str, Any]
        if key not in SECTIONS:
            inner = {str(key): value}
        elif isinstance(value, Mapping):
            inner = {f"{key}.{setting}": inner_value for setting, inner_value in value.items()}
        elif key in COMPONENTS:
            inner = {f"{key}.name": value}
        else:
            raise ConfigError(f"{name}: {key!r} is a section, as in {key}: {{setting: value}}; got {value!r}")
        for old, given in inner.items():
            dotted = current_name(renamed.SETTINGS, old, name)
            if dotted not in SETTINGS:
                raise ConfigError(f"{name}: {unknown_setting(dotted)}")
            if dotted in flat:
                raise ConfigError(f"{name}: {dotted} is given twice, once as {old}; leave one of them out")
            flat[dotted] = current_value(dotted, given, name)
    return flat


def parse_set(assignments: Iterable[str]) -> dict[str, Any]:
    """``["training.epochs=2"]`` as ``{"training.epochs": 2}``; values are read as YAML 1.2, the last one of a key wins.

    A component may be named alone: ``objective=l1`` is ``objective.name=l1``.
    """
    from p2pbench.config.yaml12 import parse

    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip()
        if not equals:
            raise ConfigError(f"--set {assignment!r} is no assignment; write --set key=value")
        settings |= flatten({key: parse(text, f"--set {key}")}, "--set")
    return settings


def unknown_setting(key: str) -> str:
    """``unknown setting 'x'`` with the three nearest: the message for a key that is no setting."""
    *_, last = key.split(".")

    def likeness(setting: str) -> float:
        ratio = difflib.SequenceMatcher(None, key, setting).ratio()
        return max(ratio, difflib.SequenceMatcher(None, last, setting.split(".")[1]).ratio())

    nearest = sorted(SETTINGS, key=likeness, reverse=True)[:3]
    return f"unknown setting {key!r}{did_you_mean(nearest)} (p2pbench settings lists all)"


def _validate(nested: dict[str, dict[str, Any]], origin: Mapping[str, str]) -> RunConfig:
    for section, values in nested.items():
        for key, value in values.items():
            field = SECTIONS[section].model_fields[key]
            if field.annotation is float and type(value) is int:  # 100 for a float is what a person writes
                values[key] = float(value)
    try:
        return RunConfig.model_validate(nested)
    except ValidationError as error:
        raise ConfigError(_explain(error, origin)) from None


def _explain(error: ValidationError, origin: Mapping[str, str]) -> str:
    """Every problem of ``error`` on one line, with the layer each value came from."""
    from p2pbench.config.setting_docs import setting_docs
    from p2pbench.config.yaml12 import text_of

    lines, takes = [], {about.key: about.values for about in setting_docs()}
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"][:2])
        message, value = problem["msg"].removeprefix("Value error, "), problem["input"]
        if key not in takes:  # settings that contradict each other, which the message names
            lines.append(message)
        elif problem["type"] == "value_error":
            lines.append(f"{key} ({origin[key]}){' ' if message.startswith('is ') else ': '}{message}")
        else:  # the type or its limits, of which pydantic speaks to programmers
            given = repr(value) if isinstance(value, str) else text_of(value)
            lines.append(f"{key} ({origin[key]}) is {given}: it takes {takes[key]}{_quotes(value, takes[key])}")
    return "; ".join(lines)


def _quotes(value: Any, takes: str) -> str:
    """The way out where quotes, or none, made ``value`` one of another type than a setting ``takes``."""
    if takes.startswith("text") and not isinstance(value, list | dict):
        return "; in quotes it is text"
    number = "number" in takes and isinstance(value, str) and re.fullmatch(r"[-+.\de]*\d[-+.\de]*", value)
    return "; without quotes it is a number" if number else ""
