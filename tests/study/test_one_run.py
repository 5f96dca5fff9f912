"""Variants that come to one run: named so, and counted once, from the plan to the tests of the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from program import document, invoke
from report_records import study_of
from study_workplace import Workplace

from p2pbench.report.comparisons import comparisons
from p2pbench.study.plan import build_study
from p2pbench.study.runner import Outcome, Result

GRID = """
protocol: tiny.yaml
baseline: {objective: l1+cgan, discriminator: patch16}
factors:
  objective: [l1, l1+cgan]
  discriminator: [pixel, patch16]
"""


def test_they_are_named_in_the_plan_and_trained_and_counted_once(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace.folder)
    Path("joint.yaml").write_text(GRID)
    planned = document("ablate", "--grid", "joint.yaml", "--plan")
    assert [cell["same_as"] for cell in planned["cells"]] == [None, "l1, pixel", None, None]
    assert (planned["skipped"], planned["shared"]) == (0, 1)
    text = " ".join(invoke("ablate", "--grid", "joint.yaml", "--plan").stdout.split())
    assert "l1, patch16 = l1, pixel" in text
    assert build_study("joint.yaml", None, {}, None).contrasts() == [
        ("l1, pixel", "l1+cgan, patch16"), ("l1+cgan, pixel", "l1+cgan, patch16"),
    ]  # fmt: skip
    study = build_study("joint.yaml", None, {}, None)
    states = ["trained", "trained", "skipped", "failed"]
    outcomes = [Outcome(cell, state) for cell, state in zip(study.cells, states, strict=True)]
    found = Result(study, outcomes, interrupted=False, rows_state="kept", rows_reason=None).to_json()
    assert [found[key] for key in ("trained", "skipped", "failed", "shared")] == [1, 1, 1, 1]


def test_a_comparison_of_the_same_trainings_is_one_test() -> None:
    random = np.random.default_rng(0)
    values = {name: random.normal(level, 0.01, (4, 30)) for name, level in (("base", 0.5), ("a", 0.49), ("b", 0.5))}
    plain = study_of({name: {"l1": matrix} for name, matrix in values.items()})
    doubled = study_of(
        {name: {"l1": values[name[:4]]} for name in ("base", "a", "b")} | {"again": {"l1": values["a"]}},
        runs={"again": "a"},
    )
    before = {c.variant: (c.verdict, c.p) for c in comparisons(plain, "l1")}
    after = {c.variant: (c.verdict, c.p) for c in comparisons(doubled, "l1")}
    assert after == {**before, "again": before["a"]}
