"""What all commands print to, and the option that all of them have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich import markup
from rich.console import Console

err = Console(stderr=True, highlight=False)
out = Console(highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]


def escape(text: str) -> str:
    """``text`` as it is to be printed: no markup, and no control characters, which would drive a terminal."""
    return markup.escape("".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text))


def by(shape: Sequence[int]) -> str:
    """A shape as people write it: ``256x512``."""
    return "x".join(map(str, shape))
