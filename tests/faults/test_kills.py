"""Runs and studies that are killed, a few of what ``nox -s faults`` does by the hundred."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.kills import kill_at_random, survived
from study_workplace import Workplace

from p2pbench.config.schema import RunConfig
from p2pbench.runs.folder import RunFolder

pytestmark = [
    pytest.mark.long,  # tests/study/test_ablate_stopped.py kills a study once
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, and finds workers in /proc"),
]


@pytest.mark.timeout(900)
def test_a_study_that_is_killed_five_times_ends_with_the_same_bits(workplace: Workplace) -> None:
    tally = kill_at_random(workplace, "two.yaml", kills=5, seed=8)
    assert sum(tally.kills.values()) == 5


@pytest.mark.timeout(600)
def test_a_run_that_ends_at_a_write_is_finished_by_the_next_to_the_same_bits(
    tiny: Callable[..., RunConfig], pairs_folder: Path, tmp_path: Path
) -> None:
    """In a process of its own, which has computed nothing when it forks."""
    config = tiny(data__source=str(pairs_folder), training__epochs=1, training__checkpoint_seconds=0)
    RunFolder(tmp_path / "config").write_config(config)
    assert survived(tmp_path / "config" / "config.yaml", tmp_path, 3, 400, 41) >= 3
