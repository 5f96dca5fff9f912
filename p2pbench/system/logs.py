"""Where log messages go: to standard error with ``--verbose``, and to a run's log.txt."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from p2pbench.system.console import err, escape

FORMAT = "%(asctime)s %(message)s"


class _ToConsole(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        err.print(escape(self.format(record)), soft_wrap=True, highlight=False, style="dim")


class _ToFile(logging.FileHandler):
    """A log that cannot be written, as on a full disk, is no reason to stop."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        pass


@contextmanager
def logged_to(target: Path | None) -> Iterator[None]:
    """While the block runs, p2pbench's messages go to the file ``target`` (added to its end), or to standard error."""
    handler = _ToConsole() if target is None else _ToFile(target, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter(FORMAT))
    logger = logging.getLogger("p2pbench")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        with suppress(OSError):  # what is left to be written, on a full disk
            handler.close()
