"""What a plan says of a study's time, and shards of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from program import document, invoke
from study_workplace import Workplace

from p2pbench.study.estimate import makespan


def test_list_scheduling_by_hand() -> None:
    assert makespan([3, 1, 1, 1], 2) == 3
    assert makespan([1, 1, 1, 3], 2) == 4  # in their order: the long one begins last
    assert makespan([5, 4, 3], 1) == 12
    assert makespan([], 4) == 0


@given(tasks=st.lists(st.floats(0, 100), max_size=12), workers=st.integers(1, 5))
def test_a_makespan_is_between_what_no_order_can_beat_and_grahams_bound(tasks: list[float], workers: int) -> None:
    least = max([sum(tasks) / workers, *tasks])
    found = makespan(tasks, workers)
    assert least <= found + 1e-9
    assert found <= (2 - 1 / workers) * least + 1e-9


def test_shards_share_the_cells_out_and_a_plan_adds_up_their_records(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace.folder)
    found = document("ablate", "--grid", "two.yaml", "--shard", "1/2")
    assert [cell["state"] for cell in found["cells"]] == ["trained", "not run"]
    assert found["cells"][1]["reason"] == "not of shard 1/2"
    text = invoke("ablate", "--grid", "two.yaml", "--shard", "1/2").stdout
    assert "1 finished before and skipped, 0 failed, 1 of other shards" in text
    found = document("ablate", "--grid", "two.yaml", "--shard", "2/2")
    assert [cell["state"] for cell in found["cells"]] == ["skipped", "trained"]

    seconds = []
    for cell in found["cells"]:
        status = json.loads((workplace.folder / "runs" / "cells" / cell["run_id"] / "status.json").read_text())
        assert status["seconds_beside_training"] > 0
        seconds.append(12 * status["training"]["seconds_per_step"] + status["seconds_beside_training"])
    plan = ("--plan", "--seeds", "1,2", "--gpus")
    for gpus, workers in (("1", 1), ("2", 2), ("9", 4)):
        estimate = document("ablate", "--grid", "two.yaml", *plan, gpus)["estimate"]
        assert estimate["at_once"] == workers
        in_order = seconds * 2  # in blocks, all variants of a seed before the next
        assert estimate["seconds"] == pytest.approx(makespan(in_order, workers))
    shared = document("ablate", "--grid", "two.yaml", *plan, "1", "--gpus-per-cell", "0.5")["estimate"]
    assert shared["at_once"] == 2
    text = invoke("ablate", "--grid", "two.yaml", *plan, "2").stdout
    assert ", 2 cells at once" in text
