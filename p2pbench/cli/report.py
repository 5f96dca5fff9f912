"""``p2pbench report``: tables, figures and a page for each study."""

from pathlib import Path
from typing import Annotated

import typer

from p2pbench.cli.options import DEFAULT_RUNS, Json, Runs, answer, parameter
from p2pbench.cli.render import show_answer
from p2pbench.errors import ConfigError, unknown
from p2pbench.system.console import err, escape, out


def report(
    study: Annotated[list[str] | None, parameter("report", "--study")] = None,
    runs: Runs = DEFAULT_RUNS,
    folder: Annotated[Path, parameter("report", "--out")] = Path("reports"),
    overwrite: Annotated[bool, parameter("report", "--overwrite")] = False,
    paper: Annotated[bool, parameter("report", "--paper")] = False,
    metrics: Annotated[str | None, parameter("report", "--metrics")] = None,
    variants: Annotated[str | None, parameter("report", "--variants")] = None,
    images: Annotated[str | None, parameter("report", "--images")] = None,
    references: Annotated[bool, parameter("report", "--references/--no-references")] = True,
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

    from p2pbench.report import verdict
    from p2pbench.report.chosen import choose
    from p2pbench.report.claims import judged_claims
    from p2pbench.report.index import write_index
    from p2pbench.report.page import write_report
    from p2pbench.report.primary import primary_metric
    from p2pbench.report.records import StudyRecord

    def of(record: StudyRecord) -> StudyRecord:
        return choose(record, metrics, variants, images, references=references)

    reports, unreadable, chosen = [], [], study or names
    for name in chosen:
        try:
            reports.append(write_report(store, name, folder, overwrite=overwrite, paper=paper, show=of))
        except ConfigError as error:  # the other studies are reported all the same
            unreadable.append((name, error))
            err.print(f"[red]skipped[/red] {escape(name)}: {escape(str(error))}", soft_wrap=True)
    index = None
    if len(chosen) > 1:
        index = write_index(reports, [(name, str(error)) for name, error in unreadable], folder)
    document = [
        {
            "study": r.study, "out": str(r.folder), "primary": primary_metric(r.record),
            "answer": verdict.answer(r.record), "verdicts": verdict.verdicts_json(r.record) if as_json else [],
            "claims": [judged.to_json() for judged in judged_claims(r.record)] if as_json else [],
            "finished": r.n_finished, "cells": r.n_cells, "files": [str(file) for file in r.files],
        }
        for r in reports
    ]  # fmt: skip
    answer({"studies": document, "index": str(index) if index else None}, as_json)
    for r in reports:
        out.print(f"[bold]{escape(r.study)}[/bold]: {r.n_finished} of {r.n_cells} cells", soft_wrap=True)
        if not as_json:
            show_answer(r.record)
        out.print(escape(f"{r.files[0]}\n"), soft_wrap=True)
    if index:
        out.print(escape(f"all: {index}"), soft_wrap=True)
    if unreadable:
        raise typer.Exit(unreadable[0][1].exit_code)
