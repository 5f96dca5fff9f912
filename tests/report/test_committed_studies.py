"""The committed studies: their records make the tables that stand beside them."""

import io
from pathlib import Path

import pandas as pd
import pytest

from p2pbench.report import tables
from p2pbench.report.board import boards, to_markdown
from p2pbench.report.records import read_study
from p2pbench.runs.store import Store

REPORTS = Path(__file__).parents[2] / "reports"
STUDIES = sorted(path.parent.name for path in REPORTS.glob("*/records"))


def test_a_study_has_the_tables_that_its_records_make() -> None:
    name = "loss@facades-128"
    study = read_study(Store(REPORTS / name / "records"), name)
    assert all(cell.state == "finished" for cell in study.cells)
    assert len(study.cells) == 25
    assert tables.to_markdown(study) == (REPORTS / name / "scores.md").read_text(encoding="utf-8")
    # At full precision numbers may differ in their last digits from one processor to another.
    committed = pd.read_csv(REPORTS / name / "scores.csv")
    made = pd.read_csv(io.StringIO(tables.wide(study).to_csv(index=False)))
    pd.testing.assert_frame_equal(made, committed, check_dtype=False, rtol=1e-6)


def test_the_leaderboard_is_that_of_all_committed_records() -> None:
    studies = [read_study(Store(REPORTS / name / "records"), name) for name in STUDIES]
    assert to_markdown(boards(studies)) == (REPORTS / "board.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", STUDIES)
def test_records_name_no_folder_of_the_machine_that_made_them(name: str) -> None:
    for path in (REPORTS / name / "records").rglob("*"):
        if path.is_file() and path.suffix in (".json", ".yaml"):
            text = path.read_text(encoding="utf-8")
            assert not any(folder in text for folder in ("/tmp", "/home", "/root", "/work")), path
