"""Options and arguments of the commands, from ``options.toml``, and the settings that they stand for."""

import json
import math
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from p2pbench.system.console import out

_TEXTS = tomllib.loads(Path(__file__).with_name("options.toml").read_text(encoding="utf-8"))


def parameter(command: str, name: str) -> Any:
    """The option (``--name``) or the argument ``name`` of ``command``, as ``options.toml`` describes it."""
    about = dict(_TEXTS[command][name])
    shown = about.pop("default", True)
    callback = _finite if about.pop("finite", False) else None
    if name.startswith("--"):
        return typer.Option(name, show_default=shown, callback=callback, **about)
    return typer.Argument(show_default=shown, **about)


def _finite(value: float | None) -> float | None:
    """Refuse infinity and NaN, which pass through a range that has no upper end."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


DEFAULT_RUNS = Path("runs")
Runs = Annotated[Path, parameter("shared", "--runs")]
Sets = Annotated[list[str] | None, parameter("shared", "--set")]
ProtocolOrNone = Annotated[str | None, parameter("shared", "--protocol")]
WeightsDir = Annotated[Path | None, parameter("shared", "--weights-dir")]
Json = Annotated[bool, parameter("shared", "--json")]
Model = Annotated[str, parameter("shared", "--model")]
Inference = Annotated[str | None, parameter("shared", "--inference")]
Source = Annotated[str, parameter("shared", "source")]


def answer(document: Any, as_json: bool, indent: int | None = 2) -> None:
    """Print ``document`` where ``--json`` asks for it; what ``out`` prints after that, for people, is silenced."""
    out.quiet = as_json
    if as_json:
        print(json.dumps(document, indent=indent, allow_nan=False), flush=True)


def layers_of(protocol: str | None, sets: list[str] | None) -> list[Any]:
    """The settings of ``--protocol`` and ``--set``, as layers for :func:`p2pbench.config.resolve.resolve`."""
    from p2pbench.config.resolve import Layer, parse_set
    from p2pbench.study.grid import read_protocol

    layers = []
    if protocol is not None:
        fixed = read_protocol(protocol)
        layers.append(Layer(f"protocol {fixed.name}", fixed.settings))
    return [*layers, Layer("--set", parse_set(sets or []))]
