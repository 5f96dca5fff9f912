"""``p2pbench bench``: how fast training, data, scoring and translation are on this machine."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from p2pbench.cli.options import DEFAULT_RUNS, Json, ProtocolOrNone, Runs, Sets, answer, layers_of, parameter
from p2pbench.errors import ConfigError, unknown
from p2pbench.system.console import err, out

if TYPE_CHECKING:
    from p2pbench.bench.suite import Variant
    from p2pbench.inference.generator import Model

WORKLOADS = ("step", "data", "score", "translate")


def bench(
    workloads: Annotated[list[str] | None, parameter("bench", "workloads")] = None,
    grid: Annotated[str | None, parameter("bench", "--grid")] = None,
    protocol: ProtocolOrNone = None,
    sets: Sets = None,
    model: Annotated[str | None, parameter("bench", "--model")] = None,
    runs: Runs = DEFAULT_RUNS,
    device: Annotated[str | None, parameter("bench", "--device")] = None,
    compare: Annotated[Path | None, parameter("bench", "--compare")] = None,
    profile: Annotated[bool, parameter("bench", "--profile")] = False,
    raced: Annotated[bool, parameter("bench", "--race")] = False,
    minutes: Annotated[float | None, parameter("bench", "--minutes")] = None,
    file: Annotated[Path | None, parameter("bench", "--out")] = None,
    as_json: Json = False,
) -> None:
    """Time a workload and, in turns with it, the least that it takes: a plain loop, Pillow, bare networks."""
    names = list(dict.fromkeys(workloads or ["step"]))
    for name in names:
        if name not in WORKLOADS:
            raise ConfigError(unknown("workload", name, WORKLOADS))
    from p2pbench.bench.suite import check_name, measure, write
    from p2pbench.bench.tables import show
    from p2pbench.config.resolve import Resolved
    from p2pbench.system.progress import stages

    if raced and (names != ["step"] or compare is not None or profile):
        raise ConfigError("--race is for bench step alone, without --compare and --profile")
    if profile and "step" not in names:
        raise ConfigError(f"--profile says where the time of a step goes; give p2pbench bench step {' '.join(names)}")
    if minutes is not None and not raced:
        raise ConfigError("--minutes is how long --race may take; give --race too, or leave it out")
    if file is not None:
        check_name(file)
    loaded = None if model is None else load_trained(model, runs, sets, device)
    if loaded is not None and (names != ["translate"] or grid or protocol):
        raise ConfigError("--model is for bench translate alone, without --grid and --protocol")
    assignments = [*(sets or []), *([f"training.device={device}"] if device else [])]
    variants = [("", Resolved(loaded.config, {}))] if loaded else read_variants(grid, protocol, assignments)
    if raced:
        race_all(variants, minutes or 5.0, file, as_json=as_json)
        return
    with stages(err) as stage:
        document = measure(names, variants, baseline=compare, profiled=profile, model=loaded, stage=stage)
    if file is not None:
        written = write(document, file)
    answer(document, as_json)
    show(document, out)
    if file is not None:
        out.print("written: " + ", ".join(map(str, written)), soft_wrap=True, markup=False)
    if any(verdict["verdict"] == "slower" for verdict in document.get("comparison", [])):
        raise typer.Exit(4)


def load_trained(name: str, runs: Path, sets: list[str] | None, device: str | None) -> "Model":
    """The trained run ``name``, on ``device``."""
    from dataclasses import replace

    from p2pbench.inference.onnx import OnnxGenerator
    from p2pbench.runs.model import load_model

    model = load_model(name, runs, layers_of(None, sets))
    if isinstance(model.generator, OnnxGenerator):
        raise ConfigError(f"--model {name} is an ONNX file, whose weights torch does not have; give the run it is from")
    return replace(model, config=model.config.changed("training", device=device)) if device else model


def read_variants(grid: str | None, protocol: str | None, assignments: Sequence[str]) -> "list[Variant]":
    """What is timed: each variant of ``grid``, its baseline first, or the one configuration of the rest."""
    from p2pbench.config.resolve import Layer, parse_set, resolve
    from p2pbench.study.grid import baseline_of, label_of, read_grid, read_protocol

    below = [Layer(f"protocol {protocol}", read_protocol(protocol).settings)] if protocol else []
    above = Layer("--set", parse_set(list(assignments)))
    if grid is None:
        return [("", resolve([*below, above]))]
    question = read_grid(grid)
    variants = []
    for levels in question.variants():
        layers = [Layer(f"level {factor}: {level.label}", level.settings) for factor, level in levels.items()]
        resolved = resolve([*below, Layer(f"grid {question.name}", question.settings), *layers, above])
        variants.append((label_of(levels), resolved))
    baseline = baseline_of(question)
    return sorted(variants, key=lambda variant: variant[0] != baseline)


def race_all(variants: "list[Variant]", minutes: float, file: Path | None, *, as_json: bool) -> None:
    """Race the ways to run the step of each variant, print what was found, and write it to ``file``."""
    from p2pbench.bench.race import find_fastest
    from p2pbench.bench.suite import machine_of
    from p2pbench.system.files import write_json

    found = []
    for label, resolved in variants:
        title = label or "the settings"
        say = partial(err.print, f"{title}:", markup=False, highlight=False)
        raced = find_fastest(resolved.config, seconds=60 * minutes / len(variants), say=say)
        found.append({"variant": label, "precision": resolved.config.training.precision, **raced})
        for way in raced["ways"]:
            speed = way["reason"] or f"{way['images_per_second']:.1f} images/s"
            out.print(f"{way['way']}: {speed}", soft_wrap=True, markup=False, highlight=False)
        taken = "auto takes it from now on" if raced["recorded"] else "auto stays as it is: records are of GPUs alone"
        out.print(f"{title}: the fastest is {raced['winner']}; {taken}", soft_wrap=True, markup=False, highlight=False)
    document = {"machine": machine_of(["step"], variants[0][1].config), "races": found}
    if file is not None:
        write_json(file, document)
    answer(document, as_json)
