"""What commands print to, where log messages go, and numbers as people read them."""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rich import markup
from rich.console import Console

err = Console(stderr=True, highlight=False, emoji=False)
out = Console(highlight=False, emoji=False)
"""Neither highlights numbers nor turns ``:name:`` into emoji: labels and file names may hold it."""


def escape(text: str) -> str:
    """``text`` to be printed as it is: not as markup, and without control characters, which would drive a terminal."""
    return markup.escape("".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text))


def by(shape: Sequence[int]) -> str:
    """A shape as people write it: ``256x512``."""
    return "x".join(map(str, shape))


def number_of(n: int, what: str) -> str:
    """``1 run``, ``3 runs``."""
    return f"{n} {what}{'' if n == 1 else 's'}"


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
    """Write p2pbench's log messages to the end of the file ``target``, or to standard error, while the block runs."""
    handler = _ToConsole() if target is None else _ToFile(target, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("p2pbench")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        with suppress(OSError):  # the disk is full
            handler.close()


def decimals(width: float) -> int:
    """The decimals that show an interval of this width with two digits."""
    if width <= 0 or not math.isfinite(width):
        return 4
    return max(0, min(6, 1 - math.floor(math.log10(width))))


def significant(value: float, digits: int) -> str:
    """``value`` rounded to so many significant digits, without an exponent: 141.7 with two is 140."""
    return f"{float(f'{value:.{digits}g}'):.15g}"


def number(value: float, digits: int, *, sign: bool = False) -> str:
    """``value`` with so many decimals and a real minus sign; zero, rounded too, has none.

    Args:
        sign: a plus sign before what is above zero, as differences have it.
    """
    text = f"{value:{'+' if sign else ''}z.{digits}f}"
    return text.removeprefix("+") if not float(text) else text.replace("-", "−")


def value_and_interval(value: float, low: float | None, high: float | None) -> tuple[str, str]:
    """A score and ``[low, high]``, both with the decimals that the interval gives meaning.

    Without an interval the score has four decimals, and the second text is empty.
    """
    if low is None or high is None:
        return number(value, 4), ""
    digits = decimals(high - low)
    return number(value, digits), f"[{number(low, digits)}, {number(high, digits)}]"


def duration(seconds: float) -> str:
    """``42 s``, ``5.3 min``, ``7.1 h``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def bytes_text(n: int) -> str:
    """``54 MiB``, ``1.3 GiB``."""
    return f"{n / 2**20:.0f} MiB" if n < 2**30 else f"{n / 2**30:.1f} GiB"
