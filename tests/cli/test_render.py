"""What commands print of a study at their end."""

import re

import numpy as np
import pytest
from report_records import study_of

from p2pbench.cli.render import MOST_ROWS, show_answer


def test_the_answer_ends_with_a_small_table_of_the_leading_variants(capsys: pytest.CaptureFixture[str]) -> None:
    many = {f"v{k:02d}": {"lpips": np.full((3, 4), 0.5 - k / 100)} for k in range(MOST_ROWS + 3)}
    show_answer(study_of(many))
    text = capsys.readouterr().out
    assert re.findall(r"^(v\d\d) +0\.", text, re.MULTILINE) == ["v00", *list(many)[-(MOST_ROWS - 1) :]]
    assert "and 3 more variants in the report" in text


def test_a_variant_whose_trainings_failed_has_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    show_answer(study_of({"a": {"lpips": np.full((3, 4), 0.3)}, "b": {}}, failed={"b": [0, 1, 2]}))
    text = capsys.readouterr().out
    assert "no result" in next(line for line in text.splitlines() if line.startswith("b "))
    assert "more variants" not in text
