"""``p2pbench board``: the variants of all studies under one protocol, as far as the tests tell them apart."""

from pathlib import Path
from typing import Annotated

import typer

from p2pbench.cli.options import Json, answer, parameter
from p2pbench.errors import ConfigError
from p2pbench.system.console import err, escape, out


def board(
    runs: Annotated[list[Path] | None, parameter("board", "--runs")] = None,
    folder: Annotated[Path, parameter("board", "--out")] = Path("reports"),
    as_json: Json = False,
) -> None:
    """Rank the variants of several studies, protocol by protocol, with the places that the tests leave open."""
    from p2pbench.report.board import boards, to_json, write_boards
    from p2pbench.report.records import read_study
    from p2pbench.runs.store import Store

    stores = [Store(path) for path in runs or sorted(path for path in folder.glob("*/records") if path.is_dir())]
    names = [(store, name) for store in stores for name in store.studies()]
    if not names:
        where = ", ".join(map(str, runs)) if runs else f"{folder}/STUDY/records"
        raise ConfigError(
            f"there is no study in {where}; name the folder of your runs with --runs, or first copy a study's records "
            f"with p2pbench study export STUDY --to {folder}/STUDY/records"
        )
    studies, unreadable = [], 0
    for store, name in names:
        try:
            studies.append(read_study(store, name))
        except ConfigError as error:  # the others are ranked all the same
            unreadable = error.exit_code
            err.print(f"[red]skipped[/red] {escape(name)}: {escape(str(error))}", soft_wrap=True)
    found = boards(studies)
    if not found:
        raise ConfigError("no study has a finished cell; p2pbench ablate finishes them")
    files = write_boards(found, folder)
    answer({"boards": to_json(found), "files": list(map(str, files))}, as_json)
    for each in found:
        out.print(f"[bold]{escape(each.title)}[/bold]: {escape(each.sentence())}")
    out.print(escape(str(files[-1])), soft_wrap=True)
    if unreadable:
        raise typer.Exit(unreadable)
