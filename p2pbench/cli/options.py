"""Options that several commands have, and the settings that they stand for."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

DEFAULT_RUNS = Path("runs")
Runs = Annotated[Path, typer.Option("--runs", help="The folder of all runs and studies.", envvar="P2PBENCH_RUNS")]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting (p2pbench settings lists them). May be repeated.",
        show_default="no changes",
    ),
]
PROTOCOL_HELP = "What stays fixed: the name of a shipped protocol, or a file."
ProtocolName = Annotated[
    str | None, typer.Option("--protocol", help=PROTOCOL_HELP, show_default="the grid's own, or quick")
]
ProtocolOrNone = Annotated[
    str | None, typer.Option("--protocol", help=PROTOCOL_HELP, show_default="none: p2pbench settings has the defaults")
]
WeightsDir = Annotated[
    Path | None,
    typer.Option(
        "--weights-dir",
        exists=True,
        file_okay=False,
        help="A folder in which pretrained networks are looked for first.",
        show_default="only where p2pbench weights list looks",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output instead of text.")]
MODEL_HELP = "A run's folder or id, an exported .onnx, or the PyTorch port's latest_net_G.pth."


def finite(value: float | None) -> float | None:
    """Refuse infinity and NaN, which pass through a range that has no upper end."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


def layers_of(protocol: str | None, sets: list[str] | None) -> list[Any]:
    """The settings of ``--protocol`` and ``--set``, as layers for :func:`p2pbench.config.resolve.resolve`."""
    from p2pbench.config.resolve import Layer, parse_set
    from p2pbench.study.grid import read_protocol

    layers = []
    if protocol is not None:
        fixed = read_protocol(protocol)
        layers.append(Layer(f"protocol {fixed.name}", fixed.settings))
    return [*layers, Layer("--set", parse_set(sets or []))]
