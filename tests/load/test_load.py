"""What ``nox -s load`` does with a thousand cells and ten thousand records, with a few: nothing grows or stays."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from unittest import mock

import pandas as pd
import pytest
from load.many_records import SCORES, write_records, write_two_factors
from load.measure import Look, check_flat
from load.store_of import fill, write_grid
from program import document
from study_workplace import make_workplace
from tiny_runs import write_pairs
from trained_run import train_run

from p2pbench.report.page import write_report
from p2pbench.runs.events import Job
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.housekeeping import all_runs, read_studies
from p2pbench.runs.store import Store
from p2pbench.study.local import LocalExecutor
from p2pbench.study.plan import build_study
from p2pbench.study.study_file import write_study


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A study of 40 finished cells, the records of one run under every id."""
    run = RunFolder(train_run(tmp_path, scoring__metrics="[l1]"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # nothing here is to outlive a crash of the machine
    write_grid(tmp_path / "many.yaml", 20)
    found = Store(tmp_path / "runs")
    assert fill(found, tmp_path / "many.yaml", 2, run) == 40
    return found


def test_a_store_of_many_records_is_planned_skipped_listed_and_read(store: Store) -> None:
    study = ("ablate", "--grid", "many.yaml", "--seeds", "0,1", "--set", "scoring.metrics=[l1]")
    plan = document(*study, "--plan")
    assert {cell["state"] for cell in plan["cells"]} == {"finished"}
    before = {path: path.stat().st_mtime_ns for path in (store.root / "cells").rglob("*") if path.name != "lock"}
    found = document(*study)
    assert (found["trained"], found["skipped"], found["failed"]) == (0, 40, 0)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(all_runs(store, read_studies(store))) == 40
    assert document("runs", "verify")["problems"] == []
    # A study that is written in an older version's YAML is read, and grows by a seed all the same.
    from p2pbench.config import yaml12

    about = store.read_study("many").to_json()
    del about["cells"][0]["config"]["training"]["select"]  # a setting that it did not have
    store.study_file("many").write_text(yaml12.dump(about))
    write_study(build_study("many.yaml", None, {"scoring.metrics": ["l1"]}, [2]), store)
    assert len(store.read_study("many").cells) == 60


def test_a_report_reads_every_table_of_a_cell_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_workplace(tmp_path, write_pairs(tmp_path / "pairs", {"train": 2, "test": 2}))
    write_two_factors(tmp_path / "reported.yaml", 10)
    made = Store(tmp_path / "runs")
    assert write_records(made, tmp_path / "reported.yaml", 2, 12) == 20
    with mock.patch.object(pd, "read_csv", wraps=pd.read_csv) as read:
        report = write_report(made, "reported", tmp_path / "reports")
    files = [str(call.args[0]) for call in read.call_args_list]
    assert len(files) == len(set(files)) == 4 * 20
    assert set(report.record.metrics) == set(SCORES)
    assert {"effects.svg", "losses.svg", "curves.svg", "samples.jpg"} <= {file.name for file in report.files}


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts what is open in /proc")
def test_an_executor_leaves_no_process_and_no_open_file(store: Store) -> None:
    """Of workers that begin and end: these refuse their job, for it names another id than its configuration has."""
    study = build_study("many.yaml", None, {}, [0])
    wrong = []
    for cell, other in zip(study.cells[:5], study.cells[5:10], strict=True):
        log = store.run(str(other.run_id)).log_file
        wrong.append(Job("cell", str(other.run_id), cell.variant, cell.config, log, {"modes": ["paper"]}))

    def left() -> tuple[int, str]:
        return len(list(Path("/proc/self/fd").iterdir())), Path(f"/proc/self/task/{os.getpid()}/children").read_text()

    before = left()
    executor = LocalExecutor(store, jobs=3, weights_dir=None)
    ended = [event for event in executor.run(wrong) if event.kind == "failed"]
    assert len(ended) == 5
    assert all("changed while the study ran" in str(event.about["reason"]) for event in ended)
    deadline = time.monotonic() + 20
    while left() != before and time.monotonic() < deadline:  # the threads that listen end a moment later
        time.sleep(0.05)
    assert left() == before


def test_growth_is_seen() -> None:
    flat = [Look(n, 100_000_000 + n % 3, 20, 2) for n in range(20)]
    check_flat(flat, jobs=2)
    with pytest.raises(AssertionError, match="memory grows"):
        check_flat([Look(n, 100_000_000 + n * 10**6, 20, 2) for n in range(20)], jobs=2)
    with pytest.raises(AssertionError, match="files stay open"):
        check_flat([Look(n, 100_000_000, 20 + n, 2) for n in range(20)], jobs=2)
    with pytest.raises(AssertionError, match="left behind"):
        check_flat([Look(n, 100_000_000, 20, 4) for n in range(20)], jobs=2)
