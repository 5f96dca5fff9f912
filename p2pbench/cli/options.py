"""Options that several commands have."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_RUNS = Path("runs")
Runs = Annotated[Path, typer.Option("--runs", help="Folder of all runs and studies.", envvar="P2PBENCH_RUNS")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", help="A setting, key=value; may be repeated.", metavar="KEY=VALUE")
]
ProtocolName = Annotated[str | None, typer.Option("--protocol", help="What stays fixed: a shipped protocol or a file.")]
WeightsDir = Annotated[
    Path | None,
    typer.Option("--weights-dir", help="Where pretrained nets are looked for first.", exists=True, file_okay=False),
]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]


def finite(value: float | None) -> float | None:
    """Refuses what is infinite or no number, which a range without an end lets pass."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


MODEL_HELP = "A run's folder or id, an exported .onnx, or the PyTorch port's latest_net_G.pth."
