"""The commands of ``p2pbench runs``: list, show, prune and verify runs."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from p2pbench.cli.options import DEFAULT_RUNS, Json, Runs, answer, parameter
from p2pbench.cli.render import plain_table
from p2pbench.errors import ConfigError, unknown
from p2pbench.system.console import err, escape, number_of, out

runs_app = typer.Typer(no_args_is_help=True, help="List, show, prune and verify runs.")

COLOURS = {
    "finished": "green", "failed": "red", "damaged": "red", "unreadable": "red", "interrupted": "yellow",
    "running": "cyan",
}  # fmt: skip


def _store(runs: Path) -> Any:
    from p2pbench.runs.store import Store

    if not (runs / "cells").is_dir():
        raise ConfigError(
            f"there are no runs under {runs}; run p2pbench ablate first, or name their folder with --runs"
        )
    return Store(runs)


@runs_app.command("list")
def runs_list(
    state: Annotated[str | None, parameter("runs list", "--state")] = None,
    runs: Runs = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """List the runs, the one that changed last first: state, size, study, and why one did not finish."""
    from p2pbench.runs.housekeeping import all_runs, read_studies
    from p2pbench.system.console import bytes_text

    if state is not None and state not in COLOURS:
        raise ConfigError(unknown("state", state, COLOURS))
    store = _store(runs)
    studies = read_studies(store)
    found = [facts for facts in all_runs(store, studies) if state in (None, facts.state)]
    for why in studies.unread:
        err.print(f"[yellow]the runs of this study are not known:[/yellow] {escape(why)}", soft_wrap=True)
    total = sum(facts.bytes for facts in found)
    answer({"runs": [facts.to_json() for facts in found], "bytes": total}, as_json)
    table = plain_table("run", "state", "last change", right=("size",), last="study: variant")
    for facts in found:
        part_of = ", ".join(facts.part_of) or "in no study"
        table.add_row(
            facts.run_id, _coloured(facts.state), facts.to_json()["changed"][:16].replace("T", " "),
            bytes_text(facts.bytes), escape(part_of),
        )  # fmt: skip
    if found:
        out.print(table)
    for facts in found:
        if facts.reason:
            out.print(f"{facts.run_id} {_coloured(facts.state)}: {escape(facts.reason)}", soft_wrap=True)
    out.print(f"{number_of(len(found), 'run')}, {bytes_text(total)}")


def _coloured(state: str) -> str:
    return f"[{COLOURS.get(state, 'default')}]{state}[/]"


@runs_app.command("show")
def runs_show(
    run: Annotated[str, parameter("runs show", "run")], runs: Runs = DEFAULT_RUNS, as_json: Json = False
) -> None:
    """Show one run: state, settings, training, scores, files, and the end of its log."""
    from p2pbench.runs.housekeeping import look_at, read_studies
    from p2pbench.runs.store import Store
    from p2pbench.system.console import bytes_text, duration

    store = Store(runs)
    folder = store.find_run(run)
    facts = look_at(folder, read_studies(store))
    status, scores = facts.status, folder.scores()
    record = {"status": status.to_json() if status else {}, "scores": {n: s.to_json() for n, s in scores.items()}}
    answer({**facts.to_json(), **record}, as_json)
    out.print(f"[bold]{facts.run_id}[/bold] {_coloured(facts.state)}, {bytes_text(facts.bytes)}: {folder.path}",
              soft_wrap=True)  # fmt: skip
    if facts.reason:
        out.print(f"reason   {escape(facts.reason)}", soft_wrap=True)
    for name in facts.part_of:
        out.print(f"study    {escape(name)}", soft_wrap=True)
    with suppress(ConfigError):
        for key, value in _unusual(folder.config()).items():
            out.print(f"setting  {key} {escape(value)}", soft_wrap=True, highlight=False)
    if status and (training := status.training):
        out.print(
            f"training {training.steps:,} steps in {duration(training.seconds)}, "
            f"peak {bytes_text(training.peak_memory_bytes)}"
        )
    if status and (machine := status.machine):
        device = machine.get("gpu") or machine.get("processor")
        out.print(f"machine  {escape(str(device))}, {status.threads} threads, "
                  f"torch {(status.versions or {}).get('torch')}", soft_wrap=True)  # fmt: skip
    for name, score in scores.items():
        value = "not measured" if score.value is None else f"{score.value:.4g} (n = {score.n})"
        out.print(f"score    {escape(name)} {value}")
    for path in sorted(path for path in folder.path.rglob("*") if path.is_file()):
        out.print(f"file     {escape(path.relative_to(folder.path).as_posix())}", style="dim", soft_wrap=True)
    with suppress(OSError):
        for line in folder.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]:
            out.print(f"log      {escape(line)}", style="dim", soft_wrap=True)


def _unusual(config: Any) -> dict[str, str]:
    """The settings of a run that are not defaults, by dotted key, as a person writes them."""
    from p2pbench.config.resolve import flatten
    from p2pbench.config.yaml12 import text_of

    usual, own = (flatten(one.model_dump(mode="json"), "a run") for one in (type(config)(), config))
    return {key: text_of(value) for key, value in own.items() if value != usual.get(key)}


@runs_app.command("prune")
def runs_prune(
    failed: Annotated[bool, parameter("runs prune", "--failed")] = False,
    unused: Annotated[bool, parameter("runs prune", "--unused")] = False,
    version: Annotated[list[str] | None, parameter("runs prune", "--version")] = None,
    older: Annotated[float | None, parameter("runs prune", "--older")] = None,
    yes: Annotated[bool, parameter("runs prune", "--yes")] = False,
    runs: Runs = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Remove leftovers of killed processes and checkpoints of finished runs; if asked, whole runs.

    A run that a process is working on is left alone.
    """
    from p2pbench.runs.housekeeping import all_runs, find_waste, read_studies, remove
    from p2pbench.system.console import bytes_text

    store = _store(runs)
    studies = read_studies(store)
    if (unused or version) and studies.unread:
        option = "--unused" if unused else "--version"
        raise ConfigError(f"{option}: which runs are in no study is not known: {'; '.join(studies.unread)}")
    versions = [_version(text, store) for text in version or []]
    waste = find_waste(all_runs(store, studies), failed=failed, unused=unused, older_days=older, versions=versions)
    gone = [item for item in waste if not yes or remove(item)]
    total = sum(item.bytes for item in gone)
    answer({"removed": yes, "found": [item.to_json() for item in gone], "bytes": total}, as_json)
    for item in gone:
        out.print(escape(f"{bytes_text(item.bytes):>8}  {item.path}  ({item.why})"), soft_wrap=True)
    if yes or not gone:
        out.print(f"{len(gone)} removed, {bytes_text(total)} freed")
    else:
        out.print(f"{len(gone)} would go, {bytes_text(total)}; add --yes to remove them")


def _version(text: str, store: Any) -> str:
    """An earlier version of a study, as in ``loss:1``, in the words of ``RunFacts.part_of``."""
    from p2pbench.runs.housekeeping import in_version

    study, _, number = text.rpartition(":")
    if not number.isdecimal() or int(number) not in store.versions(study):
        raise ConfigError(
            f"--version is {text!r}: give a study and the number of an earlier version of it, as in loss:1; "
            "p2pbench study versions NAME lists them"
        )
    return in_version(study, int(number))


@runs_app.command("verify")
def runs_verify(
    run: Annotated[list[str] | None, parameter("runs verify", "run")] = None,
    runs: Runs = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Hash weights and records again and compare them with what each run recorded; exit code 3 if one differs."""
    from p2pbench.runs.housekeeping import read_studies, verify
    from p2pbench.runs.store import Store
    from p2pbench.system.progress import counted

    store = Store(runs) if run else _store(runs)
    folders = [store.find_run(name) for name in run] if run else store.runs()
    unread = [] if run else read_studies(store).unread
    problems = []
    with counted(err, "verifying", "runs") as progress:
        for done, folder in enumerate(folders, 1):
            problems += list(verify(folder))
            progress(done, len(folders))
    bad = len({problem.run_id for problem in problems})
    counts = {"runs": len(folders), "whole": len(folders) - bad}
    answer({**counts, "problems": [problem._asdict() for problem in problems], "studies": unread}, as_json)
    for problem in problems:
        out.print(escape(f"{problem.run_id}/{problem.file}: {problem.detail}"), soft_wrap=True)
    for why in unread:
        out.print(escape(why), soft_wrap=True)
    out.print(f"{len(folders)} run{'' if len(folders) == 1 else 's'}, {len(folders) - bad} of them whole")
    if problems or unread:
        raise typer.Exit(3)
