"""The process that does a job.

The parent starts ``python -m p2pbench.study.worker KIND``, writes the order as one JSON line to its standard input, and
reads events, one JSON line each, from its standard output. The word ``stop`` on the input asks the worker to write a
checkpoint and end; the end of the input means that the parent is gone, and ends the worker at once.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from p2pbench.runs.events import ENDS
from p2pbench.system.hardware import with_large_pages

AGAIN = "again"
"""The last event of a process that cannot go on with its job, where another one can, without CUDA graphs."""

STOP = "stop"


def start_worker(
    kind: str, order: dict[str, Any], folder: Path | None = None, gpu: str | None = None
) -> subprocess.Popen[str]:
    """The process that carries out ``order``. It ends when this process does, and Ctrl-C does not reach it.

    Args:
        order: plain values, with ``threads`` among them.
        folder: where the process works and looks for modules first, instead of the current folder.
        gpu: the only one that it sees, as ``CUDA_VISIBLE_DEVICES`` names it, instead of all that this process sees.
    """
    # A grid's module:function is found by the workers too.
    python_path = filter(None, [str(folder or Path.cwd()), os.environ.get("PYTHONPATH")])
    worker = subprocess.Popen(
        [sys.executable, "-m", "p2pbench.study.worker", kind],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
        start_new_session=True, cwd=folder,
        env={
            **os.environ, "OMP_NUM_THREADS": str(order["threads"]), "PYTHONPATH": os.pathsep.join(python_path),
            **with_large_pages(), **({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}),
        },
    )  # fmt: skip
    assert worker.stdin is not None
    with suppress(BrokenPipeError):  # it has died already, and its missing last event will say so
        worker.stdin.write(json.dumps(order) + "\n")
        worker.stdin.flush()
    return worker


def ask_to_stop(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    with suppress(OSError, ValueError):  # it has ended already
        # Past the stream's buffer: a signal handler calls this, perhaps while the stream is being written.
        os.write(worker.stdin.fileno(), f"{STOP}\n".encode())


def kill(worker: subprocess.Popen[str]) -> None:
    """End a worker now, and wait until it has ended."""
    worker.kill()
    worker.wait()
    with suppress(OSError):  # what was never sent is still in the buffer, and no longer matters
        if worker.stdin is not None:
            worker.stdin.close()


def events_of(worker: subprocess.Popen[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The kind of each event of ``worker`` and what it says; the last is always one of ``ENDS``, or ``AGAIN``.

    Where the worker died before it sent its last event, that is ``failed``, with ``died`` set.
    """
    ended = False
    assert worker.stdout is not None
    with suppress(BrokenPipeError), worker:
        for line in worker.stdout:
            try:
                about = json.loads(line)
            except ValueError:
                continue  # cut off in the middle by the end of the process
            kind = about.pop("event")
            ended = kind in (*ENDS, AGAIN)
            yield kind, about
        if not ended:
            yield "failed", {"reason": exit_reason(worker.wait()), "died": True}


def exit_reason(code: int) -> str:
    """Why a process ended that sent no last event, from its exit code."""
    if code == -signal.SIGKILL:
        return "its process was killed (SIGKILL): most often by the kernel, out of memory; use fewer --jobs"
    if code < 0:
        return f"its process was killed by {signal.Signals(-code).name}"
    return f"its process ended with exit code {code} and no word; see its log"
