"""Carry out cells in processes on this machine."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p2pbench.runs.store import Store
from p2pbench.study.plan import Cell
from p2pbench.system.console import duration
from p2pbench.system.hardware import available_cores

ENDS = ("finished", "failed", "interrupted")
"""The kinds of a cell's last event."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a cell: ``started``, ``stage``, ``progress``, ``lost``, or one of ``ENDS``."""

    cell: Cell
    kind: str
    about: dict[str, Any] = field(default_factory=dict)


class LocalExecutor:
    """Runs up to ``jobs`` cells at a time, each in a process of its own with its share of the cores.

    One that says nothing for ``silence_seconds`` hangs, and is ended.
    """

    def __init__(
        self,
        store: Store,
        *,
        jobs: int,
        weights_dir: Path | None,
        silence_seconds: float | None = None,
        threads: int | None = None,
        data_at: Mapping[str, str] | None = None,
        code: Path | None = None,
    ) -> None:
        """The last three are for cells of another machine.

        Args:
            threads: of each cell, instead of its share of the cores here.
            data_at: by ``data.source`` the folder where its pairs lie here.
            code: the folder where modules of the user's own lie here.
        """
        self.store = store
        self.jobs = jobs
        self.threads = threads or max(1, available_cores() // jobs)
        self.data_at, self.code = dict(data_at or {}), code
        self.weights_dir = weights_dir
        self.silence_seconds = silence_seconds
        self.stopping = False
        self._heard: dict[str, float] = {}
        self._workers: dict[str, subprocess.Popen[str]] = {}
        self._events: queue.Queue[Event] = queue.Queue()

    def run(self, cells: list[Cell], modes: Mapping[str, list[str]]) -> Iterator[Event]:
        """Carry out ``cells`` and yield what happens, in the order of happening. Ends when all have ended.

        Args:
            modes: for each cell's run_id the inference modes to score it under.
        """
        waiting = list(cells)
        try:
            while self._workers or (waiting and not self.stopping):
                while waiting and not self.stopping and len(self._workers) < self.jobs:
                    cell = waiting.pop(0)
                    self._start(cell, modes[str(cell.run_id)])
                    yield Event(cell, "started")
                event = self._next_event()
                if event.kind in ENDS:
                    self._workers.pop(str(event.cell.run_id)).wait()
                yield event
        finally:
            self.kill()

    def _next_event(self) -> Event:
        while True:
            try:
                event = self._events.get(timeout=None if self.silence_seconds is None else self.silence_seconds / 20)
            except queue.Empty:
                self._end_the_silent()
            else:
                self._heard[str(event.cell.run_id)] = time.monotonic()
                return event

    def _end_the_silent(self) -> None:
        assert self.silence_seconds is not None
        for name, worker in self._workers.items():
            if time.monotonic() - self._heard[name] > self.silence_seconds:
                worker.kill()  # what listens to it reports its end

    def _is_silent(self, cell: Cell) -> bool:
        limit = self.silence_seconds
        return limit is not None and time.monotonic() - self._heard[str(cell.run_id)] > limit

    @property
    def at_work(self) -> bool:
        return bool(self._workers)

    def stop(self) -> None:
        """Start no more cells, and ask the running ones to write a checkpoint and end."""
        self.stopping = True
        for worker in list(self._workers.values()):
            worker.send_signal(signal.SIGINT)

    def kill(self) -> None:
        for worker in self._workers.values():
            worker.kill()
            _bury(worker)

    def _start(self, cell: Cell, modes: list[str]) -> None:
        assert cell.run_id is not None
        with signals_blocked():  # the worker begins so, and lets them in when it can tell what to do with them
            self._spawn(cell, modes)
        if self.stopping:  # asked for meanwhile: where there are other threads, blocked signals are acted on too
            self._workers[cell.run_id].send_signal(signal.SIGINT)

    def _spawn(self, cell: Cell, modes: list[str]) -> None:
        assert cell.run_id is not None
        job = {
            "folder": str(self.store.run(cell.run_id).path),
            "config": cell.config.model_dump(mode="json"),
            "run_id": cell.run_id,
            "modes": modes,
            "threads": self.threads,
            "weights_dir": str(self.weights_dir) if self.weights_dir else None,
            "data_at": self.data_at,
            "asked": time.time(),
        }
        worker = start_worker("p2pbench.study.worker", job, self.code)
        self._workers[cell.run_id] = worker
        self._heard[cell.run_id] = time.monotonic()
        threading.Thread(target=self._listen, args=(cell, worker), daemon=True).start()

    def _listen(self, cell: Cell, worker: subprocess.Popen[str]) -> None:
        ended = False
        assert worker.stdout is not None
        with suppress(BrokenPipeError), worker:  # what it was never told is no matter
            for line in worker.stdout:
                try:
                    about = json.loads(line)
                except ValueError:
                    continue
                kind = about.pop("event")
                ended = kind in ENDS
                self._events.put(Event(cell, kind, about))
            if not ended:
                code = worker.wait()
                hung = self._is_silent(cell)
                about = {"reason": _hung(self.silence_seconds) if hung else exit_reason(code), "died": True}
                self._events.put(Event(cell, "interrupted" if self.stopping else "failed", about))


def start_worker(module: str, job: Mapping[str, Any], folder: Path | None = None) -> subprocess.Popen[str]:
    """A process that does ``job`` and writes its events, a JSON line each, to its standard output.

    It ends when this process does, and does not hear of Ctrl-C.

    Args:
        job: plain values; ``threads`` is among them.
        folder: where it works and looks for modules first, instead of the current one.
    """
    worker = subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
        # Ctrl-C reaches this process alone, which then asks the workers to stop.
        start_new_session=True, cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": str(job["threads"]), "PYTHONPATH": _python_path(folder)},
    )  # fmt: skip
    assert worker.stdin is not None
    try:
        worker.stdin.write(json.dumps(job) + "\n")
        worker.stdin.flush()
    except BrokenPipeError:
        pass  # it has died already: its missing last event will say so
    return worker


@contextmanager
def signals_blocked() -> Iterator[None]:
    """For this thread SIGINT and SIGTERM wait until the block ends; processes started in it inherit that."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _bury(worker: subprocess.Popen[str]) -> None:
    """Wait for a worker's end; what it was never told, and still lies in the pipe's buffer, is no matter."""
    worker.wait()
    with suppress(BrokenPipeError):
        if worker.stdin is not None:
            worker.stdin.close()


def _python_path(folder: Path | None) -> str:
    """The folder it works in first, so that a grid's ``module:function`` is found by the workers too."""
    return os.pathsep.join(filter(None, [str(folder or Path.cwd()), os.environ.get("PYTHONPATH")]))


def _hung(seconds: float | None) -> str:
    return (
        f"it made no progress for {duration(seconds or 0)} and was ended (--timeout); "
        "the same command goes on from its last checkpoint"
    )


def exit_reason(code: int) -> str:
    """Why a process ended that sent no last event, from its exit code."""
    if code == -signal.SIGKILL:
        return "its process was killed (SIGKILL): most often by the kernel, out of memory; use fewer --jobs"
    if code < 0:
        return f"its process was killed by {signal.Signals(-code).name}"
    return f"its process ended with exit code {code} and no word; see its log"
