"""The model card of an exported generator: Markdown that says what it was trained on, how good it is, what it is for
(Mitchell et al. 2019, Model Cards for Model Reporting)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from p2pbench.config.metrics import METRICS
from p2pbench.config.plugins import is_reference
from p2pbench.config.schema import RunConfig, size_text
from p2pbench.data.catalogue import PAPER_SETS
from p2pbench.data.facades import drawn
from p2pbench.errors import DataError
from p2pbench.inference.generator import Model
from p2pbench.system.console import duration, value_and_interval

WAYS = {
    "paper": "dropout on, each image normalised by its own statistics, as the paper tests",
    "instance-stats": "no dropout, each image normalised by its own statistics, as this file does",
    "eval": "no dropout, normalised by running statistics",
}


@dataclass(frozen=True)
class Background:
    """What is known of the run that a model came from; nothing of weights alone."""

    run_id: str | None = None
    steps: int | None = None
    """Steps of the training, and the seconds that they took."""
    seconds: float | None = None
    scores: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    """For each inference mode that was scored the scores by name, in the documented JSON."""


def model_card(model: Model, background: Background, exported: Mapping[str, Any]) -> str:
    """The card of ``model``; ``exported`` is what :meth:`p2pbench.inference.export.Exported.to_json` gives."""
    config = model.config
    channels = " to ".join(str(count) for count in config.data.channels)
    sections = {
        f"{config.generator.name}, {config.objective.name}": _about(background),
        "Data": _data(config),
        "Training": _training(model, background),
        "Scores": _scores(model, background),
        "The file": [
            f"- ONNX, opset {exported['opset']}; SHA-256 `{exported['sha256']}`.",
            f"- `condition` (N, {config.data.channels[0]}, H, W) to `image` (N, {config.data.channels[1]}, H, W), "
            f"float32 in [-1, 1] ({channels} channels). N is free; {_sizes(config, exported)}",
            f"- Inference mode `instance-stats`: {WAYS['instance-stats']}. One condition has one output.",
            f"- Checked with onnxruntime against torch on {exported['images']} test images at "
            f"{' and '.join(f'{h}x{w}' for h, w in exported['sizes'])}: they differ by "
            f"{exported['max_difference']:.1e} at most, of a range of 2.",
            *_colours(config),
        ],
        "Intended use": [
            "Research on paired image-to-image translation, comparison of variants, demonstrations. Make conditions as "
            "those of the training data were made: of the same kind, drawn the same way, at a similar scale."
        ],
        "Limits": [
            "- Outputs are made up: details are what was likely in the training data, not what was there. They are no "
            "evidence of anything.",
            "- Conditions unlike those of training, and sizes far from the trained one, give poor outputs without a "
            "warning.",
            "- Whatever the training data over- or under-represent, the model does too; nobody has measured it here.",
            "- The scores are of one test split, and of this one training.",
        ],
    }
    return "\n\n".join(
        f"{'#' if number == 0 else '##'} {title}\n\n" + "\n".join(lines)
        for number, (title, lines) in enumerate(sections.items())
    ) + "\n"  # fmt: skip


def _about(background: Background) -> list[str]:
    identity = background.run_id
    origin = f"run `{identity}` of p2pbench" if identity else "weights of the PyTorch port, not trained by p2pbench"
    return [f"An image-to-image translation network as in pix2pix (Isola et al. 2017): {origin}."]


def _data(config: RunConfig) -> list[str]:
    data, name = config.data, _source_name(config.data.source)
    lines = [f"- Source: `{name}`, {data.direction}, {size_text(data.crop_size)} pixels."]
    if data.source in PAPER_SETS:
        lines += _known_set(data.source, data.direction)
    elif data.source == "photos":
        lines.append("- Cut from the photographs that come with scikit-image; their terms are in its documentation.")
    elif _is_drawn(data.source):
        lines.append("- Drawn by p2pbench from rules: no photograph, nobody's rights. MIT licence.")
    else:
        lines.append(
            "- A folder of its user's own: its licence and terms are not known here. Add them before passing on."
        )
        if name in PAPER_SETS:
            lines += [
                "- It has the name of a known set. If it is that one:",
                *_known_set(name, data.direction),
            ]
    return lines


def _known_set(name: str, direction: str) -> list[str]:
    entry = PAPER_SETS[name]
    first, second = entry.halves if direction == "AtoB" else reversed(entry.halves)
    return [
        f"- {entry.about.capitalize()}: {first} to {second}. {entry.citation}.",
        f"- Terms of the images: {entry.terms}. Whether they bind a model too is for its user to judge.",
    ]


def _source_name(source: str) -> str:
    """The source without the path of whoever trained on it."""
    return source if _is_drawn(source) else source.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _is_drawn(source: str) -> bool:
    try:
        return drawn.parse(source) is not None
    except DataError:
        return False


def _training(model: Model, background: Background) -> list[str]:
    config = model.config
    generator = config.generator
    name = "the user's own" if is_reference(generator.name) else generator.name
    lines = [
        f"- Generator {name}, {generator.ngf} channels after the first convolution, {generator.norm} norm; objective "
        f"{config.objective.name}"
        + (f", lambda {config.objective.lambda_l1:g}" if config.objective.has_l1 else "")
        + (f"; discriminator {config.discriminator.name}" if config.objective.has_discriminator else "")
        + "."
    ]
    if model.folder is None:
        return [*lines, "- How it was trained is not known here."]
    t = config.training
    lines.append(
        f"- {t.epochs} epochs at batch {t.batch_size}, Adam, learning rate {t.learning_rate:g}, {t.schedule}; preset "
        f"{t.preset}; {t.precision}; seed {t.seed}."
    )
    if background.steps is not None and background.seconds is not None:
        lines.append(f"- {background.steps:,} steps in {duration(background.seconds)}.")
    return lines


def _scores(model: Model, background: Background) -> list[str]:
    """A table of the scores in the exported inference mode, else in the one that was scored."""
    if model.folder is None:
        return ["Not measured: p2pbench score --model does it, with settings that name the data."]
    modes = [mode for mode in ("instance-stats", model.config.scoring.inference) if mode in background.scores]
    if not modes:
        return ["Not measured: training has not been scored."]
    mode = modes[0]
    lines = [
        f"Test split, inference mode `{mode}`: {WAYS[mode]}."
        + ("" if mode == "instance-stats" else " **Not the mode of this file**, whose outputs differ a little."),
        "",
        "| score | value | 95 % interval over images | n |",
        "| --- | --- | --- | --- |",
    ]
    for name, found in background.scores[mode].items():
        label = METRICS[name].heading if name in METRICS else name
        if found["value"] is None:
            lines.append(f"| {label} | not measured | | {found['n']} |")
            continue
        value, interval = value_and_interval(found["value"], found["low"], found["high"])
        lines.append(f"| {label} | {value} | {interval} | {found['n']} |")
    return lines


def _sizes(config: RunConfig, exported: Mapping[str, Any]) -> str:
    multiple = exported["size_multiple"]
    trained = size_text(config.data.crop_size)
    if multiple:
        return f"H and W are any multiples of {multiple}: repeat the border up to them and cut it off again."
    return f"H and W are those of training, {trained}."


def _colours(config: RunConfig) -> list[str]:
    if config.data.colours == "rgb":
        return ["- 8 bits v become v / 127.5 - 1; an output y becomes round((y + 1) * 127.5), clipped to 0..255."]
    return ["- CIE L*a*b*: the condition is L / 50 - 1, the output a / 110 and b / 110."]
