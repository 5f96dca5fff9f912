"""Options that several commands have, and the settings that they stand for."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer


def option(name: str, text: str, default: str | None = None, **more: Any) -> Any:
    """An option with the help ``text``; ``default`` says in words what happens where a default of None is not one."""
    return typer.Option(name, help=text, show_default=default or True, **more)


DEFAULT_RUNS = Path("runs")
Runs = Annotated[Path, option("--runs", "The folder of all runs and studies.", envvar="P2PBENCH_RUNS")]
Sets = Annotated[
    list[str] | None,
    option(
        "--set", "Change a setting (p2pbench settings lists them). May be repeated.", "no changes", metavar="KEY=VALUE"
    ),
]
PROTOCOL_HELP = "What stays fixed: the name of a shipped protocol, or a file."
ProtocolName = Annotated[str | None, option("--protocol", PROTOCOL_HELP, "the grid's own, or quick")]
ProtocolOrNone = Annotated[str | None, option("--protocol", PROTOCOL_HELP, "none: p2pbench settings has the defaults")]
WeightsDir = Annotated[
    Path | None,
    option(
        "--weights-dir",
        "A folder in which pretrained networks are looked for first.",
        "only where p2pbench weights list looks",
        exists=True,
        file_okay=False,
    ),
]
Json = Annotated[bool, option("--json", "Print one JSON document on standard output instead of text.")]
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
