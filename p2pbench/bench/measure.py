"""Timing contestants against each other: each in a process of its own, taking turns.

A process each, because the allocator, the number of threads and the peak of memory belong to a process. Turns, because
a machine's speed drifts: a ratio is taken between two turns of one round.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from p2pbench.errors import P2PBenchError
from p2pbench.system.progress import Count, no_progress

Step = Callable[[], float | None]
"""One step of a workload; work on a GPU may still be under way when it returns, and is waited for at the end of a turn.
It may return how many seconds of it do not count."""


@dataclass(frozen=True)
class Contestant:
    """Something to be timed: ``build(*arguments)``, called in its own process, returns the step and its images."""

    name: str
    build: Callable[..., tuple[Step, int]]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Timing:
    """Seconds per step in every round, and the most memory the process held."""

    seconds: list[float]
    images_per_step: int
    peak_memory_bytes: int

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def images_per_second(self) -> float:
        return self.images_per_step / self.median

    def ratio_to(self, other: Timing) -> float:
        """How many times faster than ``other``: the median over rounds."""
        return float(np.median(self.ratios_to(other)))

    def ratios_to(self, other: Timing) -> np.ndarray:
        """How many times faster than ``other``, in each round."""
        ratios: np.ndarray = (
            np.array(other.seconds) / other.images_per_step / (np.array(self.seconds) / self.images_per_step)
        )
        return ratios


def figures(timing: Timing, plain: Timing) -> dict[str, Any]:
    """What a row of the JSON says of its timing: medians, and the quartiles over rounds."""
    speeds = timing.images_per_step / np.array(timing.seconds)
    return {
        "images_per_second": timing.images_per_second,
        "images_per_second_quartiles": np.quantile(speeds, [0.25, 0.75]).tolist(),
        "ratio_to_plain": timing.ratio_to(plain),
        "ratio_quartiles": np.quantile(timing.ratios_to(plain), [0.25, 0.75]).tolist(),
        "repeats": len(timing.seconds),
        "peak_memory_bytes": timing.peak_memory_bytes,
        "seconds_per_step": sorted(timing.seconds),
    }


def race(
    contestants: Sequence[Contestant],
    *,
    rounds: int,
    round_seconds: float,
    progress: Count = no_progress,
) -> dict[str, Timing]:
    """Time ``contestants`` in turns.

    Args:
        rounds: turns of each that count; two more come first, to warm up.
        round_seconds: about how long a turn lasts.
        progress: called with (turns done, in all).
    Raises:
        P2PBenchError: a contestant could not be built or failed.
    """
    with _started(contestants) as lines:
        images = [_receive(line, c) for line, c in zip(lines, contestants, strict=True)]
        counts = []
        for line, contestant in zip(lines, contestants, strict=True):
            for n_steps in (2, 2):  # the first steps choose algorithms and touch memory
                seconds = _turn(line, contestant, n_steps)
            counts.append(max(1, round(round_seconds / seconds)))
        times: list[list[float]] = [[] for _ in contestants]
        for turn in range(rounds):
            for index, (line, contestant) in enumerate(zip(lines, contestants, strict=True)):
                times[index].append(_turn(line, contestant, counts[index]))
                progress(turn * len(contestants) + index + 1, rounds * len(contestants))
        peaks = []
        for line, contestant in zip(lines, contestants, strict=True):
            line.send(0)
            peaks.append(_receive(line, contestant))
    return {
        c.name: Timing(seconds, int(n), int(peak))
        for c, seconds, n, peak in zip(contestants, times, images, peaks, strict=True)
    }


def crowd(contestants: Sequence[Contestant], *, seconds: float) -> tuple[float, int]:
    """Run ``contestants`` all at once for about ``seconds``.

    Returns:
        The steps per second of all together, and the most memory that one of them held, in bytes.
    Raises:
        P2PBenchError: one could not be built or failed.
    """
    with _started(contestants) as lines:
        pairs = list(zip(lines, contestants, strict=True))

        def turn(n_steps: int) -> list[float]:
            for line in lines:
                line.send(n_steps)
            return [_receive(line, contestant) for line, contestant in pairs]

        for line, contestant in pairs:
            _receive(line, contestant)
        turn(2)
        slowest = max(turn(2))
        times = turn(max(2, round(seconds / slowest)))
        peaks = turn(0)
    return sum(1 / each for each in times), int(max(peaks))


@contextmanager
def _started(contestants: Sequence[Contestant]) -> Iterator[list[Connection]]:
    """A process for each contestant, and the line to it; ended with the block."""
    context = multiprocessing.get_context("spawn")
    processes, lines = [], []
    try:
        for contestant in contestants:
            ours, theirs = context.Pipe()
            # No daemon: those may not have the workers that a DataLoader starts.
            process = context.Process(target=_compete, args=(contestant, theirs))
            process.start()
            theirs.close()
            processes.append(process)
            lines.append(ours)
        yield lines
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _turn(line: Connection, contestant: Contestant, n_steps: int) -> float:
    line.send(n_steps)
    return _receive(line, contestant)


def _receive(line: Connection, contestant: Contestant) -> float:
    try:
        answer = line.recv()
    except EOFError:
        raise P2PBenchError(f"bench: {contestant.name} died without a word; out of memory?") from None
    if isinstance(answer, Exception):
        raise answer
    return float(answer)


def _compete(contestant: Contestant, line: Connection) -> None:
    """The contestant's process: build, then run as many steps as asked for, until asked for none."""
    try:
        step, images = contestant.build(*contestant.arguments)
        line.send(images)
        while n_steps := line.recv():
            start = time.perf_counter()
            apart = sum(step() or 0.0 for _ in range(n_steps))
            _wait_for_the_device()
            line.send((time.perf_counter() - start - apart) / n_steps)
        line.send(_peak_bytes())
    except EOFError:
        pass  # whoever asked is gone
    except P2PBenchError as error:
        line.send(error)
    except Exception as error:
        line.send(P2PBenchError(f"bench: {contestant.name} failed: {type(error).__name__}: {error}"))


def _wait_for_the_device() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _peak_bytes() -> int:
    """On the GPU, where it was used; else the most that was resident: of this process and its largest child."""
    if torch := sys.modules.get("torch"):
        from p2pbench.training.engine import peak_memory_bytes

        on_cuda = torch.cuda.is_available() and torch.cuda.memory_allocated() > 0
        return peak_memory_bytes(torch.device("cuda" if on_cuda else "cpu"))
    return _resident(resource.RUSAGE_SELF) + _resident(resource.RUSAGE_CHILDREN)


def _resident(whose: int) -> int:
    return resource.getrusage(whose).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
