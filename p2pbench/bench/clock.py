"""Timing contestants against each other: each in a process of its own, taking turns.

Each has its own process because the allocator, the number of threads and the peak of memory belong to a process. They
take turns because a machine's speed drifts: a ratio is taken between two turns of one round.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from p2pbench.errors import P2PBenchError
from p2pbench.system.progress import Count, no_progress

Step = Callable[[], float | None]
"""One step of a workload. It may return before a GPU has finished; the clock waits for it at the end of a turn. What it
returns is the seconds that do not count."""


@dataclass(frozen=True)
class Contestant:
    """Something to be timed."""

    name: str
    build: Callable[..., tuple[Step, int]]
    """Called in the contestant's own process; returns the step and how many images it processes."""
    arguments: tuple[Any, ...]
    row: Mapping[str, Any] = field(default_factory=dict)
    """What its row of the JSON says beside the timing."""


@dataclass(frozen=True)
class Timing:
    """The seconds per step in every round, and the most memory that the process held."""

    seconds: list[float]
    images_per_step: int
    peak_memory_bytes: int

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def speeds(self) -> np.ndarray:
        """Images per second, in each round."""
        return self.images_per_step / np.array(self.seconds)

    def ratios_to(self, other: Timing) -> np.ndarray:
        """How many times faster than ``other``, in each round."""
        ratios: np.ndarray = self.speeds / other.speeds
        return ratios


def race(
    contestants: Sequence[Contestant], *, rounds: int, round_seconds: float, progress: Count = no_progress
) -> dict[str, Timing]:
    """Time ``contestants`` in turns.

    Args:
        rounds: the turns of each contestant that count; two more come first, to warm up.
        round_seconds: about how long a turn lasts.
        progress: called with the number of turns done and of all turns.
    Raises:
        P2PBenchError: a contestant could not be built, or failed.
    """
    timings = {}
    with _started(contestants) as pipes:
        pairs = list(zip(pipes, contestants, strict=True))
        images = [_receive(pipe, contestant) for pipe, contestant in pairs]
        counts = []
        for pipe, contestant in pairs:
            for n_steps in (2, 2):  # the first steps choose algorithms and touch memory
                seconds = _turn(pipe, contestant, n_steps)
            counts.append(max(1, round(round_seconds / seconds)))
        times: list[list[float]] = [[] for _ in contestants]
        for turn in range(rounds):
            for index, (pipe, contestant) in enumerate(pairs):
                times[index].append(_turn(pipe, contestant, counts[index]))
                progress(turn * len(contestants) + index + 1, rounds * len(contestants))
        for index, (pipe, contestant) in enumerate(pairs):
            peak = _turn(pipe, contestant, 0)
            timings[contestant.name] = Timing(times[index], int(images[index]), int(peak))
    return timings


def crowd(contestants: Sequence[Contestant], *, seconds: float) -> tuple[float, int]:
    """Run ``contestants`` all at once for about ``seconds``.

    Returns:
        The steps per second of all together, and the most memory that one of them held, in bytes.
    Raises:
        P2PBenchError: a contestant could not be built, or failed.
    """
    with _started(contestants) as pipes:
        pairs = list(zip(pipes, contestants, strict=True))

        def turn(n_steps: int) -> list[float]:
            for pipe in pipes:
                pipe.send(n_steps)
            return [_receive(pipe, contestant) for pipe, contestant in pairs]

        for pipe, contestant in pairs:
            _receive(pipe, contestant)
        turn(2)
        slowest = max(turn(2))
        times = turn(max(2, round(seconds / slowest)))
        peaks = turn(0)
    return sum(1 / each for each in times), int(max(peaks))


@contextmanager
def _started(contestants: Sequence[Contestant]) -> Iterator[list[Connection]]:
    """Start a process for each contestant, yield the pipes to them, and end them with the block."""
    context = multiprocessing.get_context("spawn")
    processes, pipes = [], []
    try:
        for contestant in contestants:
            ours, theirs = context.Pipe()
            # Not a daemon: a daemon may not have children, such as the workers that a DataLoader starts.
            process = context.Process(target=_compete, args=(contestant, theirs))
            process.start()
            theirs.close()
            processes.append(process)
            pipes.append(ours)
        yield pipes
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _turn(pipe: Connection, contestant: Contestant, n_steps: int) -> float:
    """The seconds per step of so many steps; for none the contestant ends, and answers with its peak of memory."""
    pipe.send(n_steps)
    return _receive(pipe, contestant)


def _receive(pipe: Connection, contestant: Contestant) -> float:
    try:
        answer = pipe.recv()
    except EOFError:
        raise P2PBenchError(f"bench: {contestant.name} ended without an answer; perhaps out of memory") from None
    if isinstance(answer, Exception):
        raise answer
    return float(answer)


def _compete(contestant: Contestant, pipe: Connection) -> None:
    """What runs in the contestant's process: build, then run as many steps as asked for, until asked for none."""
    try:
        step, images = contestant.build(*contestant.arguments)
        pipe.send(images)
        while n_steps := pipe.recv():
            start = time.perf_counter()
            uncounted = sum(step() or 0.0 for _ in range(n_steps))
            _wait_for_the_device()
            pipe.send((time.perf_counter() - start - uncounted) / n_steps)
        pipe.send(_peak_bytes())
    except EOFError:
        pass  # the process that asked has ended
    except P2PBenchError as error:
        pipe.send(error)
    except Exception as error:
        pipe.send(P2PBenchError(f"bench: {contestant.name} failed: {type(error).__name__}: {error}"))


def _wait_for_the_device() -> None:
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _peak_bytes() -> int:
    """The peak on the GPU where it was used; else of resident memory, of this process and its largest child."""
    if torch := sys.modules.get("torch"):
        from p2pbench.training.engine import peak_memory_bytes

        on_cuda = torch.cuda.is_available() and torch.cuda.memory_allocated() > 0
        return peak_memory_bytes(torch.device("cuda" if on_cuda else "cpu"))
    used = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return used * (1 if sys.platform == "darwin" else 1024)
