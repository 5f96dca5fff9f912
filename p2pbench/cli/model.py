"""The commands for one model: ``train``, ``score``, ``translate``, ``export`` and ``demo``."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from p2pbench.cli.options import (
    DEFAULT_RUNS,
    Inference,
    Json,
    Model,
    ProtocolOrNone,
    Runs,
    Sets,
    WeightsDir,
    answer,
    layers_of,
    parameter,
)
from p2pbench.cli.render import show_scores
from p2pbench.errors import ConfigError
from p2pbench.system.console import by, err, escape, out


def train(
    config: Annotated[Path | None, parameter("train", "--config")] = None,
    protocol: Annotated[str | None, parameter("train", "--protocol")] = None,
    sets: Sets = None,
    folder: Annotated[Path | None, parameter("train", "--out")] = None,
    resume: Annotated[bool, parameter("train", "--resume")] = False,
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
    answer({"run": str(finished.path), **(status.to_json() if status else {}), "scores": scores}, as_json)
    show_scores(scores)
    out.print(escape(f"run: {finished.path}"), soft_wrap=True)


def score(
    model: Annotated[str | None, parameter("score", "--model")] = None,
    fake: Annotated[Path | None, parameter("score", "--fake")] = None,
    target: Annotated[Path | None, parameter("score", "--target")] = None,
    metrics: Annotated[str | None, parameter("score", "--metrics")] = None,
    unpaired: Annotated[bool, parameter("score", "--unpaired")] = False,
    split: Annotated[str | None, parameter("score", "--split")] = None,
    inference: Inference = None,
    protocol: ProtocolOrNone = None,
    sets: Sets = None,
    file: Annotated[Path | None, parameter("score", "--out")] = None,
    per_image: Annotated[Path | None, parameter("score", "--per-image")] = None,
    runs: Runs = DEFAULT_RUNS,
    weights_dir: WeightsDir = None,
    as_json: Json = False,
) -> None:
    """Score a model on its test split, or any folder of images against their targets.

    A run is scored on its own data, or on those that --set data.source names. The port's weights do not say what data
    they are for: --protocol and --set do. Images in folders are read as training reads them (--set data.range,
    data.background, data.channels), each pair at its own size. For their FCN-scores, --set data.source names their data
    set, and --set scoring.palette the colours of its label maps.
    """
    from p2pbench.config.resolve import parse_set

    if (model is None) == (fake is None) or (fake is None) != (target is None):
        raise ConfigError("give either --model RUN, or both --fake DIR and --target DIR")
    if unpaired and (model is not None or per_image is not None):
        raise ConfigError("--unpaired is for images in folders, and single images have no values then")
    names = [name.strip() for name in metrics.split(",")] if metrics else None
    if model is not None:
        from p2pbench.study.score_model import score_model

        scores = score_model(
            model, runs, layers_of(protocol, sets), names, weights_dir, err, split or "test", inference
        )
    else:
        from p2pbench.study.score_folders import score_folders, score_unpaired

        assert fake is not None and target is not None
        if protocol or split or inference:
            raise ConfigError("--protocol, --split and --inference are for a model; images in folders need none")
        score_them = score_unpaired if unpaired else score_folders
        scores = score_them(fake, target, names, weights_dir, parse_set(sets or []), err)
    document = scores.to_json()
    if file is not None:
        from p2pbench.system.files import write_json

        write_json(file, document)
    if per_image is not None:
        from p2pbench.system.files import write_text

        write_text(per_image, scores.to_frame().to_csv(index=False))
    answer(document, as_json)
    show_scores(document["scores"])
    if all(score["value"] is None for score in document["scores"].values()):
        raise typer.Exit(3)  # the reasons are above


def translate(
    model: Model,
    folder: Annotated[Path, parameter("translate", "--out")],
    inputs: Annotated[list[Path] | None, parameter("translate", "inputs")] = None,
    split: Annotated[str | None, parameter("translate", "--split")] = None,
    inference: Inference = None,
    whole: Annotated[bool, parameter("translate", "--whole")] = False,
    again: Annotated[bool, parameter("translate", "--again")] = False,
    compare: Annotated[Path | None, parameter("translate", "--compare")] = None,
    sets: Sets = None,
    runs: Runs = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Translate pictures with a trained model, each at its own size; above 1024x1024 pixels in overlapping tiles.

    On a CPU an exported file is faster than its run, several times so where the extra openvino is installed.
    """
    from p2pbench.inference.folders import translate_pictures
    from p2pbench.inference.inputs import find_pictures, pictures_of_split
    from p2pbench.inference.tiling import seams
    from p2pbench.runs.model import load_model
    from p2pbench.system.progress import counted

    if compare is not None and compare.suffix.lower() != ".png":
        raise ConfigError(f"--compare {compare}: the sheet is a PNG; give a name that ends in .png")
    if bool(inputs) == (split is not None):
        raise ConfigError("give pictures, folders or patterns; or --split, for a split of the model's own data")
    loaded = load_model(model, runs, layers_of(None, sets), inference=inference, fast=True)
    others: dict[str, int] = {}
    if split is not None:
        pictures = pictures_of_split(loaded.config.data, split)
    else:
        pictures, others = find_pictures(inputs or [])
    if others:
        _warn(f"left out are {', '.join(f'{n} {what}' for what, n in others.items())}")
    with counted(err, "translate", "images") as progress:
        done = translate_pictures(loaded, pictures, folder, progress, again=again, compare=compare, whole=whole)
    if done.halves and split is None:  # of a split's pairs, the conditions are what was asked for
        _warn(
            f"{done.halves} of the pictures hold a pair, as the files that the model was trained on: the condition's "
            "half was translated; --whole translates them whole"
        )
    if done.tiled:
        _warn(f"{done.tiled} of the pictures went in {seams(loaded)}")
    if done.replaced:
        _warn(
            f"{done.replaced} of the outputs took the place of another model's, or of this one's made in another way "
            "(mode, seed, settings); name another --out to keep both"
        )
    answer({**asdict(done), "files": [str(path) for path in done.files]}, as_json)
    before = f", {done.skipped} {'was' if done.skipped == 1 else 'were'} there and skipped" if done.skipped else ""
    out.print(escape(f"{len(done.files) - done.skipped} translated{before}: {folder}"), soft_wrap=True)


def _warn(text: str) -> None:
    err.print(f"[yellow]warning:[/yellow] {escape(text)}", soft_wrap=True)


def export(
    model: Model,
    file: Annotated[Path, parameter("export", "--out")],
    tolerance: Annotated[float, parameter("export", "--tolerance")] = 1e-3,
    inference: Annotated[str | None, parameter("export", "--inference")] = None,
    sets: Sets = None,
    runs: Runs = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Write a model as ONNX, without dropout, checked against torch on test images; needs the extra onnx."""
    from p2pbench.inference.onnx import runtime

    runtime()
    from p2pbench.inference.export import export as export_model
    from p2pbench.runs.model import background_of, load_model

    loaded = load_model(model, runs, layers_of(None, sets))
    done = export_model(loaded, file, background_of(loaded), tolerance, inference)
    answer(done, as_json)
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


def demo(
    models: Annotated[list[str], parameter("demo", "--model")],
    host: Annotated[str, parameter("demo", "--host")] = "127.0.0.1",
    port: Annotated[int, parameter("demo", "--port")] = 5000,
    inference: Inference = None,
    runs: Runs = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Try models in a browser: draw or drop a picture, compare variants, download what comes out."""
    from p2pbench.demo.server import Server
    from p2pbench.runs.model import load_model

    server = Server([load_model(model, runs, inference=inference, fast=True) for model in models], host, port)
    answer({"url": server.url, "models": server.names}, as_json, indent=None)  # a line, for who waits for it
    out.print(f"{server.url}  (Ctrl+C ends it)")
    if not server.loopback:
        _warn("whoever reaches this machine can use the demo")
    server.run()
