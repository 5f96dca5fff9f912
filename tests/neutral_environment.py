"""Imported by ``conftest`` before all else: what the tests were started from must not decide whether they pass.

Rich and Typer read what the terminal and the CI say of themselves as they are imported, and the processes that tests
start inherit it.
"""

from __future__ import annotations

import os
import signal

TERMINAL = ("COLUMNS", "LINES", "TERMINAL_WIDTH", "NO_COLOR", "FORCE_COLOR", "PY_COLORS", "COLORTERM", "TTY_COMPATIBLE",
            "TTY_INTERACTIVE", "GITHUB_ACTIONS", "TYPER_USE_RICH")  # fmt: skip
CLUSTER = ("RAY_ADDRESS", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "RANK", "LOCAL_RANK")

for name in (*TERMINAL, *CLUSTER, "MPLBACKEND", "SOURCE_DATE_EPOCH"):
    os.environ.pop(name, None)
os.environ["TERM"] = "dumb"
for name in ("no_proxy", "NO_PROXY"):  # servers of the tests are on this machine
    os.environ[name] = "localhost,127.0.0.1"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell without job control, as in CI, starts what it puts in the background with SIGINT ignored, and
    # what tests start and send it to would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
