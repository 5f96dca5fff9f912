"""Decode pairs into the file of an array, on all cores: in threads, or for large sets in processes.

Run as a program (:func:`main`), this module is such a process. It takes chunks on standard input, each a pickle of
(file, first, readers), and answers each on standard output. It ends when its input ends: nobody needs it any more, or
its parent is gone, however that went. It imports neither torch nor pydantic.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import queue
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

import numpy as np

from p2pbench.data.images import resize
from p2pbench.errors import DataError, P2PBenchError
from p2pbench.system.hardware import available_cores, keep_freed_memory

if TYPE_CHECKING:
    from p2pbench.data.dataset import Reader
    from p2pbench.system.progress import Count

PROCESSES_FROM = 1000
"""The number of pairs from which processes decode them instead of threads.

Measured with two cores, both kinds in turns: photos in files and drawn pairs take equally long at 400, where a process
has cost 0.2 s to start. At 2000, processes are 1.25 (JPEG) and 1.5 (drawn) times as fast, for Pillow decodes and
resizes outside the interpreter's lock, but copies within it, and drawing is mostly Python.
"""
MOST_PROCESSES = 32
"""The maximum number of processes; each takes 40 MB or more."""


@dataclass(frozen=True)
class ArrayFile:
    """The file that pairs are decoded into, and the form that they have there."""

    path: Path
    start: int
    """Where the first pair begins, in bytes."""
    size: tuple[int, int]
    """Height and width of an image."""
    resize_filter: str
    direction: str
    deep: bool
    """Whether pairs have 16 bits a channel, on one side at least."""

    def decode(self, reader: Reader) -> np.ndarray:
        """One pair, (height, width, C + C'), uint8 or uint16: condition, then target.

        Raises:
            DataError: it cannot be read, or has another number of bits than those before it.
        """
        images = reader()
        if self.deep != any(image.dtype == np.uint16 for image in images):
            bits = (8, 16) if self.deep else (16, 8)
            raise DataError(
                f"a pair has {bits[0]} bits a channel where the first of its split has {bits[1]}, and nothing is "
                "converted silently; p2pbench data check names such files; convert one kind, or give data.range"
            )
        a, b = (resize(image, self.size, self.resize_filter) for image in images)
        if a.dtype != b.dtype:  # 8 bits beside 16: 255 becomes 65535
            a, b = (image if image.dtype == np.uint16 else image.astype(np.uint16) * np.uint16(257) for image in (a, b))
        return side_by_side(a, b) if self.direction == "AtoB" else side_by_side(b, a)

    def write(self, first: int, readers: Sequence[Reader]) -> None:
        """Decode the pairs ``first``, ``first + 1``, ... and write them. Another chunk may be written meanwhile.

        Raises:
            DataError: one of them cannot be read.
            OSError: the disk is full.
        """
        with self.path.open("r+b", buffering=0) as stream:
            for index, reader in enumerate(readers, start=first):
                pair = self.decode(reader)
                stream.seek(self.start + index * pair.nbytes)
                # Written, not mapped: a full disk is an error here, where a mapped write would kill the process.
                rest = pair.data.cast("B")
                while rest:
                    rest = rest[stream.write(rest) :]


def side_by_side(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The channels of ``a``, (H, W, C), then those of ``b``, (H, W, C'), of one dtype.

    They are copied channel by channel: four times as fast as ``np.concatenate``, which took a sixth of the time of
    decoding.
    """
    pair = np.empty((*a.shape[:2], a.shape[2] + b.shape[2]), a.dtype)
    for channel in range(pair.shape[2]):
        pair[..., channel] = a[..., channel] if channel < a.shape[2] else b[..., channel - a.shape[2]]
    return pair


# ---- in the process that needs the array


def decode_all(file: ArrayFile, readers: Iterator[Reader], n_pairs: int, progress: Count) -> None:
    """Decode the ``n_pairs`` of ``readers`` into ``file``. Few of them are in memory at a time.

    Raises:
        DataError: a pair cannot be read; of several, the first is named.
        OSError: the disk is full.
    """
    cores = available_cores()
    with ExitStack() as stack:
        write: Callable[[int, list[Reader]], None] = file.write
        n_processes = min(cores, MOST_PROCESSES) if cores > 1 and n_pairs >= PROCESSES_FROM else 0
        processes = [stack.enter_context(DecodingProcess(file)) for _ in range(n_processes)]
        if processes:
            write = _TakenInTurns(processes).write
        else:
            keep_freed_memory()
        pool = ThreadPoolExecutor(cores)
        stack.callback(pool.shutdown, cancel_futures=True)
        for process in processes:
            stack.callback(process.kill)  # the first thing to happen: a thread that waits for one waits no longer
        pending: deque[tuple[int, Future[None]]] = deque()
        length = min(64, max(1, n_pairs // 64))  # progress by the hundredth, and messages that cost little
        for first in range(0, n_pairs, length):
            chunk = list(itertools.islice(readers, length))
            pending.append((first + len(chunk), pool.submit(write, first, chunk)))
            if len(pending) > 2 * cores:
                _wait_for_first(pending, n_pairs, progress)
        while pending:
            _wait_for_first(pending, n_pairs, progress)


def _wait_for_first(pending: deque[tuple[int, Future[None]]], n_pairs: int, progress: Count) -> None:
    done, future = pending.popleft()
    future.result()
    progress(done, n_pairs)


class _TakenInTurns:
    """Processes that threads take in turns."""

    def __init__(self, processes: list[DecodingProcess]) -> None:
        self.free: queue.SimpleQueue[DecodingProcess] = queue.SimpleQueue()
        for process in processes:
            self.free.put(process)

    def write(self, first: int, readers: list[Reader]) -> None:
        process = self.free.get()
        try:
            process.write(first, readers)
        finally:
            self.free.put(process)


class DecodingProcess:
    """A process that decodes chunks, until the block that it is opened in ends.

    It is not one of multiprocessing's: that would run the user's own script once more, and its workers can outlive a
    killed parent.
    """

    def __init__(self, file: ArrayFile) -> None:
        self.file = file

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
        """Have a chunk decoded and written, as :meth:`ArrayFile.write` does."""
        questions, answers = self._program.stdin, self._program.stdout
        assert questions is not None and answers is not None
        try:
            pickle.dump((self.file, first, readers), questions)
            questions.flush()
            error = pickle.load(answers)  # noqa: S301 - from a process of our own
        except (EOFError, BrokenPipeError):
            raise DataError(
                f"a process that decodes pairs ended (exit code {self._program.wait()}); if it was killed, it most "
                "probably ran out of memory. Nothing was left half-done"
            ) from None
        if error is not None:
            raise error


# ---- in a process that decodes


def main() -> None:
    """Answer each chunk with None, or with the error that it met."""
    keep_freed_memory()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    chunks: queue.SimpleQueue[tuple[ArrayFile, int, list[Reader]]] = queue.SimpleQueue()
    threading.Thread(target=_answer, args=(chunks, answers), daemon=True).start()
    while True:
        try:
            chunks.put(pickle.load(sys.stdin.buffer))  # noqa: S301 - from our own parent
        except EOFError:
            os._exit(0)  # at once, whatever the other thread is waiting for


def _answer(chunks: queue.SimpleQueue[tuple[ArrayFile, int, list[Reader]]], answers: BinaryIO) -> None:
    try:
        while True:
            file, first, readers = chunks.get()
            error = None
            try:
                file.write(first, readers)
            except (P2PBenchError, OSError) as met:
                error = met
            pickle.dump(error, answers)
            answers.flush()
    except BaseException:  # a defect: the parent sees that the process has ended
        traceback.print_exc()
        os._exit(1)
