"""How many seeds fit into a budget, from past runs or from steps that are timed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from p2pbench.config.run_id import cost_key
from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError
from p2pbench.runs.store import Store
from p2pbench.study.budget import PROBE_SECONDS, seeds_within
from p2pbench.study.plan import Study, build_study

SLOW, FAST = 0.5, 0.1
"""Seconds a step of l1+cgan and of l1."""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "tiny.yaml").write_text("data: {source: photos, condition: gray}\ntraining: {epochs: 1}\n")
    (tmp_path / "two.yaml").write_text(
        "protocol: tiny.yaml\nbaseline: {objective: l1}\nfactors: {objective: [l1, l1+cgan]}\n"
    )
    return build_study(str(tmp_path / "two.yaml"), str(tmp_path / "tiny.yaml"), {}, range(6))


@pytest.fixture
def timed() -> list[tuple[str, float]]:
    return []


@pytest.fixture
def probe(timed: list[tuple[str, float]]) -> Callable[[RunConfig, float], float]:
    def probe(config: RunConfig, seconds: float) -> float:
        timed.append((config.objective.name, seconds))
        return SLOW if config.objective.name == "l1+cgan" else FAST

    return probe


def test_whole_blocks_that_fit_are_chosen(study: Study, tmp_path: Path, probe: Any, timed: Any) -> None:
    store = Store(tmp_path / "runs")
    steps = study.cells[0].steps
    assert steps is not None
    block = steps * (SLOW + FAST)
    chosen, seconds = seeds_within(3.5 * block / 3600, study, store, 1, probe)
    assert chosen == [0, 1, 2]
    assert seconds == pytest.approx(3 * block)
    assert timed == [("l1", PROBE_SECONDS / 2), ("l1+cgan", PROBE_SECONDS / 2)]  # each kind of step once
    assert seeds_within(1e3, study, store, 1, probe)[0] == list(range(6))


def test_what_is_trained_costs_nothing_and_its_record_tells_the_time(study: Study, tmp_path: Path, probe: Any) -> None:
    store = Store(tmp_path / "runs")
    steps = study.cells[0].steps
    assert steps is not None
    for cell in study.cells_of(0):
        run = store.run(str(cell.run_id))
        run.path.mkdir(parents=True)
        run.generator_file.touch()
        training = {
            "steps": steps, "seconds": 1.0, "seconds_per_step": 2 * SLOW, "peak_memory_bytes": 1,
            "cost_key": cost_key(cell.config),
        }  # fmt: skip
        run.set_status("finished", training=training)
    chosen, seconds = seeds_within(2 * steps * 2 * SLOW / 3600, study, store, 1, probe)
    assert chosen == [0, 1]
    assert seconds == pytest.approx(2 * steps * 2 * SLOW)


def test_a_budget_of_less_than_a_block_is_refused(study: Study, tmp_path: Path, probe: Any) -> None:
    with pytest.raises(ConfigError, match=r"--budget 0.001: one seed of all 2 variants takes about"):
        seeds_within(0.001, study, Store(tmp_path / "runs"), 1, probe)
