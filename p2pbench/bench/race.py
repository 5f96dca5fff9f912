"""``bench step --race``: which way to run our step is the fastest on this machine. On a GPU ``auto`` then takes it.

Each way is timed alone, in a process of its own; the best then meets the usual one in turns, and wins where it is
faster beyond noise. What is tried: one CUDA graph or eager steps, compiled passes in either, PyTorch's layout or
channels-last (which suits tensor cores, and perhaps not true fp32), and cuDNN's search.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from p2pbench.bench import clock
from p2pbench.bench.clock import Contestant
from p2pbench.bench.step import build_ours
from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError, P2PBenchError
from p2pbench.training.device import available_device
from p2pbench.training.engine import available_engine, check_compilable
from p2pbench.training.winner import Way, record_way

MIN_GAIN = 1.02
"""A way that is not faster than the usual one by this factor is not worth another."""


@dataclass(frozen=True)
class Tried:
    way: Way
    images_per_second: float | None
    why: str = ""
    """Why it has no speed."""


def ways_for(config: RunConfig, device: str) -> list[Way]:
    """The ways to run the steps of ``config`` on ``device``: the usual one first, then the likelier first."""
    usual = Way("graph" if device == "cuda" else "eager", channels_last=device == "cuda")
    kinds = ["graph", "graph+compile", "eager", "compile"] if device == "cuda" else ["eager", "compile"]
    try:
        available_engine("compile", torch.device(device))
        check_compilable(config)
    except ConfigError:
        kinds = [kind for kind in kinds if "compile" not in kind]
    searches = (True, False) if device == "cuda" else (False,)
    every = [Way(kind, layout, search) for kind in kinds for search in searches for layout in (True, False)]
    return [usual, *(way for way in every if way != usual)]


def find_fastest(
    config: RunConfig, *, seconds: float, say: Callable[[str], None], round_seconds: float = 0.6
) -> dict[str, Any]:
    """Race the ways for ``config`` for about ``seconds``; on CUDA the winner is recorded.

    Returns:
        ``ways`` with the images per second of each, or why it has none; the ``winner``, how many times faster than the
        ``usual`` way it is, and whether it was ``recorded``.
    Raises:
        P2PBenchError: the usual way does not run.
    """
    device, start = available_device(config.training.device), time.monotonic()
    config = config.changed("training", engine="auto")
    usual, *others = ways_for(config, device)
    tried = [Tried(usual, _alone(config, usual, round_seconds))]
    longest = time.monotonic() - start
    for way in others:
        left = seconds - (time.monotonic() - start) - 2 * longest  # the final takes as long as two
        if left < longest:
            tried.append(Tried(way, None, f"not tried within {seconds:.0f} s"))
            continue
        say(str(way))
        before = time.monotonic()
        try:
            tried.append(Tried(way, _alone(config, way, round_seconds)))
        except P2PBenchError as error:
            tried.append(Tried(way, None, str(error)))
        longest = max(longest, time.monotonic() - before)
    best = max(tried, key=lambda one: one.images_per_second or 0.0).way
    gain = 1.0 if best == usual else _final(config, usual, best, round_seconds)
    winner = best if gain >= MIN_GAIN else usual
    if device == "cuda":
        record_way(config, winner)
    return {
        "ways": [{"way": str(t.way), "images_per_second": t.images_per_second, "reason": t.why or None} for t in tried],
        "usual": str(usual), "winner": str(winner), "gain": gain if winner == best else 1.0,
        "recorded": device == "cuda",
    }  # fmt: skip


def _alone(config: RunConfig, way: Way, round_seconds: float) -> float:
    """Images per second."""
    name = str(way)
    timing = clock.race([Contestant(name, build_ours, (config, way))], rounds=5, round_seconds=round_seconds)[name]
    return float(np.median(timing.speeds))


def _final(config: RunConfig, usual: Way, best: Way, round_seconds: float) -> float:
    """How many times faster than the ``usual`` way ``best`` is, in turns: the lower quartile."""
    pair = [Contestant(str(way), build_ours, (config, way)) for way in (usual, best)]
    timings = clock.race(pair, rounds=10, round_seconds=round_seconds)
    return float(np.quantile(timings[str(best)].ratios_to(timings[str(usual)]), 0.25))
