"""``p2pbench bench``: how fast training, data, scoring and translation are on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from p2pbench.cli.options import Json, ProtocolOrNone, Sets, option
from p2pbench.errors import ConfigError, unknown
from p2pbench.system.console import err, out

WORKLOADS = ("step", "data", "score", "translate")


def bench(
    workloads: Annotated[
        list[str] | None,
        typer.Argument(help="The workloads to time.", metavar="[step|data|score|translate]", show_default="step"),
    ] = None,
    grid: Annotated[
        str | None, option("--grid", "Time each variant of this grid.", "one variant, of the settings")
    ] = None,
    protocol: ProtocolOrNone = None,
    sets: Sets = None,
    device: Annotated[str | None, option("--device", "cpu, cuda or mps.", "the fastest that is here")] = None,
    compare: Annotated[
        Path | None,
        option(
            "--compare", "An earlier --out of this machine; the exit code is 4 where a row is slower.", "no comparison"
        ),
    ] = None,
    profile: Annotated[bool, option("--profile", "Also show where the time of a step goes.")] = False,
    file: Annotated[
        Path | None, option("--out", "The JSON file to write, with .md and .png beside it.", "nothing is written")
    ] = None,
    as_json: Json = False,
) -> None:
    """Time a workload and, in turns with it, the least that it takes: a plain loop, Pillow, bare networks."""
    names = list(dict.fromkeys(workloads or ["step"]))
    for name in names:
        if name not in WORKLOADS:
            raise ConfigError(unknown("workload", name, WORKLOADS))
    from p2pbench.bench.suite import check_name, measure, read_variants, write
    from p2pbench.system.progress import stages

    if file is not None:
        check_name(file)
    assignments = [*(sets or []), *([f"training.device={device}"] if device else [])]
    variants = read_variants(grid, protocol, assignments)
    with stages(err) as stage:
        document = measure(names, variants, baseline=compare, profiled=profile, stage=stage)
    if file is not None:
        written = write(document, file)
    if as_json:
        print(json.dumps(document, indent=2))
    else:
        from p2pbench.bench.tables import show

        show(document, out)
        if file is not None:
            out.print("written: " + ", ".join(map(str, written)), soft_wrap=True, markup=False)
    if any(verdict["verdict"] == "slower" for verdict in document.get("comparison", [])):
        raise typer.Exit(4)
