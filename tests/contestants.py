"""What takes part in races of the benchmarks' tests, in processes of its own: without torch they start at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing import util
from pathlib import Path


def sleeper(seconds: float) -> tuple[Callable[[], None], int]:
    return lambda: time.sleep(seconds), 2


def broken() -> tuple[Callable[[], None], int]:
    raise RuntimeError("cannot be built")


def leaving(path: str) -> tuple[Callable[[], None], int]:
    util.Finalize(None, Path(path).touch, exitpriority=1)
    return lambda: None, 1
