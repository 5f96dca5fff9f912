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


def leaving(path: str, seconds: float) -> tuple[Callable[[], None], int]:
    """Its process takes ``seconds`` to end, and leaves a file when it has."""

    def leave() -> None:
        time.sleep(seconds)
        Path(path).touch()

    util.Finalize(None, leave, exitpriority=1)
    return lambda: None, 1
