"""Names of version 0.1 that grids, ``--set`` and records may still have. Each is read as what it is called now."""

import sys
from collections.abc import Mapping
from typing import Any

SETTINGS = {"scoring.also": "scoring.extra_metrics"}
"""Settings by dotted key."""

VALUES = {"scoring.inference": {"statistics": "instance-stats"}, "training.select": {"best-on-val": "l1"}}
"""Values, by the dotted key of the setting that takes them."""

GRID_KEYS = {"paper": "published"}
"""Keys of a grid's file."""

_announced: set[str] = set()


def current_name(names: Mapping[str, str], name: str, where: str) -> str:
    """What ``name`` is called now according to ``names``, one of the tables above.

    The first time in a process that an old name is met, one line on standard error names the new one. ``where`` is
    the file or the option that has the old name.
    """
    new = names.get(name, name)
    if new != name and name not in _announced:
        _announced.add(name)
        line = f"{where}: {name} is now called {new}; the old name is still read"
        # A file's name may hold control characters, which would drive a terminal.
        print("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line), file=sys.stderr)
    return new


def current_value(key: str, value: Any, where: str) -> Any:
    """What ``value`` of the setting ``key`` is called now; announced as :func:`current_name` does."""
    names = VALUES.get(key, {})
    return current_name(names, value, f"{where}: {key}") if isinstance(value, str) else value
