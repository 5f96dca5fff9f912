"""The commands of ``p2pbench study``: list and show studies, add images, bring versions back, copy records."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from p2pbench.cli.options import DEFAULT_RUNS, Json, Runs, WeightsDir, answer, parameter
from p2pbench.cli.render import facts_table, plain_table, show_scores
from p2pbench.errors import ConfigError, unknown
from p2pbench.system.console import err, escape, number_of, out

study_app = typer.Typer(
    no_args_is_help=True, help="List, show and copy studies, add images to one, bring earlier versions back."
)


def _store_with(runs: Path, name: str) -> Any:
    """The store that holds the study ``name``. Raises :class:`ConfigError` where it does not."""
    from p2pbench.runs.store import Store

    store = Store(runs)
    if name not in store.studies():
        raise ConfigError(f"{unknown('study', name, store.studies())}; --runs names the folder of all studies")
    return store


@study_app.command("list")
def study_list(runs: Runs = DEFAULT_RUNS, as_json: Json = False) -> None:
    """List the studies: how many cells are finished, the seeds, and the question."""
    from p2pbench.runs.store import Store

    store = Store(runs)
    if not runs.is_dir():
        raise ConfigError(f"there is no study under {runs}; run p2pbench ablate first, or name its folder with --runs")
    rows: list[dict[str, Any]] = []
    for name in store.studies():
        try:
            rows.append(_facts(store, name, None))
        except ConfigError as error:  # the others are listed all the same
            err.print(f"[red]unreadable[/red] {escape(name)}: {escape(str(error))}", soft_wrap=True)
    answer({"studies": rows}, as_json)
    table = plain_table("study", right=("finished", "seeds", "versions"), last="question")
    for row in rows:
        table.add_row(
            escape(row["study"]), f"{row['finished']} of {row['cells']}", str(len(row["seeds"])),
            str(len(row["versions"])), escape(row["question"]),
        )  # fmt: skip
    out.print(table if rows else f"there is no study under {escape(str(runs))}")


@study_app.command("show")
def study_show(
    name: Annotated[str, parameter("study show", "name")], runs: Runs = DEFAULT_RUNS, as_json: Json = False
) -> None:
    """Show one study: its definition, its cells and how they stand, and what was changed."""
    store = _store_with(runs, name)
    record, facts = store.read_study(name), _facts(store, name, None)
    states = [_state(store, cell) for cell in record.cells]
    cells = [
        {"run_id": cell.run_id, "variant": cell.variant, "seed": cell.seed, "state": state}
        for cell, state in zip(record.cells, states, strict=True)
    ]
    changes = [change.to_json() for change in record.changes]
    about = {
        "baseline": record.baseline, "factors": record.factors, "protocol": record.protocol.get("name"),
        "primary": record.primary, "scores": record.asked, "command": record.command,
    }  # fmt: skip
    answer({**facts, **about, "changes": changes, "cells": cells}, as_json)
    out.print(f"[bold]{escape(record.question)}[/bold]")
    factors = {f"factor {factor}": ", ".join(levels) for factor, levels in record.factors.items()}
    out.print(facts_table({
        "protocol": about["protocol"], "baseline": record.baseline, **factors, "scores": ", ".join(record.asked),
        "primary": ", ".join(record.primary) or "the report's choice", "command": record.command,
        **({"versions": ", ".join(map(str, facts["versions"]))} if facts["versions"] else {}),
    }))  # fmt: skip
    for change in record.changes:
        out.print(escape(f"until {change.changed} {change.key} was {change.before or 'not given'}"), soft_wrap=True)
    table = plain_table("variant", "seed", "run", "state")
    for cell in cells:
        table.add_row(escape(cell["variant"]), str(cell["seed"]), cell["run_id"], cell["state"])
    out.print(table)
    counts = ", ".join(f"{n} {state}" for state, n in Counter(states).items())
    out.print(f"{number_of(len(cells), 'cell')}: {counts}")


@study_app.command("add")
def study_add(
    name: Annotated[str, parameter("study add", "name")],
    label: Annotated[str, parameter("study add", "--label")],
    fake: Annotated[Path, parameter("study add", "--fake")],
    seed: Annotated[int, parameter("study add", "--seed")] = 0,
    runs: Runs = DEFAULT_RUNS,
    weights_dir: WeightsDir = None,
    as_json: Json = False,
) -> None:
    """Score images that another program made of the study's test pairs, and add them as a variant."""
    from p2pbench.study.made_elsewhere import add_images

    document = add_images(_store_with(runs, name), name, label, fake, seed, weights_dir, err)
    answer(document, as_json)
    show_scores(document["scores"])
    out.print(
        f"{escape(label)}, seed {seed}: {document['n']} images, matched {document['matched']}, are in study "
        f"{escape(name)}", soft_wrap=True,
    )  # fmt: skip


@study_app.command("versions")
def study_versions(
    name: Annotated[str, parameter("study versions", "name")],
    restore: Annotated[int | None, parameter("study versions", "--restore")] = None,
    runs: Runs = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """List what a study's name stood for before ablate --replace, or bring one of these versions back."""
    store, kept = _store_with(runs, name), None
    if restore is not None:
        from p2pbench.study.study_file import restore_version

        kept = restore_version(store, name, restore)
    rows = []
    for number in store.versions(name):
        try:
            rows.append({"version": number, **_facts(store, name, number)})
        except ConfigError as error:
            err.print(f"[red]unreadable[/red] version {number}: {escape(str(error))}", soft_wrap=True)
    answer({"study": name, "restored": restore, "kept": kept, "versions": rows}, as_json)
    table = plain_table("version", right=("finished", "seeds"), last="command")
    for row in rows:
        table.add_row(
            str(row["version"]), f"{row['finished']} of {row['cells']}", str(len(row["seeds"])), escape(row["command"])
        )
    out.print(table if rows else f"study {escape(name)} has no earlier version")
    if restore is not None:
        out.print(f"version {restore} is back; what it replaced is version {kept}")


@study_app.command("export")
def study_export(
    name: Annotated[str, parameter("study export", "name")],
    folder: Annotated[Path | None, parameter("study export", "--to")] = None,
    runs: Runs = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Copy a study's records without weights and pictures; a copy that is there grows by the cells that it lacks.

    p2pbench report --runs DIR makes the same tables and figures of them, without sample pictures.
    """
    from p2pbench.study.export import export_records
    from p2pbench.system.console import bytes_text

    to = Path("reports") / name / "records" if folder is None else folder
    store = _store_with(runs, name)
    found = export_records(store, name, to)
    answer(found.to_json(), as_json)
    for run_id, why in found.left_out.items():
        err.print(escape(f"left out: run {run_id} {why}"), soft_wrap=True, highlight=False)
    out.print(
        escape(f"{name}: the records of {number_of(len(found.copied), 'run')} copied, {len(found.same)} there already; "
               f"{bytes_text(found.bytes)} in {to}"), soft_wrap=True,
    )  # fmt: skip


def _facts(store: Any, name: str, version: int | None) -> dict[str, Any]:
    """A study, or a version of it, in a few words."""
    record = store.read_study(name, version)
    states = [_state(store, cell) for cell in record.cells]
    facts = {
        "study": name, "question": record.question, "command": record.command, "cells": len(states),
        "finished": states.count("finished"), "without_run": states.count("no run"),
        "seeds": sorted({cell.seed for cell in record.cells}),
    }  # fmt: skip
    return facts | ({"versions": store.versions(name)} if version is None else {})


def _state(store: Any, cell: Any) -> str:
    """How a cell stands as its run recorded it; ``no run`` where there is none."""
    run = store.run(cell.run_id, cell.inference)
    status = run.status()
    if status is None:
        return "damaged" if run.path.is_dir() else "no run"
    return status.state if status.state != "finished" or run.scores() else "not scored"
