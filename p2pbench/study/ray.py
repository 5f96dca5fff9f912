"""Carry out jobs on a Ray cluster: as :mod:`p2pbench.study.local` does, but on every node that has room.

All nodes see the folder of ``--runs``, as Ray Train asks of its storage. Modules of the user's own travel as Ray's
runtime environment; data and pretrained networks are found on each node as they are found here.
"""

import re
import socket
import uuid
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError, type_and_line
from p2pbench.runs.events import ENDS, Event, Job
from p2pbench.runs.store import Store
from p2pbench.study.execution import Execution, cells_on_gpus
from p2pbench.study.local import LocalExecutor
from p2pbench.study.ray_cluster import check_room, share_of, threads_per_cell
from p2pbench.system.hardware import available_cores

MAX_LOSSES = 3
"""A job that was lost with its node is begun again so many times; after that the fault may be its own."""


def versions_here() -> dict[str, str]:
    """What two machines must agree on to give the same records: the versions of p2pbench and of torch."""
    return {package: version(package) for package in ("p2pbench", "torch")}


class RemoteJob:
    """The actor that carries out one job on a node, by the executor that carries jobs out on one machine."""

    def __init__(self, runs: Path, threads: int, folder: Path, how: Execution) -> None:
        share = how.gpus_per_cell or 1.0
        self._executor = LocalExecutor(
            Store(runs), jobs=1, weights_dir=how.weights_dir, silence_seconds=how.silence_seconds, threads=threads,
            folder=folder if folder.is_dir() else None, fetch=True, sharers=cells_on_gpus(1, min(share, 1.0)),
        )  # fmt: skip

    def begin(self, job: Job, probe: Path, wanted: dict[str, str]) -> str | None:
        """Begin ``job``; returns why this node is not fit to do that, if it is not.

        Args:
            probe: a file that the driver wrote to its store.
            wanted: the driver's versions.
        """
        host, ours = f"the node {socket.gethostname()} of the Ray cluster", versions_here()
        for name, theirs in wanted.items():
            if ours[name] != theirs:
                return (
                    f"{host} has {name} {ours[name]}, this machine {theirs}: records would differ; install the same on "
                    "both"
                )
        if not probe.is_file():
            return f"{host} does not see {probe.parent}; give --runs a folder on storage that all nodes share"
        self._run = self._executor.run([job])
        return None

    def next_event(self) -> tuple[str, dict[str, Any]]:
        """The kind of the job's next event and what it says, once there is one."""
        try:
            event = next(self._run, None)
        except Exception as error:  # told, not lost: the driver carries on with the other jobs
            return "failed", {"reason": type_and_line(error), "died": True}
        return ("interrupted", {"reason": "stopped"}) if event is None else (event.kind, event.about)

    def stop(self) -> None:
        self._executor.stop()


@dataclass(eq=False)
class _Remote:
    """A job on its node, as the driver sees it."""

    actor: Any
    job: Job
    begun: bool = False


class RayExecutor:
    """Runs as many jobs at once as the cluster has room for; one that is lost with its node is begun again.

    To be made while a cluster is connected.
    """

    def __init__(self, store: Store, how: Execution) -> None:
        self.store, self.how = Store(store.root.resolve()), how
        self.stopping = False
        self._kill = self._stop_sent = False
        self._running: dict[Any, _Remote] = {}
        """By the reference to the answer that is waited for."""
        self._losses: Counter[str] = Counter()

    def check(self, configs: Sequence[RunConfig]) -> None:
        """Raises :class:`ConfigError` where no node has room for a cell of one of ``configs``."""
        device = next((config.training.device for config in configs), "auto")
        self._share = share_of(self.how.gpus_per_cell, self.how.memory_gib, device)
        # As under the local executor, where --jobs says how many share the cores: other threads, other bits.
        jobs = self.how.jobs
        self._threads = max(1, available_cores() // jobs) if isinstance(jobs, int) else threads_per_cell(self._share)
        for threads in {config.training.threads or self._threads for config in configs}:
            check_room(self._share, threads)

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Carry out ``jobs`` and yield what happens, in the order of happening. Ends when all have ended.

        A job may be ``lost``, which is no end: it is begun again, and resumed from its last checkpoint.

        Raises:
            ConfigError: no node has room for a job, or one is not fit to carry it out.
        """
        self.check([job.config for job in jobs])
        waiting, at_once = deque(jobs), self.how.jobs if isinstance(self.how.jobs, int) else len(jobs)
        self._probe = self.store.root / f".{uuid.uuid4().hex}.probe"
        self._probe.parent.mkdir(parents=True, exist_ok=True)
        self._probe.touch()
        try:
            while self._running or (waiting and not self.stopping):
                while waiting and not self.stopping and len(self._running) < at_once:
                    self._start(waiting.popleft())  # Ray begins it when a node has room
                yield from self._listen(waiting)
        finally:
            self._probe.unlink(missing_ok=True)
            for answer in list(self._running):
                self._close(answer)

    def stop(self) -> None:
        """Start no more jobs, and ask the running ones to write a checkpoint and end."""
        self.stopping = True  # the loop tells the nodes: a signal handler must not call Ray

    def kill(self) -> None:
        self.stopping = self._kill = True

    def _start(self, job: Job) -> None:
        import ray

        recorded = self.store.run(job.key).recorded_threads() if job.kind == "cell" else 0
        threads = job.config.training.threads or recorded or self._threads
        remote: Any = ray.remote(RemoteJob)
        actor = remote.options(  # several threads: one waits for an event while another asks the job to stop
            num_cpus=threads, num_gpus=self._share.gpus, memory=self._share.memory_bytes or None, max_concurrency=4,
        ).remote(self.store.root, threads, Path.cwd(), self.how)  # fmt: skip
        self._running[actor.begin.remote(job, self._probe, versions_here())] = _Remote(actor, job)

    def _listen(self, waiting: deque[Job]) -> Iterator[Event]:
        """Wait for what the nodes have to say, and pass it on."""
        import ray

        if self.stopping and not self._stop_sent:
            self._stop_sent = True
            for answer, remote in list(self._running.items()):
                if remote.begun:
                    remote.actor.stop.remote()
                else:
                    self._close(answer)
        for answer in ray.wait(list(self._running), timeout=1.0)[0] if self._running else ():
            remote = self._running[answer]
            try:
                said = ray.get(answer)
            except ray.exceptions.RayError as error:
                yield from self._lose(answer, str(error), waiting)
                continue
            if isinstance(said, str):
                raise ConfigError(said)
            remote.begun = True
            if said is not None and said[0] in ENDS:
                self._close(answer)
            else:
                self._running[remote.actor.next_event.remote()] = self._running.pop(answer)
            if said is not None:
                yield Event(remote.job, *said)
        for answer, remote in list(self._running.items()) if self._kill else ():
            self._close(answer)
            yield Event(remote.job, "interrupted", {"reason": "ended before a checkpoint", "died": True})

    def _close(self, answer: Any) -> None:
        import ray

        with suppress(Exception):  # its node is gone, or Ray itself
            ray.kill(self._running.pop(answer).actor)

    def _lose(self, answer: Any, why: str, waiting: deque[Job]) -> Iterator[Event]:
        """Part with an actor that does not answer; its job comes next."""
        remote = self._running[answer]
        job = remote.job
        self._close(answer)
        if not remote.begun and re.search("No module named|creation task|runtime.env", why):
            raise ConfigError(f"a node of the Ray cluster cannot carry out cells: {telling_line(why)}")
        self._losses[job.key] += 1
        if self.stopping:
            yield Event(job, "interrupted", {"reason": "ended with its node", "died": True})
        elif self._losses[job.key] > MAX_LOSSES:
            reason = f"its node, or its process there, was lost {self._losses[job.key]} times: {telling_line(why)}"
            yield Event(job, "failed", {"reason": reason, "died": True})
        else:
            waiting.appendleft(job)
            if remote.begun:  # or nobody was told of it yet: Ray may take a dead node for a live one for a while
                yield Event(job, "lost", {"reason": "its node was lost; resuming from its last checkpoint"})


def telling_line(why: str) -> str:
    """The line of Ray's account that says what happened."""
    lines = [line.strip() for line in why.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line and not line.startswith(("The actor died", "ray.exceptions"))]
    return (errors[-1:] or lines[:1] or ["it does not answer"])[0][:200]
