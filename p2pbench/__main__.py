"""``python -m p2pbench`` is the program ``p2pbench``. It handles signals from before the package is imported."""

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130
"""The exit code. It is not imported from ``errors``: signals are handled before anything else is imported."""


def end(_number: int, frame: FrameType | None) -> None:
    """End the program on Ctrl+C and on SIGTERM, which schedulers send, until a command installs handlers of its own.

    The program ends by KeyboardInterrupt, so that it tidies up. During an import it ends at once: a library may
    swallow the exception or turn it into another, and only the stack tells that an import is going on.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            show_cursor = b"\x1b[?25h" if os.isatty(2) else b""  # a progress bar may have hidden it
            os.write(2, show_cursor + b"interrupted\n")
            os._exit(INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt


def main() -> None:
    """Run the program."""
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
