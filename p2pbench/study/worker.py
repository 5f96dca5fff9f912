"""A worker process: carries out one job and tells its parent how it goes.

Started as ``python -m p2pbench.study.worker KIND``; :mod:`p2pbench.study.job` says what goes to and fro. Everything
that is printed goes to the job's log.
"""

import atexit
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
from typing import Any, NoReturn

from p2pbench.errors import CaptureFailed, DataError, Interrupted, P2PBenchError, type_and_line
from p2pbench.runs.store import Store
from p2pbench.study.job import AGAIN, STOP
from p2pbench.system.progress import Count

IMPATIENCE_SECONDS = 2.0
"""A second signal within this time counts as the first: schedulers send one to every process of a job."""

PROGRESS_SECONDS = 0.25
"""Least time between two progress events."""

Send = Callable[..., None]
"""Tells the parent of an event, given as keywords."""


class Stop:
    """Whether the user wants the job to stop; before and after training that is a KeyboardInterrupt at once.

    Libraries may swallow that exception, above all while they are imported: no stage is entered after it.
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
        """Note which stage begins. Raises :class:`Interrupted` where the user has asked to stop."""
        if self():
            raise Interrupted("stopped")
        self.stage = stage

    def __call__(self) -> bool:
        return self.asked_at is not None


@contextmanager
def on_signals(heed: Callable[..., None]) -> Iterator[None]:
    """SIGINT and SIGTERM call ``heed`` while the block runs."""
    before = {number: signal.signal(number, heed) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main() -> int:
    with open(0, "rb", buffering=0, closefd=False) as stream:  # what comes after the order is not for this buffer
        line = stream.readline()
    if not line:
        return 1
    kind, order = sys.argv[1], json.loads(line)
    log = Path(order["log"])
    send = redirect(log)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stop = Stop()
    with on_signals(stop.handle):
        # A thread that starts processes, as Ray's do, may have signals blocked, and they inherit that.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            threading.Thread(target=_heed_parent, daemon=True).start()
            carry_out(kind, order, stop, send)
        except (Interrupted, KeyboardInterrupt) as error:
            end, reason, code = "interrupted", str(error), Interrupted.exit_code
        except Exception as error:  # the other jobs go on
            again = isinstance(error, CaptureFailed) and order["config"]["training"]["engine"] == "auto"
            end, reason, code = AGAIN if again else "failed", reason_of(error, log), 1
        else:
            send(event="finished")
            return 0
        send(event=end, reason=reason)
        return code


def carry_out(kind: str, order: dict[str, Any], stop: Stop, send: Send) -> None:
    """Do what ``order`` says: make a study's reference rows, or a cell."""
    from p2pbench.config.resolve import from_mapping
    from p2pbench.config.run_id import run_id
    from p2pbench.data.dataset import open_dataset

    config = from_mapping(order["config"], "the order")
    store = Store(Path(order["runs"]))
    weights_dir = Path(order["weights_dir"]) if order["weights_dir"] else None
    progress = _paced(send)
    if kind == "reference_rows":
        from p2pbench.study.reference_rows import make_rows

        stop.enter("score")
        make_rows(config, order, store, weights_dir, progress)
        return

    from p2pbench.runs.cell import Watcher, run_cell  # torch is imported here, after the parent is being watched

    def stage(name: str) -> None:
        stop.enter(name)
        send(event="stage", stage=name)

    if run_id(config, open_dataset(config.data).key) != order["key"]:
        raise DataError("the data or the code of a network changed while the study ran; run it again")
    run_cell(
        config, store.run(order["key"]), Watcher(stage, progress, stop),
        modes=order["modes"], wait=True, threads=order["threads"], weights_dir=weights_dir, fetch=order["fetch"],
        asked=order["asked"], sharers=order["sharers"],
    )  # fmt: skip


def reason_of(error: Exception, log: Path) -> str:
    """Why a job failed, in a line; a defect, ours or in the user's own code, leaves its traceback in the log."""
    with contextlib.suppress(OSError):  # the disk is full: there is no log then
        if not isinstance(error, P2PBenchError):
            traceback.print_exception(error)
        elif error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        print(f"failed: {error}", file=sys.stderr, flush=True)
    if isinstance(error, P2PBenchError):
        return str(error)
    return f"{type_and_line(error)} (see {log})"


def redirect(log: Path) -> Send:
    """Have everything that is printed go to the file ``log``; returns what sends an event to the parent."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError:
        stream = os.open(os.devnull, os.O_WRONLY)  # whatever writes there next will say what is wrong with the folder
    os.dup2(stream, 1)
    os.dup2(stream, 2)

    def send(**event: Any) -> None:
        events.write(json.dumps(event) + "\n")
        events.flush()

    return send


def _paced(send: Send) -> Count:
    """Sends how far the job is, but not more often than anybody can read."""
    last = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_SECONDS or done == total:
            last = now
            send(event="progress", done=done, total=total)

    return progress


def _heed_parent() -> None:
    """Pass on that the parent asks to stop, and end with the parent, however it went."""
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    while said := os.read(0, 4096):
        if STOP.encode() in said:
            signal.pthread_kill(main_thread, signal.SIGINT)
    os._exit(1)


def end(code: int) -> NoReturn:
    """End the process without taking Python's modules apart, which takes a second of every job where torch is one."""
    atexit._run_exitfuncs()
    logging.shutdown()
    with contextlib.suppress(OSError):  # the disk is full
        sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    end(main())
