"""The commands of ``data``: find, fetch, check, look at and make pairs. Parse, call, render; no logic."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from p2pbench.cli.options import Json, finite
from p2pbench.system.console import by, err, escape, out

data_app = typer.Typer(no_args_is_help=True, help="Find, check and prepare pairs.")
cache_app = typer.Typer(no_args_is_help=True, help="The decoded pairs that are kept, so that training starts at once.")
data_app.add_typer(cache_app, name="cache")


@data_app.command("list")
def data_list(as_json: Json = False) -> None:
    """List the data sets that have a name: built in, of the paper, and kept on this machine."""
    from p2pbench.data.catalogue import known

    rows = known()
    if as_json:
        print(json.dumps({"sources": rows}, indent=2))
        return
    table = Table("source", "state", box=None, pad_edge=False)
    for heading in ("train", "val", "test"):
        table.add_column(heading, justify="right")
    table.add_column("about")
    for row in rows:
        counts = (str(row["pairs"].get(split, "")) for split in ("train", "val", "test"))
        table.add_row(escape(row["source"]), row["state"], *counts, escape(row["about"]))
    out.print(table)
    out.print("\nHow the paper trained on its sets (A is the left half), and their archives:")
    table = Table("source", "direction", "A", "B", box=None, pad_edge=False)
    for heading in ("size", "epochs", "batch"):
        table.add_column(heading, justify="right")
    table.add_column("jitter")
    table.add_column("MB", justify="right")
    for row in rows:
        if paper := row.get("paper"):
            table.add_row(
                row["source"], paper["direction"], *row["halves"].values(), str(row["size"][0]), str(paper["epochs"]),
                str(paper["batch_size"]), "yes" if paper["jitter"] else "no", str(row["megabytes"] or "by hand"),
            )  # fmt: skip
    out.print(table)
    for row in rows:
        if row["state"] == "unusable":
            err.print(f"[yellow]unusable:[/yellow] {escape(row['reason'])}", soft_wrap=True)
    out.print("\nGet one: p2pbench data fetch NAME. Terms and citations: data list --json.")
    out.print("Or a folder: --set data.source=FOLDER, with train/ and test/ of side-by-side")
    out.print("images, or of same-named images in A/ and B/.")


@data_app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="A data set of the paper, as data list shows them.")],
    archive: Annotated[
        Path | None,
        typer.Option("--from", help="An archive that is here already; for cityscapes the folder of your own download."),
    ] = None,
    url: Annotated[str | None, typer.Option("--url", help="Instead of the authors' address.")] = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Where to keep it, instead of the cache.")] = None,
    as_json: Json = False,
) -> None:
    """Download a data set of the paper; verify, unpack and count it."""
    from p2pbench.curation.fetch.fetch import describe_fetched, fetch

    fetched = fetch(name, archive=archive, url=url, data_dir=data_dir, console=err)
    for warning in fetched.warnings:
        err.print(f"[yellow]warning:[/yellow] {escape(warning)}", soft_wrap=True)
    if as_json:
        print(json.dumps(fetched.to_json(), indent=2))
    else:
        for line in describe_fetched(fetched, named=data_dir is None):
            out.print(escape(line), soft_wrap=True)


@data_app.command("prepare")
def data_prepare(
    source: Annotated[str, typer.Argument(help="A folder of images; its sub-folders are searched too.")],
    folder: Annotated[Path, typer.Option("--out", help="The folder to make; absent or empty.")],
    condition: Annotated[
        str | None,
        typer.Option(
            "--condition", help="Made from each photo: gray (unless given), edges, hed, blur, mask, downscale."
        ),
    ] = None,
    sigma: Annotated[
        float | None, typer.Option("--sigma", callback=finite, help="Of edges: smoothing in pixels, 1.5.")
    ] = None,
    hed_weights: Annotated[
        Path | None,
        typer.Option("--hed-weights", help="Of hed: its network's file, network-bsds500.pytorch.", metavar="FILE"),
    ] = None,
    radius: Annotated[float | None, typer.Option("--radius", callback=finite, help="Of blur: in pixels, 4.")] = None,
    hole: Annotated[str | None, typer.Option("--hole", help="Of mask: box (unless given) or strokes.")] = None,
    fill: Annotated[str | None, typer.Option("--fill", help="Of mask: the hole's colour, gray.")] = None,
    factor: Annotated[int | None, typer.Option("--factor", help="Of downscale: how much, 4.")] = None,
    mates: Annotated[
        str | None,
        typer.Option("--with", help="Instead: combine SOURCE, the folder of A, with this one of B.", metavar="DIR_B"),
    ] = None,
    halves: Annotated[
        bool, typer.Option("--halves", help="Instead: split side-by-side images into the folders A and B.")
    ] = False,
    size: Annotated[
        str | None, typer.Option("--size", help="Of each half: 256, or 256x512 (HxW); as they are unless given.")
    ] = None,
    fit: Annotated[str | None, typer.Option("--fit", help="To that size: crop (unless given) or stretch.")] = None,
    labels: Annotated[
        str | None, typer.Option("--labels", help="The half with labels, a or b: resized without new colours.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", help="Shares, 0.8,0.1,0.1, drawn by name and seed: a new image moves no other."),
    ] = None,
    split_file: Annotated[
        Path | None, typer.Option("--split-file", help="A CSV with the columns name,split instead.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the splits and the holes.")] = 0,
    image_format: Annotated[str, typer.Option("--format", help="png, or jpg.")] = "png",
    quality: Annotated[int | None, typer.Option("--quality", help="Of jpg: 1 to 100, 95.")] = None,
    as_json: Json = False,
) -> None:
    """Make pairs to train on: from photos, from two folders, or from side-by-side images.

    SOURCE's own train, val and test folders are kept.
    """
    from p2pbench.curation.prepare.prepare import prepare_pairs
    from p2pbench.curation.prepare.recipe import build_recipe
    from p2pbench.system.progress import counted

    recipe = build_recipe(
        condition=condition,
        parameters={
            "sigma": sigma, "hed_weights": hed_weights, "radius": radius, "hole": hole, "fill": fill, "factor": factor,
        },
        combine=mates is not None, halves=halves, size=size, fit=fit, labels=labels, split=split,
        split_file=split_file, seed=seed, image_format=image_format, quality=quality,
    )  # fmt: skip
    with counted(err, "preparing", "images") as progress:
        document = prepare_pairs(source, folder, recipe, mates, progress)
    if as_json:
        print(json.dumps(document, indent=2))
        return
    counts = ", ".join(f"{n} {split}" for split, n in document["splits"].items())
    out.print(escape(f"{folder}: {document['state']}, {counts}"), soft_wrap=True)
    if document["ignored"]:
        out.print(escape("ignored: " + ", ".join(f"{n} {kind}" for kind, n in document["ignored"].items())))
    # A bare name could be a built-in's.
    place = str(folder) if len(folder.parts) > 1 else f"./{folder}"
    out.print(escape(f"next: p2pbench train --set data.source={shlex.quote(place)}"), soft_wrap=True)


@data_app.command("explore")
def data_explore(
    source: Annotated[str, typer.Argument(help="photos, a kept data set's name, or a folder of pairs.")],
    folder: Annotated[Path, typer.Option("--out", help="Where the page, its tables and figures go.")],
    as_json: Json = False,
) -> None:
    """Look through a data set: its sizes, colours, labels, edges, and whether its test split drifts."""
    from p2pbench.curation.explore.explore import explore
    from p2pbench.curation.explore.page import about, check_folder, striking, to_json, write_exploration
    from p2pbench.curation.explore.source import open_source
    from p2pbench.system.progress import counted

    pairs = open_source(source)
    check_folder(pairs, folder)
    with counted(err, "exploring", "pairs read") as progress:
        exploration = explore(pairs, progress)
    files = write_exploration(exploration, folder)
    if as_json:
        print(json.dumps(to_json(exploration, files), indent=2, allow_nan=False))
        return
    out.print(escape(" ".join(about(exploration))) + "\n")
    for sentence in striking(exploration):
        out.print(escape(f"- {sentence}"))
    out.print(escape(f"\n{files[0]}"), soft_wrap=True)
    out.print(f"and {len(files) - 1} tables and figures beside it")


@data_app.command("check")
def data_check(
    source: Annotated[str, typer.Argument(help="photos, a data set kept on this machine, or a folder of pairs.")],
    as_json: Json = False,
) -> None:
    """Find what is wrong with a data set: broken files, missing mates, duplicates, leakage, shifted pairs."""
    from p2pbench.curation.check.check import check
    from p2pbench.system.progress import counted

    with counted(err, "checking", "pairs") as progress:
        document = check(source, progress)
    if as_json:
        print(json.dumps(document, indent=2))
    else:
        _show_problems(document)
    if document["errors"]:
        raise typer.Exit(3)


def _show_problems(document: dict[str, Any]) -> None:
    from itertools import groupby

    from p2pbench.curation.check.problems import KINDS

    counts = ", ".join(f"{split} {n}" for split, n in document["splits"].items())
    out.print(escape(f"{document['source']}: {counts or 'no'} pairs"), soft_wrap=True)
    for name, found in groupby(document["problems"], key=lambda problem: problem["kind"]):
        kind, problems = KINDS[name], list(found)
        colour = "red" if kind.severity == "error" else "yellow"
        out.print(f"\n[{colour}]{kind.severity}[/{colour}] [bold]{name}[/bold]: {len(problems)}, {kind.about}")
        for problem in problems[:10]:
            out.print(escape(f"  {problem['file']}  {problem['detail']}"), soft_wrap=True)
        if len(problems) > 10:
            out.print(f"  and {len(problems) - 10} more, all named with --json")
        out.print(f"  -> {kind.remedy}", style="dim")
    out.print(f"\n{document['errors']} errors, {document['warnings']} warnings")
    if document["cached"]:
        out.print("No file has changed since the last check: this is its answer, from the cache.", style="dim")


@cache_app.command("list")
def cache_list(as_json: Json = False) -> None:
    """List the decoded arrays, the one used last first."""
    from p2pbench.data.cache import cached_arrays, folder
    from p2pbench.system.console import bytes_text

    arrays = cached_arrays()
    total = sum(kept.bytes for kept in arrays)
    if as_json:
        document = {"folder": str(folder()), "bytes": total, "arrays": [kept.to_json() for kept in arrays]}
        print(json.dumps(document, indent=2))
        return
    if arrays:
        out.print(_arrays_table(arrays))
    out.print(escape(f"{len(arrays)} arrays, {bytes_text(total)}: {folder()}"), soft_wrap=True)


@cache_app.command("clear")
def cache_clear(
    source: Annotated[str | None, typer.Option("--source", help="Those of this data set alone.")] = None,
    older: Annotated[
        float | None,
        typer.Option("--older", callback=finite, min=0, help="Those not used for so many days.", metavar="DAYS"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Remove decoded arrays that no process uses, and what killed builds left. They are made again when needed."""
    from p2pbench.data.cache import clear
    from p2pbench.system.console import bytes_text

    cleared = clear(source, older)
    freed = sum(kept.bytes for kept in cleared.removed) + cleared.leftovers_bytes
    if as_json:
        document = {
            "removed": [kept.to_json() for kept in cleared.removed],
            "in_use": [kept.to_json() for kept in cleared.in_use],
            "bytes": freed,
        }
        print(json.dumps(document, indent=2))
        return
    if cleared.in_use:
        out.print("left, for a process uses them:")
        out.print(_arrays_table(cleared.in_use))
    out.print(f"{len(cleared.removed)} arrays removed, {bytes_text(freed)} freed")


def _arrays_table(arrays: Sequence[Any]) -> Table:
    from p2pbench.system.console import bytes_text

    table = Table("source", "split", box=None, pad_edge=False)
    for heading in ("pairs", "size", "disk", "last use"):
        table.add_column(heading, justify="right", no_wrap=True)
    for kept in arrays:
        row = kept.to_json()
        table.add_row(
            escape(row["source"] or "unknown"), row["split"] or "-", str(row["pairs"] or "-"), by(row["size"]) or "-",
            bytes_text(row["bytes"]), row["last_use"][:16].replace("T", " "),
        )  # fmt: skip
    return table
