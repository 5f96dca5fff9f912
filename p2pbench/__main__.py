"""``python -m p2pbench`` is the program ``p2pbench``."""

from p2pbench.cli import main

if __name__ == "__main__":
    main()
