"""YAML 1.2, safely: no Python objects, no duplicate keys, and messages with the file and the line."""

import io
from pathlib import Path
from typing import Any

from p2pbench.errors import ConfigError, first_line

MOST_VALUES = 1_000_000
"""Maximum values in a file with its aliases written out: a few lines can stand for more than any memory holds."""


MOST_CHARACTERS = 64 << 20
"""Maximum characters in a file; the study of a thousand cells, as version 0.1 wrote it, has a twentieth of that."""

HINTS = {
    "expected <block end>": "the keys of one mapping, and the dashes of one list, begin in one column",
    "mapping values are not allowed": "the keys of one mapping begin in one column; text with ': ' in it has quotes",
    "character '\\t'": "indent by spaces, not by tabs",
    "could not find expected ':'": "write key: value, with a space after the colon",
}
"""What people wrote that the reader complains of in words of its own, by a part of these."""


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
        value = reader.load(text)
        if _expanded(value, {}) > MOST_VALUES:
            raise ConfigError(f"{name}: its aliases stand for more than {MOST_VALUES:,} values; write them out")
        return value
    except RecursionError:
        raise ConfigError(f"{name}: not valid YAML here: it is nested too deeply, or holds itself") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        problem = next(iter((error.problem or error.context or "").splitlines()), "it does not parse")
        hint = next((f"; {what}" for part, what in HINTS.items() if part in problem), "")
        raise ConfigError(f"{name}{where}: not valid YAML: {problem}{hint}") from None
    except (YAMLError, ValueError) as error:
        raise ConfigError(f"{name}: not valid YAML: {first_line(error)}") from None


def _expanded(value: Any, known: dict[int, int]) -> int:
    """The number of values in ``value`` with aliases written out. Raises RecursionError where it holds itself."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_expanded(one, known) for one in inner)
    return known[id(value)]


def read(path: Path) -> Any:
    """The plain value in the file at ``path``. Raises :class:`ConfigError` as :func:`parse` does."""
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(MOST_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(f"{path}: holds more than {MOST_CHARACTERS:,} characters, which no settings do")
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


def text_of(value: Any) -> str:
    """``value`` as a person writes it in YAML."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(text_of, value))}]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
