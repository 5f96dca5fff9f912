"""How long work says how far it is."""

from __future__ import annotations

from collections.abc import Callable

Count = Callable[[int, int], None]
"""Called with (done, in all): pairs, steps, files, megabytes, whatever the work consists of."""


def uncounted(_done: int, _total: int) -> None:
    """For work that nobody watches."""
