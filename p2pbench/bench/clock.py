"""Timing contestants against each other: each in a process of its own, taking turns.

Each has its own process because the allocator, the number of threads and the peak of memory belong to a process. They
take turns because a machine's speed drifts: a ratio is taken between two turns of one round.
"""

from __future__ import annotations

import multiprocessing
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from p2pbench.errors import P2PBenchError
from p2pbench.system.hardware import peak_resident_bytes
from p2pbench.system.progress import Count, no_progress

Step = Callable[[], float | None]
"""One step of a workload. It may return before a GPU has finished; the clock waits for it at the end of a turn. What it
returns is the seconds that do not count."""

GRACE_SECONDS = 60.0
"""How long a contestant's process has to end by itself; in the middle of a step it cannot. The plain loop's DataLoader
alone may wait 5 seconds for each of its workers, and a process that is killed meanwhile leaves their semaphores."""
INTERRUPTED_SECONDS = 2.0
"""How long it has after Ctrl-C, which should not take a minute."""


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
        return np.asarray(self.speeds / other.speeds)


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
    with _started(contestants) as started:
        images = [one.answer() for one in started]
        counts = []
        for one in started:
            one.ask(2)  # the first steps choose algorithms and touch memory
            counts.append(max(1, round(round_seconds / one.ask(2))))
        times: list[list[float]] = [[] for _ in started]
        for turn in range(rounds):
            for index, one in enumerate(started):
                times[index].append(one.ask(counts[index]))
                progress(turn * len(started) + index + 1, rounds * len(started))
        for one, seconds, n_images in zip(started, times, images, strict=True):
            timings[one.name] = Timing(seconds, int(n_images), int(one.ask(0)))
    return timings


def crowd(contestants: Sequence[Contestant], *, seconds: float) -> tuple[float, int]:
    """Run ``contestants`` all at once for about ``seconds``.

    Returns:
        The steps per second of all together, and the most memory that one of them held, in bytes.
    Raises:
        P2PBenchError: a contestant could not be built, or failed.
    """
    with _started(contestants) as started:

        def all_at_once(n_steps: int) -> list[float]:
            for one in started:
                one.pipe.send(n_steps)
            return [one.answer() for one in started]

        for one in started:
            one.answer()
        all_at_once(2)
        slowest = max(all_at_once(2))
        times = all_at_once(max(2, round(seconds / slowest)))
        peaks = all_at_once(0)
    return sum(1 / each for each in times), int(max(peaks))


@dataclass(frozen=True)
class _Started:
    """A contestant whose process runs, and the pipe to it."""

    name: str
    pipe: Connection

    def answer(self) -> float:
        """How many images a step processes, after the start; then what was asked for."""
        try:
            found = self.pipe.recv()
        except EOFError:
            raise P2PBenchError(f"bench: {self.name} ended without an answer; perhaps out of memory") from None
        if isinstance(found, Exception):
            raise found
        return float(found)

    def ask(self, n_steps: int) -> float:
        """The seconds per step of so many steps; for none the process ends and answers with its peak of memory."""
        self.pipe.send(n_steps)
        return self.answer()


@contextmanager
def _started(contestants: Sequence[Contestant]) -> Iterator[list[_Started]]:
    """Start a process for each contestant, and end them with the block."""
    context = multiprocessing.get_context("spawn")
    processes, started, grace = [], [], GRACE_SECONDS
    try:
        for contestant in contestants:
            ours, theirs = context.Pipe()
            # Not a daemon: a daemon may not have children, such as the workers that a DataLoader starts.
            process = context.Process(target=_compete, args=(contestant, theirs))
            with _without_ctrl_c():
                process.start()
            theirs.close()
            processes.append(process)
            started.append(_Started(contestant.name, ours))
        yield started
    except KeyboardInterrupt:
        grace = INTERRUPTED_SECONDS
        raise
    finally:
        for one in started:
            one.pipe.close()  # ends a process that waits to be asked, which ends its own
        for process in processes:
            process.join(grace)
            process.terminate()
            process.join()


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """A process that starts in the block never heeds Ctrl-C, which a terminal sends to all: this one ends it."""
    resource_tracker.ensure_running()  # it would start with the first process, and unblock what is blocked here
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _compete(contestant: Contestant, pipe: Connection) -> None:
    """What runs in the contestant's process: build, then run as many steps as asked for, until asked for none."""
    try:
        step, images = contestant.build(*contestant.arguments)
        pipe.send(images)
        while n_steps := pipe.recv():
            start = time.perf_counter()
            uncounted = sum(step() or 0.0 for _ in range(n_steps))
            synchronise()
            pipe.send((time.perf_counter() - start - uncounted) / n_steps)
        pipe.send(_peak_bytes())
    except (EOFError, ConnectionError):
        pass  # the process that asked has ended, perhaps in the middle of a step
    except P2PBenchError as error:
        pipe.send(error)
    except Exception as error:
        pipe.send(P2PBenchError(f"bench: {contestant.name} failed: {type(error).__name__}: {error}"))


def synchronise() -> None:
    """Wait for all that this process has asked of a GPU."""
    if (torch := sys.modules.get("torch")) is None:
        return
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    elif torch.backends.mps.is_available():
        torch.mps.synchronize()


def _peak_bytes() -> int:
    """The peak on the GPU where it was used; else of resident memory, of this process and its largest child."""
    if torch := sys.modules.get("torch"):
        from p2pbench.training.engine import peak_memory_bytes

        on_cuda = torch.cuda.is_available() and torch.cuda.memory_reserved() > 0
        return peak_memory_bytes(torch.device("cuda" if on_cuda else "cpu"))
    largest_child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak_resident_bytes() + largest_child * (1 if sys.platform == "darwin" else 1024)
