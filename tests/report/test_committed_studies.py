"""The committed studies: their records make the tables that stand beside them. To write these anew, on purpose:
``P2PBENCH_WRITE_GOLDEN=1 pytest tests/report/test_committed_studies.py``; a change of words needs it.
"""

import io
import os
from pathlib import Path

import pandas as pd
import pytest

from p2pbench.report import tables
from p2pbench.report.board import boards, write_boards
from p2pbench.report.latex import to_latex
from p2pbench.report.records import StudyRecord, read_study
from p2pbench.runs.housekeeping import verify
from p2pbench.runs.store import Store

REPORTS = Path(__file__).parents[2] / "reports"
STUDIES = sorted(path.parent.name for path in REPORTS.glob("*/records"))


def study_of_records(name: str) -> StudyRecord:
    return read_study(Store(REPORTS / name / "records"), name)


def committed(file: Path, made: str) -> str:
    if os.environ.get("P2PBENCH_WRITE_GOLDEN"):
        file.write_text(made, encoding="utf-8")
    return file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_has_the_tables_that_its_records_make(name: str) -> None:
    study = study_of_records(name)
    made = tables.to_markdown(study), to_latex(study)
    for file, text in zip(("scores.md", "scores.tex"), made, strict=True):
        assert text == committed(REPORTS / name / file, text)
    # At full precision numbers may differ in their last digits from one processor to another.
    wide = tables.wide(study).to_csv(index=False)
    before = committed(REPORTS / name / "scores.csv", wide)
    now, then = (pd.read_csv(io.StringIO(text)) for text in (wide, before))
    pd.testing.assert_frame_equal(now, then, check_dtype=False, rtol=1e-6)


def test_the_objectives_were_trained_with_five_seeds_each() -> None:
    study = study_of_records("loss@facades-128")
    assert {variant: len(study.of(variant)) for variant in study.variants} == dict.fromkeys(study.variants, 5)


def test_the_leaderboard_is_that_of_all_committed_records(tmp_path: Path) -> None:
    found = boards(map(study_of_records, STUDIES))
    for file in write_boards(found, tmp_path):
        made = file.read_text(encoding="utf-8")
        assert made == committed(REPORTS / file.name, made)


@pytest.mark.parametrize("name", STUDIES)
def test_records_are_what_was_exported_and_need_no_weights(name: str) -> None:
    assert [problem for run in Store(REPORTS / name / "records").runs() for problem in verify(run)] == []


def test_reports_and_records_take_less_than_12_mb() -> None:
    folders = [REPORTS / name for name in (*STUDIES, "benchmarks", "calibration")]  # not the reports made here since
    files = [*REPORTS.glob("*.*"), *(path for folder in folders for path in folder.rglob("*"))]
    assert sum(path.stat().st_size for path in files if path.is_file()) < 12_000_000


@pytest.mark.parametrize("name", STUDIES)
def test_records_name_no_folder_of_the_machine_that_made_them(name: str) -> None:
    for path in (REPORTS / name / "records").rglob("*"):
        if path.is_file() and path.suffix in (".json", ".yaml"):
            text = path.read_text(encoding="utf-8")
            assert not any(folder in text for folder in ("/tmp", "/home", "/root", "/work")), path
