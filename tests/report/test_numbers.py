"""Numbers as reports print them: decimals by the uncertainty, one precision a score, a real minus, no negative zero."""

from __future__ import annotations

import numpy as np
import pytest
from report_records import study_of

from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import Summary, cell_text, digits_of, sd_text, summarise
from p2pbench.report.tables import printed
from p2pbench.system.console import number


def summary(value: float, sd: float | None) -> Summary:
    return Summary(value, None, None, None, sd, 2, 5, None)


def study() -> StudyRecord:
    """SSIM of two seeds, the same to four decimals in one variant; some of it is below zero."""
    rng = np.random.default_rng(0)
    images = rng.normal(0, 0.1, 30)
    return study_of({
        "base": {"ssim": 0.3 + images + rng.normal(0, 0.01, (2, 30))},
        "same seeds": {"ssim": np.stack([images, images + 1e-6]) - images.mean()},
        "below": {"ssim": -0.25 + images + rng.normal(0, 0.05, (2, 30))},
    })  # fmt: skip


def test_a_column_has_one_precision() -> None:
    made = study()
    digits = digits_of(made, "ssim")
    assert digits == 3  # intervals of about 0.07
    cells = printed(made)["SSIM ↑"].str.replace("*", "")
    for text in cells:
        numbers = [part.strip("[],±<†") for part in text.replace("± <", "").split() if any(c.isdigit() for c in part)]
        assert {len(part.partition(".")[2]) for part in numbers} == {3}, text


def test_minus_is_a_minus_and_zero_has_none() -> None:
    made = study()
    digits = digits_of(made, "ssim")
    assert cell_text(summarise(made, "below", "ssim"), digits).startswith("−0.2")
    same = cell_text(summarise(made, "same seeds", "ssim"), digits)
    assert same.startswith("0.000 [−0.0")
    assert same.endswith("± <0.001")
    assert "-" not in same
    assert [number(v, 2) for v in (-0.001, 0.0, -0.5, 7.0)] == ["0.00", "0.00", "−0.50", "7.00"]


@pytest.mark.parametrize(("sd", "text"), [(0.0126, "± 0.013"), (0.0004, "± <0.001"), (0.0, "± 0"), (None, "")])
def test_a_spread_that_rounds_to_nothing_is_not_nothing(sd: float | None, text: str) -> None:
    assert sd_text(summary(0.3, sd), 3) == text


def test_digits_without_any_uncertainty_are_three() -> None:
    made = study_of({"a": {"fid": np.array([[101.234]])}, "b": {"fid": np.array([[7.1]])}})
    assert digits_of(made, "fid") == 0
    assert digits_of(study_of({"a": {"l1": np.array([[0.01234]])}}), "l1") == 4
