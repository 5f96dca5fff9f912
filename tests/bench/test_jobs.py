"""``--jobs auto``: more at once as long as it pays and fits."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from p2pbench.bench import jobs
from p2pbench.bench.clock import Contestant
from p2pbench.bench.jobs import choose_jobs
from p2pbench.cli.app import app
from p2pbench.config.schema import RunConfig
from p2pbench.errors import P2PBenchError

Tiny = Callable[..., RunConfig]


def measured(monkeypatch: pytest.MonkeyPatch, speeds: dict[int, float], each: int = 2**20, cores: int = 8) -> list[int]:
    """Have ``crowd`` find these speeds; returns the threads that each process was given, as they are asked for."""
    threads: list[int] = []

    def crowd(contestants: Sequence[Contestant], *, seconds: float) -> tuple[float, int]:
        threads.append(contestants[0].arguments[0].training.threads)
        if len(contestants) not in speeds:
            raise P2PBenchError("step ended without an answer; perhaps out of memory")
        return speeds[len(contestants)], each

    monkeypatch.setattr(jobs, "crowd", crowd)
    monkeypatch.setattr(jobs, "available_cores", lambda: cores)
    monkeypatch.setattr(jobs, "memory_bytes", lambda _: 10 * 2**20)
    return threads


@pytest.mark.parametrize(
    ("speeds", "each", "n_cells", "expected", "why"),
    [
        ({1: 1.0, 2: 1.8, 4: 1.9}, 1, 9, 2, "gain nothing (1: 1 steps/s, 2: 1.8 steps/s, 4: 1.9 steps/s)"),
        ({1: 1.0, 2: 1.8, 4: 3.0, 8: 4.0}, 1, 9, 8, "one for each core"),
        ({1: 1.0, 2: 1.8, 3: 2.5}, 1, 3, 3, "no more cells"),
        ({1: 1.0, 2: 1.8, 4: 3.0}, 3 * 2**20, 9, 2, "would not fit into 80% of the memory"),
        ({1: 1.0}, 1, 9, 1, "2 at once failed: step ended"),
    ],
)
def test_it_stops_where_more_does_not_pay_or_fit(
    speeds: dict[int, float],
    each: int,
    n_cells: int,
    expected: int,
    why: str,
    tiny: Tiny,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = measured(monkeypatch, speeds, each)
    said: list[str] = []
    config = tiny(training__threads=0, training__device="cpu")
    choice = choose_jobs([config] * n_cells, say=said.append)
    assert (choice.jobs, why in choice.why) == (expected, True), choice
    assert threads == [8 // jobs for jobs in (1, 2, 3 if n_cells == 3 else 4, 8)][: len(threads)]
    assert said[0] == "measuring 1 at once"


def test_on_several_gpus_the_first_is_measured_with_contexts_and_pairs(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    mib = 2**20
    config = tiny(training__threads=0)
    monkeypatch.setattr(jobs, "available_device", lambda _: "cuda")
    monkeypatch.setattr(jobs, "visible_gpus", lambda: ["0", "1"])
    monkeypatch.setattr(jobs, "open_dataset", lambda _: None)
    monkeypatch.setattr(jobs, "decoded", lambda *_: SimpleNamespace(nbytes=100 * mib))
    for total, best, why in ((16_000, 8, "no more cells"), (4025, 8, "fit"), (3975, 4, "fit")):
        threads = measured(monkeypatch, {1: 1.0, 2: 2.0, 4: 4.0}, each=100 * mib, cores=16)
        monkeypatch.setattr(jobs, "memory_bytes", lambda _, total=total: total * mib)
        choice = choose_jobs([config] * 8, say=lambda _: None)
        # Four take 3200 MiB: each 600 of context, 100 of pairs, and the 100 measured.
        assert choice.jobs == best, choice
        assert choice.why.startswith(f"{best // 2} on each GPU: ")
        assert why in choice.why
        assert threads == [8, 4, 2][: len(threads)]
    assert choose_jobs([config] * 2, say=print).jobs == 2  # a GPU for each: nothing is measured


def test_one_cell_is_not_measured(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(monkeypatch, {}) == []
    assert choose_jobs([tiny(training__device="cpu")], say=print).why == "there is one cell"


def test_processes_are_measured_together_for_real(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "available_cores", lambda: 2)
    choice = choose_jobs([tiny(training__device="cpu", objective__name="l1")] * 2, seconds=0.1, say=lambda _: None)
    assert choice.jobs in (1, 2)
    assert "1: " in choice.why and "2: " in choice.why


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5"])
def test_jobs_are_a_number_or_auto(text: str) -> None:
    result = CliRunner().invoke(app, ["ablate", "--grid", "loss", "--jobs", text, "--plan"])
    assert result.exit_code == 2
    assert f"--jobs is '{text}': give a whole number from 1, or auto" in result.stderr.replace("\n", " ")


def test_a_plan_counts_auto_as_one_at_a_time() -> None:
    """Nothing is measured for it."""
    result = CliRunner().invoke(app, ["ablate", "--grid", "loss", "--jobs", "auto", "--plan", "--json"])
    assert result.exit_code == 0, result.output
    alone = CliRunner().invoke(app, ["ablate", "--grid", "loss", "--plan", "--json"])
    assert json.loads(result.stdout) == json.loads(alone.stdout)
    assert json.loads(result.stdout)["estimate"]["at_once"] == 1
