"""What ``ablate --plan`` says, before anything is trained and after."""

from __future__ import annotations

import re

import pytest
from program import document, invoke
from study_workplace import Workplace

from p2pbench.config.schema import RunConfig

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
    assert "shows   unknown (no spread of the primary score is known on such data)" in text
    assert "\nobjective.discriminator_loss  sum" in text
    assert "…" not in text


def test_a_plan_within_a_budget_has_the_time_of_the_steps_that_were_timed_for_it(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace.folder)
    timed: list[str] = []

    def seconds_per_step(config: RunConfig, _seconds: float) -> float:
        timed.append(config.objective.name)
        return 90.0 if config.objective.has_discriminator else 60.0

    monkeypatch.setattr("p2pbench.bench.jobs.seconds_per_step", seconds_per_step)
    done = invoke("ablate", "--grid", "two.yaml", "--jobs", "2", "--seeds", "0,1,2", "--plan", "--budget", "0.7")
    (told,) = re.findall(r"--budget 0.7: 2 seeds fit, about (\S+ min)", done.stderr)
    planned = " ".join(done.stdout.partition("\ntime")[2].split())
    assert planned.startswith(f"{told}, 2 cells at once, by steps timed just now and without scoring memory unknown")
    assert timed == ["l1", "l1+cgan"]  # each once


def test_a_plan_knows_the_time_from_what_was_trained(with_two: Workplace) -> None:
    longer = document("ablate", *GRID, "--plan", "--set", "training.epochs=4", "--budget", "0.5")
    assert longer["estimate"]["seconds"] > 0
    assert len(longer["cells"]) == 2 * 20  # as many seeds as a budget ever plans
    short = invoke("ablate", *GRID, "--set", "training.epochs=9000", "--budget", "0.001", code=2)
    assert "--budget 0.001: one seed of all 2 variants takes about" in short.stderr
    assert longer["estimate"]["memory_bytes"] > 0
