"""The command line: parse, call, render. What the commands do is elsewhere."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperGroup

from p2pbench.cli.ablate import ablate
from p2pbench.cli.data import data_app
from p2pbench.cli.options import DEFAULT_RUNS, MODEL_HELP, Json, ProtocolName, Runs, Sets, WeightsDir
from p2pbench.cli.runs import runs_app
from p2pbench.cli.weights import weights_app
from p2pbench.errors import ConfigError, Interrupted, P2PBenchError, unknown
from p2pbench.system.console import by, err, escape, out

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
app.add_typer(weights_app, name="weights")

WORKLOADS = ("step", "data", "score", "translate")


@app.callback(invoke_without_command=True)
def _program(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say on standard error what is done, and where logs are.")
    ] = False,
) -> None:
    if verbose:
        from p2pbench.system.console import logged_to

        context.with_resource(logged_to(None))
    if version:
        from importlib.metadata import version as version_of

        print(f"p2pbench {version_of('p2pbench')}")
        raise typer.Exit


app.command()(ablate)


@app.command()
def report(
    study: Annotated[list[str] | None, typer.Option("--study", help="Only this study; may be repeated.")] = None,
    runs: Runs = DEFAULT_RUNS,
    folder: Annotated[Path, typer.Option("--out", help="Where the reports go, a folder a study.")] = Path("reports"),
    as_json: Json = False,
) -> None:
    """Write tables, figures and a page from the records of finished studies."""
    from p2pbench.runs.store import Store

    store = Store(runs)
    names = store.studies()
    if not names:
        raise ConfigError(f"there is no study under {runs}; run p2pbench ablate first, or name its folder with --runs")
    for name in study or []:
        if name not in names:
            raise ConfigError(unknown("study", name, names))

    from p2pbench.report.index import write_index
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
    from p2pbench.study.one_run import train_one

    err.quiet = os.environ.get("LOCAL_RANK", "0") != "0"  # torchrun's other processes meet the same mistakes
    finished = train_one(
        config=config, protocol=protocol, assignments=sets or [], folder=folder, resume=resume, runs=runs,
        weights_dir=weights_dir, console=err,
    )  # fmt: skip
    if finished is None:
        return  # another process of this training says it
    status = finished.status()
    scores = {name: score.to_json() for name, score in finished.scores().items()}
    if as_json:
        about = status.to_json() if status else {}
        print(json.dumps({"run": str(finished.path), **about, "scores": scores}, indent=2))
        return
    _show_scores(scores)
    out.print(f"run: {finished.path}", soft_wrap=True)


@app.command()
def score(
    model: Annotated[str | None, typer.Option("--model", help=MODEL_HELP)] = None,
    fake: Annotated[Path | None, typer.Option("--fake", help="A folder of images to score.")] = None,
    target: Annotated[Path | None, typer.Option("--target", help="The folder of their targets, same names.")] = None,
    metrics: Annotated[
        str | None, typer.Option("--metrics", help="As in l1,ssim,lpips; all that can be had unless given.")
    ] = None,
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
    from p2pbench.config.resolve import parse_set
    from p2pbench.study.score_outputs import score_folders, score_model

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
        from p2pbench.system.files import write_json

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
    from p2pbench.inference.folders import translate_pictures
    from p2pbench.runs.model import load_model
    from p2pbench.system.progress import counted

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
    from p2pbench.inference.onnx import runtime

    runtime()
    from p2pbench.inference.export import export as export_model
    from p2pbench.runs.model import background_of, load_model

    loaded = load_model(model, runs, _layers(None, sets))
    done = export_model(loaded, file, background_of(loaded), tolerance).to_json()
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
    from p2pbench.runs.model import load_model

    server = Server([load_model(model, runs) for model in models], host, port)
    if as_json:
        print(json.dumps({"url": server.url, "models": server.names}), flush=True)
    else:
        out.print(f"{server.url}  (Ctrl+C ends it)")
    if not server.loopback:
        err.print("[yellow]warning:[/yellow] whoever reaches this machine can use the demo", soft_wrap=True)
    server.run()


def _show_scores(scores: dict[str, dict[str, Any]]) -> None:
    from p2pbench.config.metrics import METRICS
    from p2pbench.system.console import value_and_interval

    table = Table("score", "value", "95 % interval", "n", "better", box=None, pad_edge=False)
    reasons: dict[str, list[str]] = {}
    for name, found in scores.items():
        label = METRICS[name].label if name in METRICS else name
        if found["value"] is None:
            table.add_row(label, "not measured", "", str(found["n"]), found["better"])
            reasons.setdefault(found["reason"], []).append(label)
            continue
        value, interval = value_and_interval(found["value"], found["low"], found["high"])
        table.add_row(label, value, escape(interval), str(found["n"]), found["better"])
        for note in found["notes"]:
            reasons.setdefault(note, []).append(label)
    out.print(table)
    for reason, labels in reasons.items():
        out.print(escape(f"{', '.join(labels)}: {reason}"), style="dim", soft_wrap=True)


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
    from p2pbench.config.resolve import Layer, parse_set
    from p2pbench.study.grid import read_protocol

    layers = []
    if protocol is not None:
        fixed = read_protocol(protocol)
        layers.append(Layer(f"protocol {fixed.name}", fixed.settings))
    return [*layers, Layer("--set", parse_set(sets or []))]


def _resolve(protocol: str | None, sets: list[str] | None) -> Any:
    from p2pbench.config.resolve import resolve

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
    """Time a workload and, in turns with it, the least it takes: a plain loop, Pillow, bare networks."""
    from p2pbench.errors import unknown

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
            out.print("written: " + ", ".join(map(str, written)), soft_wrap=True, highlight=False)
    if any(verdict["verdict"] == "slower" for verdict in document.get("comparison", [])):
        raise typer.Exit(4)


@app.command()
def doctor(weights_dir: WeightsDir = None, as_json: Json = False) -> None:
    """Say what this machine has: versions, device, precision, weights, disk; and what is untested on it."""
    from p2pbench.cli.doctor import examine

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


def main() -> None:
    """All commands; the console script ``p2pbench`` calls it with signals in hand."""
    app(prog_name="p2pbench")
