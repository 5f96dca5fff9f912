"""``p2pbench ablate``: train and score every variant of a grid, or say what that would take."""

from __future__ import annotations

import re
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from p2pbench.cli.options import DEFAULT_RUNS, Json, Runs, Sets, WeightsDir, answer, parameter
from p2pbench.cli.render import plain_table, show_answer, show_sources
from p2pbench.errors import ConfigError, DataError, Interrupted
from p2pbench.system.console import by, bytes_text, duration, err, escape, out

if TYPE_CHECKING:
    from p2pbench.runs.events import Event
    from p2pbench.runs.store import Store
    from p2pbench.study.budget import Timed
    from p2pbench.study.plan import Study
    from p2pbench.study.runner import Result


def ablate(
    grid: Annotated[str, parameter("ablate", "--grid")],
    data: Annotated[str | None, parameter("ablate", "--data")] = None,
    direction: Annotated[str | None, parameter("ablate", "--direction")] = None,
    protocol: Annotated[str | None, parameter("ablate", "--protocol")] = None,
    sets: Sets = None,
    seeds: Annotated[str | None, parameter("ablate", "--seeds")] = None,
    name: Annotated[str | None, parameter("ablate", "--name")] = None,
    replace: Annotated[bool, parameter("ablate", "--replace")] = False,
    budget: Annotated[float | None, parameter("ablate", "--budget")] = None,
    jobs: Annotated[str | None, parameter("ablate", "--jobs")] = None,
    runs: Runs = DEFAULT_RUNS,
    weights_dir: WeightsDir = None,
    plan: Annotated[bool, parameter("ablate", "--plan")] = False,
    fail_fast: Annotated[bool, parameter("ablate", "--fail-fast")] = False,
    timeout: Annotated[float | None, parameter("ablate", "--timeout")] = None,
    track: Annotated[str | None, parameter("ablate", "--track")] = None,
    executor: Annotated[str, parameter("ablate", "--executor")] = "local",
    ray_address: Annotated[str | None, parameter("ablate", "--ray-address")] = None,
    gpus_per_cell: Annotated[float | None, parameter("ablate", "--gpus-per-cell")] = None,
    memory_per_cell: Annotated[float | None, parameter("ablate", "--memory-per-cell")] = None,
    shard: Annotated[str | None, parameter("ablate", "--shard")] = None,
    gpus: Annotated[int | None, parameter("ablate", "--gpus")] = None,
    as_json: Json = False,
) -> None:
    """Train and score every variant of a grid."""
    from p2pbench.config.resolve import parse_set
    from p2pbench.runs.store import Store
    from p2pbench.study.budget import Timed
    from p2pbench.study.execution import Execution
    from p2pbench.study.plan import build_study
    from p2pbench.study.study_file import recorded_alike
    from p2pbench.study.wall_time import in_seconds

    if gpus is not None and not plan:
        raise ConfigError("--gpus says what --plan is for; cells take GPUs with --executor ray --gpus-per-cell")
    how = Execution(
        executor=executor, jobs=_jobs(jobs), weights_dir=weights_dir, shard=_shard(shard), fail_fast=fail_fast,
        silence_seconds=None if timeout is None else 60 * timeout, ray_address=ray_address,
        gpus_per_cell=gpus_per_cell, memory_gib=memory_per_cell, plan_gpus=gpus,
    )  # fmt: skip
    store, chosen, probe = Store(runs), _seeds(seeds), Timed(_probe)
    given = _with_data(parse_set(sets or []), {"data.source": data, "data.direction": direction})
    if budget is not None:
        chosen = _within(budget, grid, protocol, given, chosen, name, store, how, probe)
    study = build_study(grid, protocol, given, chosen, name=name, plan=plan)
    if plan:
        study = in_seconds(study, store, probe, record=False)
    for caution in study.cautions():
        err.print(f"[yellow]caution:[/yellow] {escape(caution)}", soft_wrap=True, highlight=False)
    if plan:
        if not replace:
            recorded_alike(study, store)
        _show_plan(study, store, how.planned_at_once(), probe.seconds_per_step, as_json)
        if study.missing_data:
            raise DataError(study.missing_data)
        return

    from p2pbench.report.live import LivePage
    from p2pbench.report.track import Tracking
    from p2pbench.study.runner import carry_out

    live = LivePage(store, study.name, runs.parent / "reports" / study.name / "live.html")
    tracking = Tracking(store, study.name, track) if track else None

    def watch(event: Event) -> None:
        if not live.begun:  # a study that is refused has none
            err.print(escape(f"live page: {live.path}"), soft_wrap=True)
        live(event)
        if tracking:
            tracking(event)

    try:
        result = carry_out(
            study, store, how, console=err, replace=replace, measure_jobs=_measured_jobs, probe=probe, watch=watch
        )
    finally:
        live.end()
    if tracking:
        tracking.end()
    _show(result, as_json)
    if result.interrupted:
        raise Interrupted("stopped; the same command goes on from the last checkpoints")
    if not as_json:
        from p2pbench.report.records import read_study

        show_answer(read_study(store, study.name))
    if result.count("failed"):
        raise typer.Exit(4)
    root = "" if runs == DEFAULT_RUNS else f" --runs {shlex.quote(str(runs))}"
    root += " --overwrite" if replace and live.path.with_name("index.html").is_file() else ""
    out.print(escape(f"next: p2pbench report --study {shlex.quote(study.name)}{root}"), soft_wrap=True)


def _with_data(settings: dict[str, Any], options: dict[str, str | None]) -> dict[str, Any]:
    """``settings`` with those of ``--data`` and ``--direction``."""
    for key, value in options.items():
        if value is None:
            continue
        if key in settings:
            option = "--data" if key == "data.source" else "--direction"
            raise ConfigError(f"{option} and --set {key} say the same: give one of them")
        settings = {**settings, key: value}
    return settings


def _jobs(text: str | None) -> Any:
    if text is None or text == "auto":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--jobs is {text!r}: give a whole number from 1, or auto")
    return int(text)


def _shard(text: str | None) -> Any:
    from p2pbench.study.execution import Shard

    if text is None:
        return Shard()
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None:
        raise ConfigError(f"--shard is {text!r}: give I/N with I from 1 to N, as in 3/8")
    return Shard(int(match[1]), int(match[2]))


def _measured_jobs(configs: list[Any]) -> int:
    """What ``--jobs auto`` stands for, for cells of ``configs``."""
    from p2pbench.bench.jobs import choose_jobs

    choice = choose_jobs(configs, say=lambda what: err.print(f"--jobs auto: {what}", highlight=False))
    err.print(f"--jobs {choice.jobs}: {escape(choice.why)}", highlight=False, soft_wrap=True)
    return choice.jobs


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


def _within(
    hours: float,
    grid: str,
    protocol: str | None,
    settings: Any,
    seeds: Any,
    name: str | None,
    store: Store,
    how: Any,
    probe: Timed,
) -> Any:
    """The seeds that fit into ``--budget``, of ``seeds`` or of the first twenty."""
    from p2pbench.study.budget import MOST_SEEDS, seeds_within
    from p2pbench.study.plan import build_study
    from p2pbench.study.wall_time import in_seconds

    whole = build_study(grid, protocol, settings, seeds or range(MOST_SEEDS), name=name)
    whole = in_seconds(whole, store, probe, record=False)
    chosen, needed = seeds_within(hours, whole, store, how.planned_at_once(), probe)
    fit = "seed fits" if len(chosen) == 1 else "seeds fit"
    err.print(f"--budget {hours:g}: {len(chosen)} {fit}, about {duration(needed)}", highlight=False)
    return chosen


def _probe(config: Any, seconds: float) -> float:
    """The seconds that a step takes, timed for about ``seconds``."""
    from p2pbench.bench.jobs import seconds_per_step

    err.print(f"timing steps of {config.objective.name}: no record tells how long they take", highlight=False)
    return seconds_per_step(config, seconds)


def _show(result: Result, as_json: bool) -> None:
    document = result.to_json()
    answer(document, as_json)
    others = sum(o.state == "not run" and o.reason is not None for o in result.once())
    out.print(
        f"{result.study.name}: {document['trained']} trained, {document['skipped']} finished before and skipped"
        + (f" ({document['scored']} of them scored anew)" if document["scored"] else "")
        + f", {document['failed']} failed"
        + (f", {document['shared']} shared" if document["shared"] else "")
        + (f", {others} of other shards" if others else "")
    )
    if reason := result.rows_reason:
        err.print(f"[yellow]no reference rows:[/yellow] {escape(reason)}", soft_wrap=True)
    if failed := [f"{o.cell.variant} seed {o.cell.seed}" for o in result.outcomes if o.state == "failed"]:
        err.print(f"failed, for the reasons above: {escape('; '.join(failed))}")


def _show_plan(study: Study, store: Store, at_once: int, timed: dict[str, float], as_json: bool) -> None:
    from p2pbench.report.planning import detectable
    from p2pbench.statistics.comparison import LEAST_IMAGES
    from p2pbench.study.estimate import cells_json, changed_settings, estimate

    cost, cells = estimate(study, store, at_once, timed), cells_json(study, store)
    count = len({cell["run_id"] for cell in cells if cell["state"] == "finished"})
    shared = len(cells) - len({cell["run_id"] or (cell["variant"], cell["seed"]) for cell in cells})
    document = {"study": study.name, "trained": 0, "skipped": count, "shared": shared, "failed": 0, "cells": cells}
    first = study.cells[0]
    shown = detectable(
        store, study.grid.primary, first.config.scoring.wanted, first.config.data.model_dump(mode="json"),
        study.grid.margins, seeds=len({cell.seed for cell in study.cells}), images=first.test_images,
        contrasts=len(study.contrasts()),
    )  # fmt: skip
    sources = {level.label: level.source for levels in study.grid.factors.values() for level in levels}
    document["sources"] = {label: source for label, source in sources.items() if source}
    answer({**document, "estimate": asdict(cost), "detectable": asdict(shown) if shown else None}, as_json)
    out.print(f"[bold]{escape(study.grid.question)}[/bold]")
    about = f": {escape(study.about_protocol)}" if study.about_protocol else ""
    out.print(f"study {escape(study.name)}, protocol {escape(study.protocol.name)}{about}")
    for line in study.reads:
        out.print(escape(line))
    out.print()
    table = plain_table("variant", "seed", "run", "state")
    for cell in cells:
        same = f" = {cell['same_as']}" if cell["same_as"] else ""
        table.add_row(escape(cell["variant"] + same), str(cell["seed"]), cell["run_id"] or "-", cell["state"])
    out.print(table)
    show_sources(sources)
    out.print("\nSettings that are not defaults, and where they came from:")
    table = plain_table("setting", "value", "from")
    table.columns[0].no_wrap = True  # the values and the words of a layer break, a setting's name does not
    for key, values, origins in changed_settings(study):
        table.add_row(key, escape(", ".join(values)), escape(", ".join(origins)))
    out.print(table)
    unknown = "unknown (no past record of such a step)"
    many = f", {cost.at_once} cells at once" if cost.at_once > 1 else ""
    many += ", by steps timed just now and without scoring" if timed else ""
    out.print(f"\ntime    {unknown if cost.seconds is None else duration(cost.seconds) + many}")
    out.print(f"memory  {unknown if cost.memory_bytes is None else bytes_text(cost.memory_bytes)}")
    kept, working = (
        "unknown" if size is None else bytes_text(size) for size in (cost.disk_bytes, cost.disk_bytes_while_training)
    )
    is_known = cost.disk_bytes is not None or cost.disk_bytes_while_training is not None
    out.print(f"disk    {kept} kept, up to {working} more while training" if is_known else "disk    unknown")
    why = "no spread of the primary score is known on such data" if first.test_images else "no data here"
    out.print(f"shows   {escape(shown.sentence) if shown else f'unknown ({why})'}")
    if (n := first.test_images) is not None and n < LEAST_IMAGES:
        out.print(f"caution over {n} test images no test of few trainings can show anything; {LEAST_IMAGES} can")
    shapes = {(c.config.data.crop_shape, c.config.padded_shape) for c in study.cells}
    for shape, padded in sorted(shapes):
        if shape != padded:
            out.print(f"size    {by(shape)} is padded to {by(padded)} inside the generator, and cropped back")
