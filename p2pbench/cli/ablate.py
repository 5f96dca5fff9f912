"""``p2pbench ablate``: train and score every variant of a grid, or say what that would take."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from typing import Annotated, Any

import typer
from rich.table import Table

from p2pbench.cli.options import DEFAULT_RUNS, Json, ProtocolName, Runs, Sets, WeightsDir, finite
from p2pbench.errors import ConfigError, Interrupted, unknown
from p2pbench.system.console import by, err, escape, out


def ablate(
    grid: Annotated[str, typer.Option("--grid", help="The question: a shipped grid or a file.")],
    protocol: ProtocolName = None,
    sets: Sets = None,
    seeds: Annotated[str | None, typer.Option("--seeds", help="Instead of the protocol's, as in 0,1,2.")] = None,
    jobs: Annotated[
        str | None,
        typer.Option("--jobs", metavar="N|auto", help="Cells at once; 1, or with ray all there is room for."),
    ] = None,
    runs: Runs = DEFAULT_RUNS,
    weights_dir: WeightsDir = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show the cells and what they would cost, and stop.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first cell that fails.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            min=0,
            max=525_600,
            metavar="MINUTES",
            help="End a cell that made no progress for so long.",
        ),
    ] = None,
    executor: Annotated[
        str, typer.Option("--executor", help="Where cells run: local, or ray, a cluster.", metavar="local|ray")
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option("--ray-address", help="Of a cluster; else RAY_ADDRESS, else this machine.", metavar="HOST:PORT"),
    ] = None,
    gpus_per_cell: Annotated[
        float | None,
        typer.Option("--gpus-per-cell", callback=finite, min=0, help="With ray: 0.25 for four cells to a GPU."),
    ] = None,
    memory_per_cell: Annotated[
        float | None,
        typer.Option("--memory-per-cell", callback=finite, min=0, help="With ray: of a node's memory.", metavar="GIB"),
    ] = None,
    shard: Annotated[
        str | None, typer.Option("--shard", help="Only every n-th cell, from the i-th: a job of many.", metavar="I/N")
    ] = None,
    gpus: Annotated[
        int | None, typer.Option("--gpus", min=1, help="With --plan: the time on so many GPUs.", metavar="K")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train and score every variant of a grid."""
    from p2pbench.config.resolve import parse_set
    from p2pbench.runs.store import Store
    from p2pbench.study.plan import build_study

    auto = jobs == "auto"
    at_once = None if auto else _jobs(jobs)
    if auto and executor == "ray":
        raise ConfigError("--jobs auto measures this machine; with --executor ray leave --jobs out, or give a number")
    _check_executor(executor, ray_address, gpus_per_cell, memory_per_cell, gpus if plan else None)
    if gpus is not None and not plan:
        raise ConfigError("--gpus says what --plan is for; cells take GPUs with --executor ray --gpus-per-cell")
    share = _shard(shard)
    study = build_study(grid, protocol, parse_set(sets or []), _seeds(seeds), plan=plan)
    store = Store(runs)
    if plan:
        _show_plan(study, store, at_once or 1 if gpus is None else _cells_on(gpus, gpus_per_cell), as_json)
        return

    from p2pbench.study.display import show
    from p2pbench.study.references import make_references
    from p2pbench.study.runner import outcomes_json, pending, prepare_weights, run_study

    silence = None if timeout is None else 60 * timeout
    with contextlib.ExitStack() as stack:
        on_ray = None
        if executor == "ray":
            from p2pbench.study.cluster import connected
            from p2pbench.study.on_ray import RayExecutor

            stack.enter_context(connected(ray_address))
            on_ray = RayExecutor(
                store, jobs=at_once, weights_dir=weights_dir, gpus_per_cell=gpus_per_cell, memory_gib=memory_per_cell,
                silence_seconds=silence,
            )  # fmt: skip
            on_ray.check(study.cells)
        prepare_weights(study, store, weights_dir=weights_dir, console=err)
        todo = {cell.run_id: cell for cell in pending(study, store, weights_dir) if share.has(study, cell)}
        if auto:
            untrained = [cell.config for cell in todo.values() if not store.run(str(cell.run_id)).trained()]
            at_once = _measured_jobs(untrained)
        with show(err, len(todo)) as watch:
            outcomes, interrupted = run_study(
                study, store, jobs=at_once or 1, weights_dir=weights_dir, fail_fast=fail_fast, watch=watch,
                silence_seconds=silence, executor=on_ray, shard=share,
            )  # fmt: skip
    result = outcomes_json(study, outcomes)
    made, reason = "not run", None
    if not interrupted and not (fail_fast and result["failed"]):
        try:
            made, reason = make_references(store, study.name, weights_dir=weights_dir, console=err)
        except KeyboardInterrupt:
            interrupted = True
    result["references"] = {"state": made, "reason": reason}
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        out.print(
            f"{study.name}: {result['trained']} trained, {result['skipped']} finished before and skipped"
            + (f" ({result['scored']} of them scored anew)" if result["scored"] else "")
            + f", {result['failed']} failed"
            + (f", {others} of other shards" if (others := _of_other_shards(outcomes, shard)) else "")
        )
    if reason is not None:
        err.print(f"[yellow]no reference rows:[/yellow] {escape(reason)}", soft_wrap=True)
    if interrupted:
        raise Interrupted("stopped; the same command goes on from the last checkpoints")
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if failed:
        for outcome in failed:
            err.print(
                f"failed: {escape(outcome.cell.variant)} seed {outcome.cell.seed}: {escape(outcome.reason or '')}",
                soft_wrap=True,
            )
        raise typer.Exit(4)
    if not as_json:
        root = "" if runs == DEFAULT_RUNS else f" --runs {shlex.quote(str(runs))}"
        out.print(escape(f"next: p2pbench report --study {shlex.quote(study.name)}{root}"), soft_wrap=True)


def _jobs(text: str | None) -> int | None:
    """How many; None unless given."""
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--jobs is {text!r}: give a whole number from 1, or auto")
    return int(text)


def _measured_jobs(configs: list[Any]) -> int:
    """What ``--jobs auto`` stands for, for cells of ``configs``."""
    if not configs:
        return 1
    from p2pbench.bench.jobs import choose_jobs

    choice = choose_jobs(configs, say=lambda what: err.print(f"--jobs auto: {what}", highlight=False))
    err.print(f"--jobs {choice.jobs}: {escape(choice.why)}", highlight=False, soft_wrap=True)
    return choice.jobs


def _of_other_shards(outcomes: list[Any], shard: str | None) -> int:
    return sum(outcome.state == "not run" and outcome.reason is not None for outcome in outcomes) if shard else 0


def _check_executor(
    executor: str, address: str | None, gpus_per_cell: float | None, memory: float | None, planned: int | None
) -> None:
    if executor not in ("local", "ray"):
        raise ConfigError(unknown("--executor", executor, ("local", "ray")))
    given = {"--ray-address": address, "--memory-per-cell": memory}
    if planned is None:  # else it says how many cells share a GPU of the plan's
        given["--gpus-per-cell"] = gpus_per_cell
    for option, value in given.items():
        if value is not None and executor != "ray":
            raise ConfigError(f"{option} is of the Ray executor; add --executor ray, or leave it out")


def _shard(text: str | None) -> Any:
    """The share of the study that ``I/N`` names."""
    from p2pbench.study.runner import ALL, Shard

    if text is None:
        return ALL
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    number, of = (int(part) for part in match.groups()) if match else (0, 0)
    if not 1 <= number <= of:
        raise ConfigError(
            f"--shard is {text!r}: give I/N with I from 1 to N, as in 3/8; in a job array each job its own"
        )
    return Shard(number, of)


def _cells_on(gpus: int, gpus_per_cell: float | None) -> int:
    """How many cells at once ``gpus`` GPUs have room for."""
    share = 1.0 if gpus_per_cell is None else gpus_per_cell
    if not share:
        raise ConfigError("--gpus-per-cell is 0: --plan --gpus is for cells that take a share of a GPU")
    cells = int(gpus // share) if share >= 1 else gpus * int(1 // share)
    if not cells:
        raise ConfigError(f"--gpus is {gpus} and --gpus-per-cell {share:g}: there is no room for a single cell")
    return cells


def _seeds(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        seeds = tuple(int(part) for part in text.split(","))
    except ValueError:
        seeds = ()
    if not seeds or min(seeds) < 0:
        raise ConfigError(f"--seeds is {text!r}: give whole numbers from 0, as in --seeds 0,1,2")
    return tuple(dict.fromkeys(seeds))


def _show_plan(study: Any, store: Any, jobs: int, as_json: bool) -> None:
    from p2pbench.study.estimate import estimate
    from p2pbench.study.grid import text_of
    from p2pbench.system.console import bytes_text, duration

    cost = estimate(study, store, jobs)
    cells = []
    for cell in study.cells:
        finished = cell.run_id is not None and store.run(cell.run_id, cell.config.scoring.inference).finished()
        state = "no data" if cell.run_id is None else "finished" if finished else "to run"
        cells.append(
            {"run_id": cell.run_id, "variant": cell.variant, "seed": cell.seed, "state": state, "reason": None}
        )
    if as_json:
        count = sum(cell["state"] == "finished" for cell in cells)
        document = {"study": study.name, "trained": 0, "skipped": count, "failed": 0, "cells": cells}
        print(json.dumps({**document, "estimate": cost.to_json()}, indent=2))
        return
    out.print(f"[bold]{escape(study.grid.question)}[/bold]")
    out.print(f"study {study.name}, protocol {study.protocol.name}: {escape(study.protocol.about)}\n")
    table = Table("variant", "seed", "run", "state", box=None, pad_edge=False)
    for cell in cells:
        table.add_row(escape(cell["variant"]), str(cell["seed"]), cell["run_id"] or "-", cell["state"])
    out.print(table)
    out.print("\nSettings that are not defaults, and where they came from:")
    table = Table("setting", "value", "from", box=None, pad_edge=False)
    for key in study.cells[0].origin:
        section, name = key.split(".")
        values = list(dict.fromkeys(text_of(getattr(getattr(c.config, section), name)) for c in study.cells))
        origins = list(dict.fromkeys(c.origin[key].split(":")[0] for c in study.cells))
        if origins != ["default"]:
            table.add_row(key, escape(", ".join(values)), escape(", ".join(origins)))
    out.print(table)
    unknown = "unknown (no past record of such a step)"
    at_once = f", {cost.at_once} cells at once" if cost.at_once > 1 else ""
    out.print(f"\ntime    {unknown if cost.seconds is None else duration(cost.seconds) + at_once}")
    out.print(f"memory  {unknown if cost.memory_bytes is None else bytes_text(cost.memory_bytes)}")
    kept = "unknown" if cost.kept_bytes is None else bytes_text(cost.kept_bytes)
    working = "unknown" if cost.working_bytes is None else bytes_text(cost.working_bytes)
    out.print(f"disk    {kept} kept, up to {working} more while training")
    shapes = {(c.config.data.crop_shape, c.config.padded_shape) for c in study.cells}
    for shape, padded in sorted(shapes):
        if shape != padded:
            out.print(f"size    {by(shape)} is padded to {by(padded)} inside the generator, and cropped back")
    if study.missing_data:
        err.print(f"[yellow]the data are not here:[/yellow] {escape(study.missing_data)}", soft_wrap=True)
