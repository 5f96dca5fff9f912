"""The scores of images in folders, whatever made them: what ``score --fake --target`` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console

from p2pbench.config.metrics import FCN_SCORES, METRICS, checked_metrics
from p2pbench.config.resolve import Layer, resolve
from p2pbench.config.schema import RunConfig
from p2pbench.data.dataset import wanted_by_role
from p2pbench.data.images import Wanted
from p2pbench.data.outputs import is_of_port, outputs_in, targets_in
from p2pbench.data.pairs import left_out
from p2pbench.errors import ConfigError, DataError
from p2pbench.scoring.images import of_files, scored
from p2pbench.system.console import by, escape
from p2pbench.system.progress import Count, stages

if TYPE_CHECKING:
    from p2pbench.scoring.evaluate import Scores
    from p2pbench.scoring.images import Images
    from p2pbench.scoring.segmentation import ClassReader, NoReader

LABELS = {
    "data.source": "the data set that they are of",
    "scoring.palette": "the colours of its label maps",
}
KINDS = {
    "data.range": "the values that become black and white",
    "data.background": "what lies behind transparency",
    "data.channels": "how many they have",
}
"""The settings that images in folders have: of their label maps, and of the kind of file that they are."""

Shape = tuple[int, int, int]
"""Height, width and channels."""


class Found(NamedTuple):
    """The images of both folders, in one order where they are pairs, and their shapes."""

    names: list[str]
    """Those of the outputs."""
    fakes: list[Path]
    targets: list[Path]


def score_folders(
    fake: Path,
    target: Path,
    metrics: Sequence[str] | None,
    weights_dir: Path | None,
    settings: Mapping[str, Any],
    console: Console,
) -> Scores:
    """The scores of images that are matched by name, each pair at its own size.

    Where the pairs differ in size, scores of the whole set are not measured.

    Args:
        settings: of ``LABELS`` and ``KINDS``; with one of ``LABELS``, FCN-scores are among the scores.
    Raises:
        ConfigError: another setting.
        DataError: a name without its mate, an output of another size than its target, an image that cannot be read.
    """
    from p2pbench.scoring.evaluate import evaluate
    from p2pbench.scoring.sizes import OfSize, evaluate_sizes

    config = _config(settings)
    asked = list(checked_metrics(metrics, "--metrics")) if metrics else _default_metrics(weights_dir, settings)
    wanted = wanted_by_role(config.data)[1]
    found = _matched(fake, target)
    _say_left_out(fake, target, console)
    by_shape = _by_shape(found, wanted)
    parts = [
        OfSize(rows, *(of_files([files[row] for row in rows], shape, wanted) for files in (found.fakes, found.targets)))
        for shape, rows in by_shape.items()
    ]
    with stages(console) as stage:
        learned, scoring = stage("segmentation network", "steps"), stage("scoring", "images")
        classes = _find_reader([part.targets for part in parts], found.names, config, settings, asked, learned)
        how: dict[str, Any] = {"weights_dir": weights_dir, "classes": classes, "progress": scoring}
        if len(parts) > 1:
            return evaluate_sizes(parts, found.names, asked, settings=_recorded(settings), **how)
        (part,) = parts
        return evaluate(
            part.fakes, part.targets, found.names, asked, settings=_recorded(settings, next(iter(by_shape))), **how
        )


def score_unpaired(
    fake: Path,
    target: Path,
    metrics: Sequence[str] | None,
    weights_dir: Path | None,
    settings: Mapping[str, Any],
    console: Console,
) -> Scores:
    """The scores of a set of images against another set, of any names and numbers, but of one size.

    Raises:
        ConfigError: a setting that is not one of ``KINDS``.
        DataError: images that differ in size, or that cannot be read.
    """
    from p2pbench.scoring.unpaired import OF_SETS, evaluate_unpaired

    for key in settings.keys() & LABELS.keys():
        raise ConfigError(f"--set {key}: images that are no pairs have no FCN-scores; leave it, or --unpaired, out")
    config = _config(settings)
    asked = checked_metrics(metrics, "--metrics") if metrics else _default_metrics(weights_dir, settings, OF_SETS)
    wanted = wanted_by_role(config.data)[1]
    _check_apart(fake, target)
    sides = [list(of(folder).values()) for of, folder in ((outputs_in, fake), (targets_in, target))]
    _say_left_out(fake, target, console)
    shapes = [_shapes(files, wanted) for files in sides]
    first = shapes[0][0]
    for files, of_files_ in zip(sides, shapes, strict=True):
        for path, shape in zip(files, of_files_, strict=True):
            if shape != first:
                raise DataError(
                    f"{path} is {by(shape[1::-1])} where {sides[0][0]} is {by(first[1::-1])}: sets are compared of one "
                    "size; resize them first, or score pairs, which are matched by name"
                )
    fakes, targets = (of_files(files, first, wanted) for files in sides)
    with stages(console) as stage:
        return evaluate_unpaired(
            fakes, targets, asked, weights_dir=weights_dir, settings=_recorded(settings, first),
            progress=stage("scoring", "scores"),
        )  # fmt: skip


# ---- settings


def _config(settings: Mapping[str, Any]) -> RunConfig:
    known = LABELS | KINDS
    for key in settings.keys() - known.keys():
        said = ", ".join(f"{name} ({about})" for name, about in known.items())
        raise ConfigError(f"--set {key}: images in folders have no settings but {said}")
    return resolve([Layer("--set", settings)]).config


def _recorded(settings: Mapping[str, Any], shape: Shape | None = None) -> dict[str, Any]:
    """What is recorded with every score: the size, where there is one, and how files were read."""
    size = {} if shape is None else {"size": list(shape[:2])}
    return {**size, **{key.removeprefix("data."): value for key, value in settings.items() if key in KINDS}}


def _default_metrics(
    weights_dir: Path | None, settings: Mapping[str, Any], among: Sequence[str] = tuple(METRICS)
) -> list[str]:
    """The scores ``among`` those that need no model, and no pretrained network but those on this machine.

    LPIPS and FID, which everybody expects, are always among them: their networks are fetched, or the reason is given.
    """
    from p2pbench.scoring.weights import usable

    left_out = {"diversity", *(() if settings.keys() & LABELS.keys() else FCN_SCORES)}
    nets = {name: METRICS[name].net for name in among if name not in left_out}
    return [name for name, net in nets.items() if net in (None, "alex", "inception") or usable(net, weights_dir)]


def _find_reader(
    targets: Sequence[Images], names: Sequence[str], config: RunConfig, settings: Mapping[str, Any],
    asked: Sequence[str], learned: Count,
) -> ClassReader | NoReader:  # fmt: skip
    """What reads classes from the images, of each size those in ``targets``, where an FCN-score is asked for."""
    from p2pbench.scoring.evaluate import NO_LABELS
    from p2pbench.scoring.segmentation import NoReader, find_reader_of_images

    if not set(FCN_SCORES) & set(asked):
        return NO_LABELS
    from p2pbench.training.engine import prepare_engine

    source = config.data.source if "data.source" in settings else None
    if source is not None and len(targets) > 1:
        return NoReader("needs images of one size, that of the label maps of data.source", config.scoring.palette)
    device = prepare_engine(config.training).device
    return find_reader_of_images(targets[0], names, source, config.scoring.palette, device, learned)


# ---- images


def _check_apart(fake: Path, target: Path) -> None:
    if fake.resolve() == target.resolve() and not is_of_port(fake):
        raise DataError(f"--fake and --target are both {fake}: images against themselves say nothing")


def _say_left_out(fake: Path, target: Path, console: Console) -> None:
    """Warn of images in sub-folders, and of files that are no images, but for the record that ``translate`` leaves."""
    for folder in dict.fromkeys((fake, target)):
        counts = {what: n for what, n in left_out(folder, [folder]).items() if not what.startswith(".json ")}
        if counts:
            words = ", ".join(f"{n} {what}" for what, n in counts.items())
            console.print(f"[yellow]warning:[/yellow] {escape(f'{folder}: left out are {words}')}", soft_wrap=True)


def _matched(fake: Path, target: Path) -> Found:
    """The images that both folders have under one name, sorted by it.

    Either may be a results folder of the port, which holds both.

    Raises:
        DataError: a folder without images, or against itself, or a name that only one of them has.
    """
    _check_apart(fake, target)
    fakes, targets = outputs_in(fake), targets_in(target)
    lonely = sorted(fakes.keys() ^ targets.keys())
    if lonely:
        lacks = target if lonely[0] in fakes else fake
        many = "1 name is" if len(lonely) == 1 else f"{len(lonely)} names are"
        raise DataError(
            f"{many} in one folder only, the first {lonely[0]!r}, which {lacks} lacks; images are matched by name; "
            "--unpaired scores sets that are no pairs"
        )
    names = sorted(fakes)
    return Found(names, [fakes[name] for name in names], [targets[name] for name in names])


def _by_shape(found: Found, wanted: Wanted) -> dict[Shape, list[int]]:
    """The positions of the pairs of each shape.

    Raises:
        DataError: an output has another size than its target, or an image cannot be read.
    """
    rows: dict[Shape, list[int]] = {}
    shapes = [_shapes(files, wanted) for files in (found.fakes, found.targets)]
    for row, (ours, theirs) in enumerate(zip(*shapes, strict=True)):
        if ours != theirs:
            raise DataError(
                f"{found.fakes[row]} is {by(ours[1::-1])} where its target is {by(theirs[1::-1])}: an output is "
                "compared with a target of its own size; resize one of them first"
            )
        rows.setdefault(ours, []).append(row)
    return rows


def _shapes(files: Sequence[Path], wanted: Wanted) -> list[Shape]:
    """The shape of each image. Each is decoded: what cannot be read shows now, not after an hour of scoring."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda path: scored(path, wanted).shape, files))
