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


def test_the_marks_of_the_table_are_explained_where_there_are_any(capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(0).normal(0.5, 0.05, 30)
    for seeds, mark in ((3, "*"), (1, "†")):
        noise = np.random.default_rng(1).normal(0, 0.002, (seeds, 30))
        show_answer(study_of({"a": {"lpips": images + noise}, "b": {"lpips": images + 0.1 + noise[::-1] / 2}}))
        text = capsys.readouterr().out
        assert [line[0] for line in text.splitlines() if line[:2] in ("* ", "† ")] == [mark]
    show_answer(study_of({"a": {"lpips": images[None]}, "b": {"lpips": images[None]}}))
    assert not {"*", "†"} & set(capsys.readouterr().out)
