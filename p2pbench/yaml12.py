"""YAML 1.2, safely: no Python objects, no duplicate keys, and messages with the file and the line."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from p2pbench.errors import ConfigError


def parse(text: str, name: str) -> Any:
    """The plain value in ``text``. YAML 1.2: ``2e-4`` is a number, ``on`` a word.

    Raises:
        ConfigError: it does not parse, or a key stands twice; names ``name`` and the line.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    reader = YAML(typ="safe", pure=True)
    reader.allow_duplicate_keys = False
    try:
        return reader.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        problem = (error.problem or error.context or "does not parse").splitlines()[0]
        raise ConfigError(f"{name}{where}: not valid YAML: {problem}") from None
    except (YAMLError, ValueError) as error:
        raise ConfigError(f"{name}: not valid YAML: {str(error).splitlines()[0]}") from None


def read(path: Path) -> Any:
    """The plain value in the file at ``path``. Raises :class:`ConfigError` as :func:`parse` does."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    return parse(text, str(path))


def dump(value: Any) -> str:
    """``value`` as YAML, keys in their order."""
    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    buffer = io.StringIO()
    writer.dump(value, buffer)
    return buffer.getvalue()
