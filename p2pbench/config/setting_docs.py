"""Every setting with its meaning, defaults and values, read from the schema: what ``p2pbench settings`` shows."""

import ast
import functools
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from p2pbench.config.metrics import METRICS
from p2pbench.config.schema import DISCRIMINATOR_NAMES, GENERATOR_NAMES, OBJECTIVE_NAMES, PRESETS, SECTIONS, RunConfig
from p2pbench.config.sections import SELECTIONS

NAMES: dict[str, Iterable[str]] = {
    "generator.name": (*GENERATOR_NAMES, "module:function"),
    "discriminator.name": (*DISCRIMINATOR_NAMES, "module:function"),
    "objective.name": OBJECTIVE_NAMES,
    "training.select": SELECTIONS,
    "scoring.metrics": (*METRICS, "module:function"),
    "scoring.extra_metrics": (*METRICS, "module:function"),
}
"""The names that a setting takes whose type is wider: its validator knows them."""


@dataclass(frozen=True)
class SettingDoc:
    key: str
    meaning: str
    defaults: dict[str, Any]
    """By preset, ``paper`` first."""
    values: str
    """What it takes, in words."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@functools.cache
def setting_docs() -> tuple[SettingDoc, ...]:
    """All settings, in the order of the schema."""
    bare = RunConfig().model_dump(mode="json")
    found = []
    for section, model in SECTIONS.items():
        meanings, schema = _docstrings(model), model.model_json_schema()["properties"]
        for name in model.model_fields:
            key = f"{section}.{name}"
            defaults = {preset: changes.get(key, bare[section][name]) for preset, changes in PRESETS.items()}
            values = ", ".join(NAMES[key]) if key in NAMES else _in_words(schema[name])
            found.append(SettingDoc(key, meanings[name], defaults, values))
    return tuple(found)


def _docstrings(model: type) -> dict[str, str]:
    """The text below each field of ``model``, on one line, without the marks of code."""
    (definition,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, text in pairwise(definition.body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(docstring))):
                found[name] = " ".join(docstring.replace("``", "").split())
    return found


def _in_words(schema: Mapping[str, Any]) -> str:
    """What a JSON schema allows."""
    if "anyOf" in schema:
        return " or ".join(_in_words(option) for option in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "prefixItems" in schema:
        parts = ["a name" if "enum" in item else _in_words(item) for item in schema["prefixItems"]]
        return f"[{', '.join(parts)}]"
    words = {
        "boolean": "true, false", "integer": "a whole number", "number": "a number", "string": "text", "null": "null",
    }[schema["type"]]  # fmt: skip
    limits = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    return " ".join([words, *(f"{word} {schema[limit]:.12g}" for limit, word in limits.items() if limit in schema)])
