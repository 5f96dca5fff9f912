"""Carry out jobs in processes on this machine."""

import contextlib
import queue
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from pathlib import Path

from p2pbench.runs.events import ENDS, Event, Job
from p2pbench.runs.store import Store
from p2pbench.study.job import AGAIN, ask_to_stop, events_of, kill, start_worker
from p2pbench.system.console import duration
from p2pbench.system.hardware import available_cores


@dataclass(eq=False)
class LocalExecutor:
    """Runs up to ``jobs`` jobs at a time, each in a process of its own with its share of the cores and one GPU."""

    store: Store
    _: KW_ONLY
    jobs: int
    weights_dir: Path | None
    silence_seconds: float | None = None
    """A job that sends no event for so long hangs, and is ended; None waits for ever."""
    threads: int | None = None
    """CPU threads of each job, instead of its share of the cores."""
    folder: Path | None = None
    """Where workers work and look for the user's modules, instead of the current folder."""
    fetch: bool = False
    """Whether workers may fetch pretrained networks that are not here."""
    sharers: int | None = None
    """Trainings on one GPU at once, instead of an equal part of ``jobs``."""

    def __post_init__(self) -> None:
        self.stopping = False
        self._running: dict[Job, subprocess.Popen[str]] = {}
        self._heard_at: dict[Job, float] = {}
        """When a job's worker last sent an event, on ``time.monotonic``'s clock."""
        self._events: queue.Queue[Event] = queue.Queue()
        self._gpu_of: dict[Job, str] = {}

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Carry out ``jobs`` and yield what happens, in the order of happening. Ends when all have ended."""
        waiting = list(jobs)
        try:
            while self._running or (waiting and not self.stopping):
                while waiting and not self.stopping and self._has_room_for(waiting[0]):
                    job = waiting.pop(0)
                    self._start(job)
                    yield Event(job, "started")
                event = self._next_event()
                if event.kind in (*ENDS, AGAIN):
                    self._running.pop(event.job).wait()
                if event.kind != AGAIN:
                    yield event
                elif self.stopping:
                    yield Event(event.job, "interrupted", {"reason": "stopped"})
                else:
                    self._start(event.job, engine="eager")
        finally:
            self.kill()

    def stop(self) -> None:
        """Start no more jobs, and ask the running ones to write a checkpoint and end."""
        self.stopping = True
        for worker in list(self._running.values()):
            ask_to_stop(worker)

    def kill(self) -> None:
        for worker in list(self._running.values()):
            kill(worker)

    def _has_room_for(self, job: Job) -> bool:
        """Whether ``job`` may begin now. Reference rows take all cores, so they wait until no cell runs."""
        return not self._running if job.kind == "reference_rows" else len(self._running) < self.jobs

    @cached_property
    def _gpus(self) -> list[str]:
        """The GPUs that jobs are spread over; none where jobs run one after another, or on one GPU."""
        if self.jobs == 1:
            return []
        from p2pbench.training.device import visible_gpus

        gpus = visible_gpus()
        return gpus if len(gpus) > 1 else []

    def _start(self, job: Job, engine: str | None = None) -> None:
        """Start the process of ``job``, on the GPU that has the fewest of them."""
        at_once = 1 if job.kind == "reference_rows" else self.jobs
        config = job.config if engine is None else job.config.changed("training", engine=engine)
        gpu = None
        if job.config.training.device in ("auto", "cuda") and self._gpus:
            taken = Counter(self._gpu_of[other] for other in self._running if other in self._gpu_of)
            gpu = self._gpu_of[job] = min(self._gpus, key=taken.__getitem__)
        order = {
            **job.order,
            "key": job.key,
            "config": config.model_dump(mode="json"),
            "sharers": self.sharers or -(-at_once // max(1, len(self._gpus))),
            "log": str(job.log),
            "runs": str(self.store.root),
            "threads": self.threads or max(1, available_cores() // at_once),
            "weights_dir": str(self.weights_dir) if self.weights_dir else None,
            "fetch": self.fetch,
            "asked": time.time(),
        }
        worker = start_worker(job.kind, order, self.folder, gpu)
        self._running[job], self._heard_at[job] = worker, time.monotonic()
        if self.stopping:  # a signal came while the process was being started
            ask_to_stop(worker)
        threading.Thread(target=self._listen, args=(job, worker), daemon=True).start()

    def _listen(self, job: Job, worker: subprocess.Popen[str]) -> None:
        for kind, about in events_of(worker):
            if about.get("died") and self._is_silent(job):
                about["reason"] = (
                    f"it made no progress for {duration(self.silence_seconds or 0)} and was ended (--timeout); "
                    "the same command resumes it from its last checkpoint"
                )
            elif about.get("died") and self.stopping:
                kind = "interrupted"  # noqa: PLW2901
            self._heard_at[job] = time.monotonic()  # now, whenever this event is looked at
            self._events.put(Event(job, kind, about))

    def _next_event(self) -> Event:
        while True:
            event = None
            with contextlib.suppress(queue.Empty):
                event = self._events.get(timeout=None if self.silence_seconds is None else self.silence_seconds / 20)
            for job, worker in self._running.items():  # whatever the others say
                if self._is_silent(job):
                    worker.kill()  # the thread that listens to it reports its end
            if event is not None:
                return event

    def _is_silent(self, job: Job) -> bool:
        limit = self.silence_seconds
        return limit is not None and time.monotonic() - self._heard_at[job] > limit
