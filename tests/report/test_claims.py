"""Claims of papers beside what a study shows: each names a contrast that its grid declares; verdicts decide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
from program import invoke
from report_records import loss_study

from p2pbench.config.metrics import METRICS
from p2pbench.config.shipped import Claim, claims
from p2pbench.report import claims as report_claims
from p2pbench.report.claims import judged_claims, outcome_of
from p2pbench.report.comparisons import Comparison
from p2pbench.report.records import read_study
from p2pbench.runs.store import Store
from p2pbench.study.plan import build_study


def claim(
    variant: str, against: str, direction: Literal["better", "worse"] = "better", scores: tuple[str, ...] = ("l1",)
) -> Claim:
    return Claim(
        grid="loss", variant=variant, against=against, scores=scores, direction=direction, size="much", data="some",
        source="A 2020, Table 1",
    )  # fmt: skip


@pytest.mark.parametrize("one", claims(), ids=lambda one: f"{one.grid}: {one.variant}")
def test_every_claim_is_of_a_declared_contrast_and_of_scores_with_verdicts(one: Claim) -> None:
    contrasts = [set(pair) for pair in build_study(one.grid, None, {}, [0], plan=True).contrasts()]
    assert {one.variant, one.against} in contrasts
    assert one.scores
    assert all(METRICS[score].marked for score in one.scores)


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("better", "reproduced"),
        ("better by more than the margin", "reproduced"),
        ("better, by less than the margin", "reproduced, by less than the margin"),
        ("worse", "opposite"),
        ("worse by more than the margin", "opposite"),
        ("worse, by less than the margin", "opposite, by less than the margin"),
        ("equal within the margin", "equal within the margin"),
        ("cannot tell", "cannot tell"),
    ],
)
def test_a_verdict_decides_in_whichever_order_the_two_are_named(verdict: str, expected: str) -> None:
    swap = {"reproduced": "opposite", "opposite": "reproduced"}
    first, comma, rest = expected.partition(",")
    other = swap.get(first, first) + comma + rest
    compared = Comparison("b", "a", verdict)  # type: ignore[arg-type]
    assert outcome_of(compared, claim("b", "a", "better")) == expected
    assert outcome_of(compared, claim("a", "b", "worse")) == expected
    assert outcome_of(compared, claim("b", "a", "worse")) == other
    assert outcome_of(compared, claim("a", "b", "better")) == other


def test_a_report_has_the_claims_with_what_its_trainings_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variant of these records has a larger L1 than the one before it."""
    store = Store(tmp_path / "runs")
    loss_study(store, [0, 1, 2])
    made = [
        claim("l1", "l1+cgan"), claim("l1+cgan", "l1"), claim("gan", "l1+cgan", "worse"),
        claim("l1", "l1+cgan", scores=("lpips", "l1")), claim("l1", "l1+cgan", scores=("lpips",)),
        claim("l1", "l1+cgan", scores=("ssim",)), claim("l1", "gan"), claim("l1", "no such variant"),
    ]  # fmt: skip
    monkeypatch.setattr(report_claims, "claims", lambda: made)
    study = read_study(store, "loss")
    found = judged_claims(study)
    assert [(j.outcome, j.metric) for j in found] == [
        ("reproduced", "l1"), ("opposite", "l1"), ("opposite", "l1"), ("reproduced", "l1"),
        ("cannot tell", None), ("cannot tell", None), ("cannot tell", None),
    ]  # fmt: skip
    assert "no value" in found[4].reason
    assert found[5].reason == "none of its scores was asked for"
    assert found[6].reason == "the study does not compare the two"
    shown = invoke("report", "--runs", tmp_path / "runs", "--out", tmp_path / "out", "--json").stdout
    assert json.loads(shown)["studies"][0]["claims"][0] == {
        "variant": "l1", "against": "l1+cgan", "direction": "better", "size": "much", "data": "some",
        "source": "A 2020, Table 1", "outcome": "reproduced", "score": "l1", "reason": None,
    }  # fmt: skip
    for page in ("scores.md", "index.html"):
        text = (tmp_path / "out" / "loss" / page).read_text(encoding="utf-8")
        assert "l1 is better than l1+cgan" in text
        assert "A 2020, Table 1" in text


def test_two_trainings_tell_nothing_and_another_grids_claims_are_not_shown(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    loss_study(store, [0, 1])
    found = judged_claims(read_study(store, "loss"))
    assert [(j.claim.grid, j.outcome) for j in found] == [("loss", "cannot tell")] * 2
