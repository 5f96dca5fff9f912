"""The command line: parse, call, render. What the commands do is elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from p2pbench.cli_data import data_app
from p2pbench.cli_runs import DEFAULT_RUNS, Runs, runs_app
from p2pbench.console import Json, by, err, out
from p2pbench.errors import ConfigError, Interrupted, P2PBenchError, unknown

# Without this pydantic looks through every installed package for plugins of its own before the first model.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


class _Program(TyperGroup):
    """Prints what went wrong on one line and exits with its code; defects of ours keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except P2PBenchError as error:
            err.print(f"[bold red]error:[/bold red] {escape(str(error))}", soft_wrap=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            err.print("[yellow]interrupted[/yellow]")
            raise typer.Exit(Interrupted.exit_code) from None


app = typer.Typer(
    cls=_Program,
    help="Benchmark and ablation toolkit for paired image-to-image translation (pix2pix).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(data_app, name="data")
app.add_typer(runs_app, name="runs")
weights_app = typer.Typer(no_args_is_help=True, help="The pretrained networks that scores need: list, fetch, verify.")
app.add_typer(weights_app, name="weights")

Sets = Annotated[
    list[str] | None, typer.Option("--set", help="A setting, key=value; may be repeated.", metavar="KEY=VALUE")
]
ProtocolName = Annotated[str | None, typer.Option("--protocol", help="What stays fixed: a shipped protocol or a file.")]
WeightsDir = Annotated[
    Path | None,
    typer.Option("--weights-dir", help="Where pretrained nets are looked for first.", exists=True, file_okay=False),
]
WORKLOADS = ("step", "data", "score", "translate")
MODEL_HELP = "A run's folder or id, an exported .onnx, or the PyTorch port's latest_net_G.pth."


@app.callback(invoke_without_command=True)
def _program(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say on standard error what is done, and where logs are.")
    ] = False,
) -> None:
    if verbose:
        from p2pbench.logs import logged_to

        context.with_resource(logged_to(None))
    if version:
        from importlib.metadata import version as version_of

        print(f"p2pbench {version_of('p2pbench')}")
        raise typer.Exit


@app.command()
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
        typer.Option("--timeout", min=0, metavar="MINUTES", help="End a cell that made no progress for so long."),
    ] = None,
    executor: Annotated[
        str, typer.Option("--executor", help="Where cells run: local, or ray, a cluster.", metavar="local|ray")
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option("--ray-address", help="Of a cluster; else RAY_ADDRESS, else this machine.", metavar="HOST:PORT"),
    ] = None,
    gpus_per_cell: Annotated[
        float | None, typer.Option("--gpus-per-cell", min=0, help="With ray: 0.25 for four cells to a GPU.")
    ] = None,
    memory_per_cell: Annotated[
        float | None, typer.Option("--memory-per-cell", min=0, help="With ray: of a node's memory.", metavar="GIB")
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
    from p2pbench.settings import parse_set
    from p2pbench.study.plan import build_study
    from p2pbench.study.store import Store

    asked = _jobs(jobs)
    if asked == AUTO and executor == "ray":
        raise ConfigError("--jobs auto measures this machine; with --executor ray leave --jobs out, or give a number")
    _check_executor(executor, ray_address, gpus_per_cell, memory_per_cell, gpus if plan else None)
    if gpus is not None and not plan:
        raise ConfigError("--gpus says what --plan is for; cells take GPUs with --executor ray --gpus-per-cell")
    share = _shard(shard)
    study = build_study(grid, protocol, parse_set(sets or []), _seeds(seeds), plan=plan)
    store = Store(runs)
    if plan:
        at_once = asked or 1 if gpus is None else _cells_on(gpus, gpus_per_cell)
        _show_plan(study, store, at_once, as_json)
        return

    from p2pbench.study.display import show
    from p2pbench.study.references import make_references
    from p2pbench.study.runner import outcomes_json, pending, prepare, run_study

    silence = None if timeout is None else 60 * timeout
    with contextlib.ExitStack() as stack:
        on_ray = None
        if executor == "ray":
            from p2pbench.study.cluster import connected
            from p2pbench.study.on_ray import RayExecutor

            stack.enter_context(connected(ray_address))
            on_ray = RayExecutor(
                store, jobs=asked, weights_dir=weights_dir, gpus_per_cell=gpus_per_cell, memory_gib=memory_per_cell,
                silence_seconds=silence,
            )  # fmt: skip
            on_ray.check(study.cells)
        prepare(study, store, weights_dir=weights_dir, console=err)
        todo = {cell.run_id: cell for cell in pending(study, store, weights_dir) if share.has(study, cell)}
        if asked == AUTO:
            untrained = [cell.config for cell in todo.values() if not store.run(str(cell.run_id)).trained()]
            asked = _measured_jobs(untrained)
        with show(err, len(todo)) as watch:
            outcomes, interrupted = run_study(
                study, store, jobs=asked or 1, weights_dir=weights_dir, fail_fast=fail_fast, watch=watch,
                silence_seconds=silence, executor=on_ray, shard=share,
            )  # fmt: skip
    result = outcomes_json(study, outcomes)
    made, reason = "not run", None
    if not interrupted and not (fail_fast and result["failed"]):
        try:
            made, reason = make_references(store, study.name, weights_dir=weights_dir, console=err)
        except Interrupted:
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


AUTO = -1
"""What ``--jobs auto`` is until it is measured."""


def _jobs(text: str | None) -> int | None:
    """How many; None unless given."""
    if text is None:
        return None
    if text == "auto":
        return AUTO
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--jobs is {text!r}: give a whole number from 1, or auto")
    return int(text)


def _measured_jobs(configs: list[Any]) -> int:
    """What ``--jobs auto`` stands for, for cells of ``configs``."""
    if not configs:
        return 1
    from p2pbench.study.jobs import choose_jobs

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
    from p2pbench.quantities import bytes_text, duration
    from p2pbench.study.estimate import estimate

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
        values = list(dict.fromkeys(str(getattr(getattr(c.config, section), name)) for c in study.cells))
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


@app.command()
def report(
    study: Annotated[list[str] | None, typer.Option("--study", help="Only this study; may be repeated.")] = None,
    runs: Runs = DEFAULT_RUNS,
    folder: Annotated[Path, typer.Option("--out", help="Where the reports go, a folder a study.")] = Path("reports"),
    as_json: Json = False,
) -> None:
    """Write tables, figures and a page from the records of finished studies."""
    from p2pbench.study.store import Store

    store = Store(runs)
    names = store.studies()
    if not names:
        raise ConfigError(f"there is no study under {runs}; run p2pbench ablate first, or name its folder with --runs")
    for name in study or []:
        if name not in names:
            raise ConfigError(unknown("study", name, names))

    from p2pbench.report.comparison import write_index
    from p2pbench.report.page import write_report

    reports, unreadable, chosen = [], [], study or names
    for name in chosen:
        try:
            reports.append(write_report(store, name, folder))
        except ConfigError as error:  # the other studies are reported all the same
            unreadable.append((name, error))
            err.print(f"[red]skipped[/red] {escape(name)}: {escape(str(error))}", soft_wrap=True)
    index = None
    if len(chosen) > 1:
        index = write_index(reports, [(name, str(error)) for name, error in unreadable], folder)
    if as_json:
        document = [
            {"study": r.study, "finished": r.n_finished, "cells": r.n_cells, "files": [str(file) for file in r.files]}
            for r in reports
        ]
        print(json.dumps({"reports": document, "index": str(index) if index else None}, indent=2))
    else:
        for r in reports:
            out.print(escape(f"{r.study}: {r.n_finished} of {r.n_cells} cells"), soft_wrap=True)
            for file in r.files:
                out.print(escape(f"  {file}"), soft_wrap=True)
        if index:
            out.print(escape(f"all: {index}"), soft_wrap=True)
    if unreadable:
        raise typer.Exit(unreadable[0][1].exit_code)


@app.command()
def train(
    config: Annotated[Path | None, typer.Option("--config", help="A run's config.yaml, or a file like it.")] = None,
    protocol: ProtocolName = None,
    sets: Sets = None,
    folder: Annotated[Path | None, typer.Option("--out", help="The run's folder; runs/cells/ID unless given.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    runs: Runs = DEFAULT_RUNS,
    weights_dir: WeightsDir = None,
    as_json: Json = False,
) -> None:
    """Train and score one run."""
    from p2pbench.study.single import train_one

    err.quiet = os.environ.get("LOCAL_RANK", "0") != "0"  # torchrun's other processes meet the same mistakes
    finished = train_one(
        config=config, protocol=protocol, assignments=sets or [], folder=folder, resume=resume, runs=runs,
        weights_dir=weights_dir, console=err,
    )  # fmt: skip
    if finished is None:
        return  # another process of this training says it
    if as_json:
        print(json.dumps({"run": str(finished.path), **finished.status(), "scores": finished.scores()}, indent=2))
        return
    _show_scores(finished.scores())
    out.print(f"run: {finished.path}", soft_wrap=True)


@app.command()
def score(
    model: Annotated[str | None, typer.Option("--model", help=MODEL_HELP)] = None,
    fake: Annotated[Path | None, typer.Option("--fake", help="A folder of images to score.")] = None,
    target: Annotated[Path | None, typer.Option("--target", help="The folder of their targets, same names.")] = None,
    metrics: Annotated[str | None, typer.Option("--metrics", help="As in l1,ssim,lpips; all unless given.")] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Of a model: the split it is scored on, test unless given.")
    ] = None,
    protocol: ProtocolName = None,
    sets: Sets = None,
    file: Annotated[Path | None, typer.Option("--out", help="Write the JSON document there too.")] = None,
    runs: Runs = DEFAULT_RUNS,
    weights_dir: WeightsDir = None,
    as_json: Json = False,
) -> None:
    """Score a model on its test split, or any folder of images against their targets.

    Weights of the port say nothing of their data: --protocol and --set do. For the FCN-scores of images in folders,
    --set data.source names the data set that they are of, and --set scoring.palette the colours of its label maps.
    """
    from p2pbench.settings import parse_set
    from p2pbench.study.single import score_folders, score_model

    if (model is None) == (fake is None) or (fake is None) != (target is None):
        raise ConfigError("give either --model RUN, or both --fake DIR and --target DIR")
    names = [name.strip() for name in metrics.split(",")] if metrics else None
    if model is not None:
        document = score_model(model, runs, _layers(protocol, sets), names, weights_dir, err, split or "test")
    else:
        assert fake is not None and target is not None
        if protocol or split:
            raise ConfigError("--protocol and --split say what a model is scored on; images in folders need none")
        document = score_folders(fake, target, names, weights_dir, parse_set(sets or []), err)
    if file is not None:
        from p2pbench.files import write_json

        write_json(file, document)
    if as_json:
        print(json.dumps(document, indent=2, allow_nan=False))
    else:
        _show_scores(document["scores"])


@app.command()
def translate(
    model: Annotated[str, typer.Option("--model", help=MODEL_HELP)],
    inputs: Annotated[list[Path], typer.Argument(help="Pictures, folders, or patterns.", metavar="INPUT...")],
    folder: Annotated[Path, typer.Option("--out", help="Where the translations go.")],
    again: Annotated[bool, typer.Option("--again", help="Also what is there already, made by this model.")] = False,
    compare: Annotated[Path | None, typer.Option("--compare", help="Also a PNG of pictures beside outputs.")] = None,
    sets: Sets = None,
    runs: Runs = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Translate pictures with a trained model, each at its own size; above 1024x1024 pixels in overlapping tiles."""
    from p2pbench.study.display import counted
    from p2pbench.study.model import load_model
    from p2pbench.study.pictures import translate_pictures

    if compare is not None and compare.suffix.lower() != ".png":
        raise ConfigError(f"--compare {compare}: the sheet is a PNG; give a name that ends in .png")
    loaded = load_model(model, runs, _layers(None, sets))
    with counted(err, "translate", "images") as progress:
        done = translate_pictures(loaded, inputs, folder, progress, again=again, compare=compare)
    if as_json:
        print(json.dumps({"files": [str(path) for path in done.files], "skipped": done.skipped}, indent=2))
    else:
        before = f", {done.skipped} there before and skipped" if done.skipped else ""
        out.print(escape(f"{len(done.files) - done.skipped} translated{before}: {folder}"), soft_wrap=True)


@app.command()
def export(
    model: Annotated[str, typer.Option("--model", help=MODEL_HELP)],
    file: Annotated[Path, typer.Option("--out", help="The ONNX file; its model card goes beside it, as .md.")],
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, help="Most it may differ from torch, in [-1, 1].")
    ] = 1e-3,
    sets: Sets = None,
    runs: Runs = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Write a model as ONNX, without dropout, checked against torch on test images; needs the extra onnx."""
    from p2pbench.models.onnx import runtime

    runtime()
    from p2pbench.export import export as export_model
    from p2pbench.study.model import load_model

    done = export_model(load_model(model, runs, _layers(None, sets)), file, tolerance).to_json()
    if as_json:
        print(json.dumps(done, indent=2))
        return
    multiple = done["size_multiple"]
    out.print(escape(f"{done['file']}, its card {done['model_card']}"), soft_wrap=True)
    out.print(
        f"opset {done['opset']}, inference mode {done['inference']}, any batch, "
        + (f"height and width any multiple of {multiple}" if multiple else "the size it was trained at")
    )
    sizes = " and ".join(by(size) for size in done["sizes"])
    out.print(
        f"torch and onnxruntime differ by {done['max_difference']:.1e} at most, of a range of 2, on "
        f"{done['images']} test images at {sizes}"
    )


@app.command()
def demo(
    models: Annotated[list[str], typer.Option("--model", help=f"{MODEL_HELP} May be repeated.")],
    host: Annotated[str, typer.Option("--host", help="Another than loopback lets others in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = 5000,
    runs: Runs = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Try models in a browser: draw or drop a picture, compare variants, download what comes out."""
    from p2pbench.demo.server import Server
    from p2pbench.study.model import load_model

    server = Server([load_model(model, runs) for model in models], host, port)
    if as_json:
        print(json.dumps({"url": server.url, "models": server.names}), flush=True)
    else:
        out.print(f"{server.url}  (Ctrl+C ends it)")
    if not server.loopback:
        err.print("[yellow]warning:[/yellow] whoever reaches this machine can use the demo", soft_wrap=True)
    server.run()


def _show_scores(scores: dict[str, dict[str, Any]]) -> None:
    from p2pbench.quantities import decimals
    from p2pbench.scoring.metrics import METRICS

    table = Table("score", "value", "95 % interval", "n", "better", box=None, pad_edge=False)
    reasons = []
    for name, found in scores.items():
        label = METRICS[name].label if name in METRICS else name
        if found["value"] is None:
            table.add_row(label, "not measured", "", str(found["n"]), found["better"])
            reasons.append(f"{label}: {found['reason']}")
            continue
        interval, digits = "", 4
        if found["low"] is not None:
            digits = decimals(found["high"] - found["low"])
            interval = f"[{found['low']:.{digits}f}, {found['high']:.{digits}f}]"
        table.add_row(label, f"{found['value']:.{digits}f}", escape(interval), str(found["n"]), found["better"])
        reasons += [f"{label}: {note}" for note in found["notes"]]
    out.print(table)
    for reason in dict.fromkeys(reasons):
        out.print(escape(reason), style="dim", soft_wrap=True)


@app.command()
def describe(protocol: ProtocolName = None, sets: Sets = None, as_json: Json = False) -> None:
    """Show the layers of both networks: shapes, parameters, FLOPs, receptive field."""
    config = _resolve(protocol, sets).config

    from p2pbench.models.describe import describe as describe_networks

    document = describe_networks(config)
    if as_json:
        print(json.dumps(document, indent=2))
        return
    for role in ("generator", "discriminator"):
        found = document[role]
        if found is None:
            out.print(f"\n[bold]{role}[/bold]: the objective {config.objective.name} has none")
            continue
        table = Table("layer", "kind", "output", box=None, pad_edge=False)
        table.add_column("parameters", justify="right")
        table.add_column("MFLOPs", justify="right")
        for layer in found["layers"]:
            shape = by(layer["output"])
            flops = f"{layer['flops'] / 1e6:,.1f}" if layer["flops"] else ""
            table.add_row(
                layer["name"], layer["kind"], shape, f"{layer['parameters']:,}" if layer["parameters"] else "", flops
            )
        out.print(f"\n[bold]{role} {escape(found['name'])}[/bold], {by(config.data.crop_shape)}")
        out.print(table)
        line = f"{found['parameters']:,} parameters, {found['flops'] / 1e9:.2f} GFLOPs an image"
        if found.get("padded_to"):
            line += f"; works on {by(found['padded_to'])}: padded, and cropped back"
        if role == "discriminator":
            grid = by(found["output_grid"])
            line += f", receptive field {found['receptive_field'] or 'unknown'}, output grid {grid}"
        out.print(line)


def _layers(protocol: str | None, sets: list[str] | None) -> list[Any]:
    from p2pbench.settings import Layer, parse_set
    from p2pbench.study.grid import read_protocol

    layers = []
    if protocol is not None:
        fixed = read_protocol(protocol)
        layers.append(Layer(f"protocol {fixed.name}", fixed.settings))
    return [*layers, Layer("--set", parse_set(sets or []))]


def _resolve(protocol: str | None, sets: list[str] | None) -> Any:
    from p2pbench.settings import resolve

    return resolve(_layers(protocol, sets))


@app.command()
def bench(
    workloads: Annotated[
        list[str] | None, typer.Argument(help="What to time; step unless given.", metavar="[step|data|score|translate]")
    ] = None,
    grid: Annotated[str | None, typer.Option("--grid", help="Time each variant of this grid.")] = None,
    protocol: ProtocolName = None,
    sets: Sets = None,
    device: Annotated[str | None, typer.Option("--device", help="cpu or cuda; the best one unless given.")] = None,
    compare: Annotated[
        Path | None, typer.Option("--compare", help="An earlier --out of this machine; exit 4 where a row is slower.")
    ] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Also where the time of a step goes.")] = False,
    file: Annotated[Path | None, typer.Option("--out", help="Write JSON there; .md and .png beside it.")] = None,
    as_json: Json = False,
) -> None:
    """Time, in turns within one run: the training step beside a plain loop, decoding beside Pillow alone, scoring
    beside its networks' bare forward passes and SSIM, or translating files beside the generator's."""
    from p2pbench.errors import unknown

    names = list(dict.fromkeys(workloads or ["step"]))
    for name in names:
        if name not in WORKLOADS:
            raise ConfigError(unknown("workload", name, WORKLOADS))
    from p2pbench.bench.suite import check_name, measure, write

    if file is not None:
        check_name(file)
    assignments = [*(sets or []), *([f"training.device={device}"] if device else [])]
    document = measure(names, grid, protocol, assignments, baseline=compare, profiled=profile, console=err)
    if file is not None:
        written = write(document, file)
    if as_json:
        print(json.dumps(document, indent=2))
    else:
        from p2pbench.bench.tables import show

        show(document, out)
        if file is not None:
            out.print("written: " + ", ".join(map(str, written)), soft_wrap=True, highlight=False)
    if any(verdict["verdict"] == "slower" for verdict in document.get("comparison", [])):
        raise typer.Exit(4)


@app.command()
def doctor(weights_dir: WeightsDir = None, as_json: Json = False) -> None:
    """Say what this machine has: versions, device, precision, weights, disk; and what is untested on it."""
    from p2pbench.doctor import examine

    document = examine(weights_dir)
    if as_json:
        print(json.dumps(document, indent=2))
        return
    for title, rows in document.items():
        out.print(f"[bold]{title}[/bold]")
        table = Table(show_header=False, box=None, padding=(0, 2))
        for key, value in rows.items():
            table.add_row(key, escape(str(value)))
        out.print(table)


@weights_app.command("list")
def weights_list(weights_dir: WeightsDir = None, as_json: Json = False) -> None:
    """Show what each score needs, where it was found, whether it is right, and how to place it by hand."""
    from p2pbench.scoring.inventory import inventory

    document = inventory(weights_dir)
    if as_json:
        print(json.dumps(document, indent=2))
        return
    for net in document["weights"]:
        colour = {"ready": "green", "wrong": "red", "missing": "yellow"}[net["state"]]
        out.print(f"[bold]{net['name']}[/bold]  [{colour}]{net['state']}[/{colour}]  {escape(net['about'])}")
        out.print(f"  for {', '.join(net['scores'])}")
        if net["path"]:
            out.print(escape(f"  {net['path']}"), soft_wrap=True)
            out.print(f"  SHA-256 begins {net['sha256'][:12]}")
        if net["state"] != "ready":
            for word, (file, sha256) in zip(("wanted", "or"), net["files"].items(), strict=False):
                out.print(f"  {word}: {escape(file)}, SHA-256 begins {sha256[:12]}", soft_wrap=True)
                if word == "wanted":
                    out.print(f"  {net['megabytes']} MB, {escape(net['url'])}", soft_wrap=True)
    out.print("\nLooked for in these folders, in order (--weights-dir puts one before them):")
    for folder in document["search"]:
        out.print(escape(f"  {folder}"), soft_wrap=True)
    out.print("\nFetch one: p2pbench weights fetch NAME. Without a network: download the file")
    out.print("elsewhere and put it, under one of its names, into one of these folders; then")
    out.print("p2pbench weights verify.")


@weights_app.command("fetch")
def weights_fetch(
    names: Annotated[
        list[str], typer.Argument(help="Networks, scores that need one (fid), or all.", metavar="NAME...|all")
    ],
    weights_dir: WeightsDir = None,
    as_json: Json = False,
) -> None:
    """Fetch pretrained networks that are not on this machine, and verify them."""
    from p2pbench.scoring import inventory
    from p2pbench.scoring.weights import NETS
    from p2pbench.study.display import counted

    rows = []
    for name in inventory.networks_of(names):
        title = f"fetching {name}" + ", MB" * err.is_terminal
        if inventory.is_missing(name, weights_dir):
            err.print(f"{name}: {NETS[name].about}, {NETS[name].megabytes} MB", markup=False)
        with counted(err, title, "MB") as progress:
            rows.append(inventory.fetch(name, weights_dir, progress))
    if as_json:
        print(json.dumps({"weights": rows}, indent=2))
    for row in rows:
        if row["state"] == "failed":
            err.print(f"[red]failed:[/red] {row['name']}: {escape(row['reason'])}", soft_wrap=True)
        elif not as_json:
            out.print(escape(f"{row['name']}: {row['state']}, {row['path']}"), soft_wrap=True)
    if any(row["state"] == "failed" for row in rows):
        raise typer.Exit(3)


@weights_app.command("verify")
def weights_verify(weights_dir: WeightsDir = None, as_json: Json = False) -> None:
    """Compare every file of weights that is found with its published hash; exit code 3 if one is wrong."""
    from p2pbench.scoring.inventory import verify_all

    rows = verify_all(weights_dir)
    if as_json:
        print(json.dumps({"weights": rows}, indent=2))
    else:
        for row in rows:
            colour = "green" if row["state"] == "ready" else "red"
            out.print(f"[{colour}]{row['state']}[/{colour}]  {row['name']}  {escape(row['path'])}", soft_wrap=True)
        if not rows:
            out.print("no file of weights was found; p2pbench weights list says where they are looked for")
    for row in rows:
        if row["reason"]:
            err.print(f"[red]wrong:[/red] {escape(row['reason'])}", soft_wrap=True)
    if any(row["reason"] for row in rows):
        raise typer.Exit(3)


def main() -> None:
    """The console script ``p2pbench``."""
    app(prog_name="p2pbench")


if __name__ == "__main__":
    main()
