"""Build the file of an array from its pairs, on all cores: in threads, or for large sets in processes."""

from __future__ import annotations

import contextlib
import itertools
import pickle
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Self

from p2pbench.data.decoding import Place
from p2pbench.data.reading import Reader
from p2pbench.errors import DataError
from p2pbench.system.hardware import available_cores, keep_freed_memory
from p2pbench.system.progress import Count

Chunk = tuple[int, list[Reader]]
"""The index of the first pair, and what reads it and those after it."""

PROCESSES_FROM = 1000
"""Pairs from which processes do it.

Measured with two cores, both kinds in turns: photos in files and drawn pairs take equally long at 400, where a process
has cost 0.2 s to start; at 2000 processes are 1.25 (JPEG) and 1.5 (drawn) times as fast, for Pillow decodes and resizes
outside the interpreter's lock, but copies within it, and drawing is mostly Python.
"""

MOST_PROCESSES = 32
"""Each takes 40 MB and more."""


def build(place: Place, readers: Iterator[Reader], n_pairs: int, progress: Count) -> None:
    """Decode the ``n_pairs`` of ``readers`` into ``place``. Holds few of them in memory at a time.

    Raises:
        DataError: a pair cannot be read; of several, the first is named.
        OSError: the disk is full.
    """
    cores = available_cores()
    with ExitStack() as stack:
        write: Callable[[int, list[Reader]], None] = place.write
        n_processes = min(cores, MOST_PROCESSES) if cores > 1 and n_pairs >= PROCESSES_FROM else 0
        processes = [stack.enter_context(Process(place)) for _ in range(n_processes)]
        if processes:
            write = _Shared(processes).write
        else:
            keep_freed_memory()
        pool = ThreadPoolExecutor(cores)
        stack.callback(pool.shutdown, cancel_futures=True)
        for process in processes:
            stack.callback(process.kill)  # the first thing to happen: a thread that waits for one waits no longer
        pending: deque[tuple[int, Future[None]]] = deque()
        for first, some in _chunks(readers, n_pairs):
            pending.append((first + len(some), pool.submit(write, first, some)))
            if len(pending) > 2 * cores:
                _report(pending, n_pairs, progress)
        while pending:
            _report(pending, n_pairs, progress)


def _chunks(readers: Iterator[Reader], n_pairs: int) -> Iterator[Chunk]:
    length = min(64, max(1, n_pairs // 64))  # progress by the hundredth, and messages that do not count
    for first in range(0, n_pairs, length):
        yield first, list(itertools.islice(readers, length))


def _report(pending: deque[tuple[int, Future[None]]], n_pairs: int, progress: Count) -> None:
    done, future = pending.popleft()
    future.result()
    progress(done, n_pairs)


class _Shared:
    """Processes that threads take in turns."""

    def __init__(self, processes: list[Process]) -> None:
        self.free: queue.SimpleQueue[Process] = queue.SimpleQueue()
        for process in processes:
            self.free.put(process)

    def write(self, first: int, readers: list[Reader]) -> None:
        process = self.free.get()
        try:
            process.write(first, readers)
        finally:
            self.free.put(process)


class Process:
    """A process that decodes chunks, until the block that it is opened in ends.

    No multiprocessing: that would run the user's own script once more, and its workers can outlive a killed parent.
    """

    def __init__(self, place: Place) -> None:
        self.place = place

    def __enter__(self) -> Self:
        start = f"import sys; sys.path[:] = {sys.path!r}; from p2pbench.data.decoding import main; main()"
        self._program = subprocess.Popen(
            [sys.executable, "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches the parent alone, which ends this one
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._program.wait()
        for pipe in (self._program.stdin, self._program.stdout):
            with contextlib.suppress(BrokenPipeError):  # what was still to be sent
                assert pipe is not None
                pipe.close()

    def kill(self) -> None:
        self._program.kill()

    def write(self, first: int, readers: list[Reader]) -> None:
        """Have a chunk decoded and written; as :meth:`Place.write`."""
        questions, answers = self._program.stdin, self._program.stdout
        assert questions is not None and answers is not None
        try:
            pickle.dump((self.place, first, readers), questions)
            questions.flush()
            error = pickle.load(answers)  # noqa: S301 - of our own process
        except (EOFError, BrokenPipeError):
            raise DataError(
                f"a process that decodes pairs ended (exit code {self._program.wait()}); one that is killed is so most "
                "often by the kernel, out of memory. Nothing was left half-done"
            ) from None
        if error is not None:
            raise error
