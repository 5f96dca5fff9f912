"""A worker process: carries out one cell and tells its parent how it goes.

Started as ``python -m p2pbench.study.worker``. The job comes as one JSON line on standard input, which then stays
open: its end means that the parent is gone, however it went, and the worker ends at once. Events go to standard output,
a JSON line each; everything else that is printed goes to the run's log.txt.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from p2pbench.config.run_id import run_id
from p2pbench.data import pairs
from p2pbench.data.dataset import open_dataset
from p2pbench.errors import DataError, Interrupted, P2PBenchError, type_and_line
from p2pbench.runs.folder import RunFolder

IMPATIENCE_SECONDS = 2.0
"""A second signal within this time is the first one again: schedulers send one to every process of a job."""

PROGRESS_SECONDS = 0.25
"""Least time between two progress events."""

Send = Callable[..., None]
"""Tells the parent of an event, given as keywords."""


class Stop:
    """Whether the user wants the cell to stop; before and after training that is a KeyboardInterrupt at once.

    Libraries may swallow that, above all while they are imported: no stage is entered after it.
    """

    def __init__(self) -> None:
        self.asked_at: float | None = None
        self.stage = "data"

    def handle(self, *_: object) -> None:
        now = time.monotonic()
        if self.asked_at is None:
            self.asked_at = now
            at_once = self.stage != "train"
        else:
            at_once = now - self.asked_at > IMPATIENCE_SECONDS
        if at_once:
            raise KeyboardInterrupt("stopped")

    def enter(self, stage: str) -> None:
        """Take note of what is done now.

        Raises:
            Interrupted: something else is wanted.
        """
        if self():
            raise Interrupted("stopped")
        self.stage = stage

    def __call__(self) -> bool:
        return self.asked_at is not None


@contextmanager
def stopping_on_signals(stop: Stop) -> Iterator[None]:
    """SIGINT and SIGTERM ask ``stop`` while the block runs."""
    before = {number: signal.signal(number, stop.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main() -> int:
    job = receive_job()
    if job is None:
        return 1
    run = RunFolder(Path(job["folder"]))
    send = redirect(run.log_file)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stop = Stop()
    with stopping_on_signals(stop):
        try:
            if hasattr(signal, "pthread_sigmask"):  # it was started with them blocked
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
            _carry_out(job, run, stop, send)
        except (Interrupted, KeyboardInterrupt) as error:
            _record(run, "interrupted", str(error))
            send(event="interrupted", reason=str(error))
            return Interrupted.exit_code
        except Exception as error:  # the other cells go on
            reason = reason_of(error, run.log_file)
            _record(run, "failed", reason)
            send(event="failed", reason=reason)
            return 1
    send(event="finished")
    return 0


def receive_job() -> dict[str, Any] | None:
    """The job from standard input, if there is one; from now on this process ends when its parent does."""
    line = sys.stdin.readline()
    if not line:
        return None
    threading.Thread(target=_die_with_parent, daemon=True).start()
    job: dict[str, Any] = json.loads(line)
    return job


def reason_of(error: Exception, log_file: Path) -> str:
    """Why a job failed, in a line; a defect, ours or in the user's own code, leaves its traceback in the log."""
    with contextlib.suppress(OSError):  # the disk is full: there is no log then
        if not isinstance(error, P2PBenchError):
            traceback.print_exception(error)
        elif error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        print(f"failed: {error}", file=sys.stderr, flush=True)
    if isinstance(error, P2PBenchError):
        return str(error)
    return f"{type_and_line(error)} (see {log_file})"


def _carry_out(job: dict[str, Any], run: RunFolder, stop: Stop, send: Send) -> None:
    from p2pbench.config.resolve import from_mapping
    from p2pbench.runs.cell import Watcher, run_cell  # torch is imported here, after the parent is being watched

    last = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_SECONDS or done == total:
            last = now
            send(event="progress", done=done, total=total)

    def stage(name: str) -> None:
        stop.enter(name)
        send(event="stage", stage=name)

    pairs.PLACED.update({source: Path(folder) for source, folder in job["data_at"].items()})
    config = from_mapping(job["config"], "the job")
    if run_id(config, open_dataset(config.data).key) != job["run_id"]:
        raise DataError("the data or the code of a network changed while the study ran; run it again")
    weights_dir = Path(job["weights_dir"]) if job["weights_dir"] else None
    run_cell(config, run, Watcher(stage, progress, stop), modes=job["modes"], wait=True, threads=job["threads"],
        weights_dir=weights_dir, fetch=False, asked=job["asked"],
    )  # fmt: skip


def _record(run: RunFolder, state: str, reason: str) -> None:
    try:
        run.set_status(state, reason)
    except P2PBenchError as error:  # the disk is full: the parent still hears of it
        with contextlib.suppress(OSError):
            print(f"status not recorded: {error}", file=sys.stderr, flush=True)


def redirect(log_file: Path) -> Send:
    """Have everything that is printed go to ``log_file``; returns what sends an event to the parent."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError:
        log = os.open(os.devnull, os.O_WRONLY)  # whoever writes there next will say what is wrong with the folder
    os.dup2(log, 1)
    os.dup2(log, 2)

    def send(**event: Any) -> None:
        events.write(json.dumps(event) + "\n")
        events.flush()

    return send


def _die_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
