"""The commands of ``p2pbench data``: find, fetch, check, explore and prepare pairs."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from p2pbench.cli.options import Json, Source, answer, parameter
from p2pbench.cli.render import arrays_table, show_data_sets, show_problems
from p2pbench.system.console import err, escape, number_of, out

data_app = typer.Typer(no_args_is_help=True, help="Find, fetch, check, explore and prepare pairs.")
cache_app = typer.Typer(no_args_is_help=True, help="The decoded pairs in the cache: list them, remove them.")
data_app.add_typer(cache_app, name="cache")


@data_app.command("list")
def data_list(as_json: Json = False) -> None:
    """List the data sets that have a name: built in, of the paper, or kept on this machine."""
    from p2pbench.data.catalogue import known

    rows = known()
    answer({"sources": rows}, as_json)
    show_data_sets(rows)


@data_app.command("fetch")
def data_fetch(
    name: Annotated[str, parameter("data fetch", "name")],
    archive: Annotated[Path | None, parameter("data fetch", "--from")] = None,
    url: Annotated[str | None, parameter("data fetch", "--url")] = None,
    data_dir: Annotated[Path | None, parameter("data fetch", "--data-dir")] = None,
    as_json: Json = False,
) -> None:
    """Download a data set of the paper; verify, unpack and count it."""
    from p2pbench.curation.fetch.fetch import describe_fetched, fetch

    fetched = fetch(name, archive=archive, url=url, data_dir=data_dir, console=err)
    for warning in fetched.warnings:
        err.print(f"[yellow]warning:[/yellow] {escape(warning)}", soft_wrap=True)
    answer(fetched.to_json(), as_json)
    for line in describe_fetched(fetched, named=data_dir is None):
        out.print(escape(line), soft_wrap=True)


@data_app.command("prepare")
def data_prepare(
    source: Annotated[str, parameter("data prepare", "source")],
    folder: Annotated[Path, parameter("data prepare", "--out")],
    condition: Annotated[str | None, parameter("data prepare", "--condition")] = None,
    sigma: Annotated[float | None, parameter("data prepare", "--sigma")] = None,
    hed_weights: Annotated[Path | None, parameter("data prepare", "--hed-weights")] = None,
    radius: Annotated[float | None, parameter("data prepare", "--radius")] = None,
    hole: Annotated[str | None, parameter("data prepare", "--hole")] = None,
    fill: Annotated[str | None, parameter("data prepare", "--fill")] = None,
    factor: Annotated[int | None, parameter("data prepare", "--factor")] = None,
    mates: Annotated[str | None, parameter("data prepare", "--with")] = None,
    names: Annotated[str | None, parameter("data prepare", "--names")] = None,
    halves: Annotated[bool, parameter("data prepare", "--halves")] = False,
    size: Annotated[str | None, parameter("data prepare", "--size")] = None,
    fit: Annotated[str | None, parameter("data prepare", "--fit")] = None,
    labels: Annotated[str | None, parameter("data prepare", "--labels")] = None,
    split: Annotated[str | None, parameter("data prepare", "--split")] = None,
    split_file: Annotated[Path | None, parameter("data prepare", "--split-file")] = None,
    seed: Annotated[int, parameter("data prepare", "--seed")] = 0,
    sets: Annotated[list[str] | None, parameter("data prepare", "--set")] = None,
    image_format: Annotated[str, parameter("data prepare", "--format")] = "png",
    quality: Annotated[int | None, parameter("data prepare", "--quality")] = None,
    as_json: Json = False,
) -> None:
    """Make pairs to train on: from photos, from two folders, or from side-by-side images.

    SOURCE's own train, val and test folders are kept. Where it has folders of two sides (trainA and trainB, A and B, or
    input and target), their images are combined. Images are read as training reads them (--set data.range,
    data.background), and keep 16 bits.
    """
    from p2pbench.config.resolve import parse_set
    from p2pbench.curation.prepare.prepare import prepare_pairs
    from p2pbench.curation.prepare.recipe import build_recipe
    from p2pbench.curation.prepare.sources import folder_of, sides_of
    from p2pbench.system.progress import counted

    recipe = build_recipe(
        condition=condition,
        parameters={
            "sigma": sigma, "hed_weights": hed_weights, "radius": radius, "hole": hole, "fill": fill, "factor": factor,
        },
        combine=mates is not None or names is not None or (not halves and bool(sides_of(folder_of(source)))),
        halves=halves, size=size, fit=fit, names=names, labels=labels, split=split,
        split_file=split_file, seed=seed, image_format=image_format, quality=quality, settings=parse_set(sets or []),
    )  # fmt: skip

    def caution(said: str) -> None:
        err.print(f"[yellow]caution:[/yellow] {escape(said)}", soft_wrap=True, highlight=False)

    with counted(err, "preparing", "images") as progress:
        document = prepare_pairs(source, folder, recipe, mates, progress, caution)
    answer(document, as_json)
    counts = ", ".join(f"{n} {split}" for split, n in document["splits"].items())
    out.print(escape(f"{folder}: {document['state']}, {counts}"), soft_wrap=True)
    if document["ignored"]:
        out.print(escape("ignored: " + ", ".join(f"{n} {kind}" for kind, n in document["ignored"].items())))
    # A bare name could be a built-in's.
    place = str(folder) if len(folder.parts) > 1 else f"./{folder}"
    out.print(escape(f"next: p2pbench train --set data.source={shlex.quote(place)}"), soft_wrap=True)


@data_app.command("explore")
def data_explore(
    source: Source,
    folder: Annotated[Path, parameter("data explore", "--out")],
    direction: Annotated[str | None, parameter("data explore", "--direction")] = None,
    as_json: Json = False,
) -> None:
    """Describe a data set: its sizes, colours, labels, edges, and whether its test split differs from the rest."""
    from p2pbench.curation.explore.explore import explore
    from p2pbench.curation.explore.page import about, check_folder, striking, to_json, write_exploration
    from p2pbench.curation.explore.source import open_source
    from p2pbench.study.prepare import say_left_out
    from p2pbench.system.progress import counted

    pairs = open_source(source, direction)
    say_left_out(pairs.dataset, err)
    check_folder(pairs, folder)
    with counted(err, "exploring", "pairs read") as progress:
        exploration = explore(pairs, progress)
    files = write_exploration(exploration, folder)
    answer(to_json(exploration, files), as_json)
    out.print(escape(" ".join(about(exploration))))
    out.print(escape(f"{pairs.reads}\n"), soft_wrap=True)
    for sentence in striking(exploration):
        out.print(escape(f"- {sentence}"))
    out.print(escape(f"\n{files[0]}"), soft_wrap=True)
    out.print(f"and {len(files) - 1} tables and figures beside it")


@data_app.command("check")
def data_check(source: Source, as_json: Json = False) -> None:
    """Find what is wrong with a data set: broken files, missing mates, duplicates, leakage, shifted pairs."""
    from p2pbench.curation.check.check import check
    from p2pbench.system.progress import counted

    with counted(err, "checking", "pairs") as progress:
        document = check(source, progress)
    answer(document, as_json)
    show_problems(document)
    if document["errors"]:
        raise typer.Exit(3)


@cache_app.command("list")
def cache_list(as_json: Json = False) -> None:
    """List the decoded arrays, the one used last first."""
    from p2pbench.data.cache import cached_arrays, folder
    from p2pbench.system.console import bytes_text

    arrays = cached_arrays()
    total = sum(array["bytes"] for array in arrays)
    answer({"folder": str(folder()), "bytes": total, "arrays": arrays}, as_json)
    if arrays:
        out.print(arrays_table(arrays))
    out.print(escape(f"{number_of(len(arrays), 'array')}, {bytes_text(total)}: {folder()}"), soft_wrap=True)


@cache_app.command("clear")
def cache_clear(
    source: Annotated[str | None, parameter("data cache clear", "--source")] = None,
    older: Annotated[float | None, parameter("data cache clear", "--older")] = None,
    as_json: Json = False,
) -> None:
    """Remove decoded arrays, and what killed processes left. They are made again when needed."""
    from p2pbench.data.cache import clear
    from p2pbench.system.console import bytes_text

    removed, leftovers = clear(source, older)
    freed = sum(array["bytes"] for array in removed) + leftovers
    answer({"removed": removed, "bytes": freed}, as_json)
    out.print(f"{number_of(len(removed), 'array')} removed, {bytes_text(freed)} freed")
