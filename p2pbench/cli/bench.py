"""``p2pbench bench``: how fast training, data, scoring and translation are on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from p2pbench.cli.options import Json, ProtocolOrNone, Sets, answer, parameter
from p2pbench.errors import ConfigError, unknown
from p2pbench.system.console import err, out

WORKLOADS = ("step", "data", "score", "translate")


def bench(
    workloads: Annotated[list[str] | None, parameter("bench", "workloads")] = None,
    grid: Annotated[str | None, parameter("bench", "--grid")] = None,
    protocol: ProtocolOrNone = None,
    sets: Sets = None,
    device: Annotated[str | None, parameter("bench", "--device")] = None,
    compare: Annotated[Path | None, parameter("bench", "--compare")] = None,
    profile: Annotated[bool, parameter("bench", "--profile")] = False,
    file: Annotated[Path | None, parameter("bench", "--out")] = None,
    as_json: Json = False,
) -> None:
    """Time a workload and, in turns with it, the least that it takes: a plain loop, Pillow, bare networks."""
    names = list(dict.fromkeys(workloads or ["step"]))
    for name in names:
        if name not in WORKLOADS:
            raise ConfigError(unknown("workload", name, WORKLOADS))
    from p2pbench.bench.suite import check_name, measure, read_variants, write
    from p2pbench.bench.tables import show
    from p2pbench.system.progress import stages

    if file is not None:
        check_name(file)
    assignments = [*(sets or []), *([f"training.device={device}"] if device else [])]
    variants = read_variants(grid, protocol, assignments)
    with stages(err) as stage:
        document = measure(names, variants, baseline=compare, profiled=profile, stage=stage)
    if file is not None:
        written = write(document, file)
    answer(document, as_json)
    show(document, out)
    if file is not None:
        out.print("written: " + ", ".join(map(str, written)), soft_wrap=True, markup=False)
    if any(verdict["verdict"] == "slower" for verdict in document.get("comparison", [])):
        raise typer.Exit(4)
