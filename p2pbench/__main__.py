"""``python -m p2pbench`` is the program ``p2pbench``. What ends it, also while it is still being read, is here."""

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130
"""The exit code; nothing is imported for it before signals are in hand."""


def end(_number: int, frame: FrameType | None) -> None:
    """Ctrl+C, and SIGTERM as schedulers send it, until a command has its own way to end.

    It ends by KeyboardInterrupt, and tidies up; but a library that is being imported may swallow that, or make an
    error of its own of it.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            show_cursor = b"\x1b[?25h" if os.isatty(2) else b""  # a progress bar may have hidden it
            os.write(2, show_cursor + b"interrupted\n")
            os._exit(INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt


def main() -> None:
    """The program."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    try:
        from p2pbench.cli.app import main as program

        program()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
