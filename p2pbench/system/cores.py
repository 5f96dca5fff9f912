"""How many cores there are to work on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_all_cores(function: Callable[..., T], *arguments: Iterable[Any]) -> list[T]:
    """``map`` in a thread for each core: for what lets go of the interpreter's lock. More threads are in each other's
    way."""
    with ThreadPoolExecutor(available_cores()) as pool:
        return list(pool.map(function, *arguments))
