"""What a study is called: ``loss``, ``loss@facades-128``, ``loss,epochs=1``. Imports no torch."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from p2pbench.config.run_id import identity
from p2pbench.config.schema import SETTINGS, RunConfig
from p2pbench.config.yaml12 import text_of
from p2pbench.errors import ConfigError

LONGEST = 80
"""The most characters of a suffix; a longer one is cut and ends with a hash."""
SHARED_KEYS = {key for key, n in Counter(setting.split(".")[1] for setting in SETTINGS).items() if n > 1}
"""Keys that several sections have, which are called by their section too."""


def checked_name(name: str) -> str:
    """``name``, where a folder can be called so. Raises :class:`ConfigError`."""
    if not name or name != name.strip() or name.startswith(".") or re.search(r"[/\\]", name) or not name.isprintable():
        raise ConfigError(
            f"--name is {name!r}: a study's name is that of its folder; give a word without / that does not begin with "
            "a dot, as in --name loss-on-my-data"
        )
    if len(name.encode()) > 200:
        raise ConfigError(f"--name has {len(name)} characters: a folder cannot be called so; give a shorter one")
    return name


def suffix_of(assignments: Mapping[str, Any], configs: Callable[[Mapping[str, Any]], Sequence[RunConfig]]) -> str:
    """What ``--set`` made of a study, in words, as in ``,epochs=1,preset=pytorch``; empty where it is the same study.

    Scores, devices and cadence make no other study, nor does a value that a setting has anyway.

    Args:
        assignments: by dotted key.
        configs: the configurations of the variants under such assignments.
    """
    words: list[str] = []
    so_far: dict[str, Any] = {}
    before = _recipes(configs, so_far) if assignments else []
    for key in sorted(assignments):
        so_far[key] = assignments[key]
        if (after := _recipes(configs, so_far)) != before or after is None:
            words.append(_words(key, assignments[key]))
        before = after
    text = "".join(f",{word}" for word in words)
    if len(text) <= LONGEST:
        return text
    digest = hashlib.sha256(json.dumps([*sorted(assignments.items())], default=str).encode()).hexdigest()
    return f"{text[: LONGEST - 7]}-{digest[:6]}"


def recipe_of(config: RunConfig) -> dict[str, Any]:
    """What a variant means, by dotted key: all that decides the weights but the seed and the content of the data."""
    whole = identity(config, "")
    whole["training"].pop("seed")
    found = {"scoring.inference": config.scoring.inference}
    for section, values in whole.items():
        if isinstance(values, dict):
            found |= {f"{section}.{key}": value for key, value in values.items() if key != "content"}
    return found


def _recipes(
    configs: Callable[[Mapping[str, Any]], Sequence[RunConfig]], assignments: Mapping[str, Any]
) -> list[dict[str, Any]] | None:
    """The recipes of all variants, with the data by their source; None where some of the settings alone do not fit."""
    try:
        return [
            recipe_of(config)
            | {"source": (config.data.source, config.data.condition), "seconds": config.training.seconds}
            for config in configs(assignments)
        ]
    except ConfigError:
        return None


def _words(key: str, value: Any) -> str:
    section, name = key.split(".")
    if name in SHARED_KEYS:
        name = section if name == "name" else f"{section}.{name}"
    text = text_of(value)
    if key == "data.source":
        text = text.rstrip("/").rpartition("/")[2] or text
    return f"{name}={re.sub(r'[^A-Za-z0-9._+]+', '-', text).strip('-')}"
