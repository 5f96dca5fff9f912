"""What ``ablate --plan`` says, before anything is trained and after."""

from __future__ import annotations

import pytest
from program import document, invoke
from study_workplace import Workplace

GRID = ("--grid", "two.yaml", "--jobs", "2")


def test_a_plan_runs_nothing(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace.folder)
    plan = document("ablate", *GRID, "--plan")
    assert [cell["state"] for cell in plan["cells"]] == ["to run", "to run"]
    assert plan["estimate"]["seconds"] is None
    assert plan["estimate"]["disk_bytes"] > 0
    assert not (workplace.folder / "runs").exists()
    text = invoke("ablate", *GRID, "--plan", "--set", "training.batch_size=2").stdout
    for word in ("l1+cgan", "protocol tiny", "--set", "preset paper", "unknown"):
        assert word in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "shows   unknown (no study of such data has several seeds of the primary score)" in text
    assert "\nobjective.discriminator_loss  sum" in text
    assert "…" not in text


def test_a_plan_knows_the_time_from_what_was_trained(with_two: Workplace) -> None:
    longer = document("ablate", *GRID, "--plan", "--set", "training.epochs=4", "--budget", "0.5")
    assert longer["estimate"]["seconds"] > 0
    assert len(longer["cells"]) == 2 * 20  # as many seeds as a budget ever plans
    short = invoke("ablate", *GRID, "--set", "training.epochs=9000", "--budget", "0.001", code=2)
    assert "--budget 0.001: one seed of all 2 variants takes about" in short.stderr
    assert longer["estimate"]["memory_bytes"] > 0
