"""The errors a user can meet, and the exit code of each.

    P2PBenchError
    ├── ConfigError        2  a setting, grid, protocol or argument is wrong
    ├── DataError          3  images or pairs are missing, broken or do not fit
    │   └── UnsupportedImage   a whole image that would have to be converted
    ├── WeightsError       3  a pretrained network or a run's weights cannot be used
    │   └── NotFinite          a generator whose outputs are not finite
    ├── TrainingError      4  training cannot go on (a loss that is not finite)
    │   └── CaptureFailed      a CUDA graph, in a process that can use the GPU no more
    ├── StorageError       3  a file cannot be written: a full disk, a read-only folder
    │   └── RunBusy        3  another process has the run
    └── Interrupted      130  the user stopped it; the run can be resumed

The command line prints their message on one line and exits with their code. Any other exception is a defect of
ours: it shows its traceback and exits with 1.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import ClassVar


class P2PBenchError(Exception):
    """Something went wrong that the user can act on; the message names the way out."""

    exit_code: ClassVar[int] = 1


class ConfigError(P2PBenchError):
    exit_code = 2


class DataError(P2PBenchError):
    exit_code = 3


class UnsupportedImage(DataError):
    """An undamaged image of a kind that would have to be converted to be read."""


class WeightsError(P2PBenchError):
    exit_code = 3


class NotFinite(WeightsError):
    """A generator's output is NaN or infinite, of which no picture can be made."""


class StorageError(P2PBenchError):
    exit_code = 3


class RunBusy(StorageError):
    """Another process works on the run; nothing of it may be changed."""


class TrainingError(P2PBenchError):
    exit_code = 4


class CaptureFailed(TrainingError):
    """A step that no CUDA graph can hold; another process may train it eagerly."""


class Interrupted(P2PBenchError):
    exit_code = 130


def first_line(error: BaseException) -> str:
    """The first line of the error's message, or its type where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def type_and_line(error: BaseException) -> str:
    """``ValueError: the first line of its message``, or ``ValueError`` where it has none."""
    name, line = type(error).__name__, first_line(error)
    return name if line == name else f"{name}: {line}"


def unknown(kind: str, value: object, valid: Iterable[str]) -> str:
    """``unknown KIND 'value'; did you mean 'x'? (valid: a, b, c)``: the message for a name that no table holds."""
    names = sorted(valid)
    close = difflib.get_close_matches(str(value), names, n=3, cutoff=0.5)
    separator = "; " if any(", " in name for name in names) else ", "  # names of variants have commas in them
    return f"unknown {kind} {value!r}{did_you_mean(close)} (valid: {separator.join(names)})"


def did_you_mean(names: Sequence[str]) -> str:
    """``; did you mean 'a', 'b' or 'c'?``; nothing where there are no ``names``."""
    if not names:
        return ""
    *others, last = map(repr, names)
    return f"; did you mean {', '.join(others)} or {last}?" if others else f"; did you mean {last}?"
