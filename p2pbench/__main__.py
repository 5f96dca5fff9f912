"""``python -m p2pbench`` is the program ``p2pbench``."""

import sys


def main() -> None:
    """The program; the user may end it while it is still being read."""
    try:
        from p2pbench.cli import main as program

        program()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
