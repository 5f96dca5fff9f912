"""The race: each in its own process, turns counted, failures told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from p2pbench.bench.machine import describe_machine, versions
from p2pbench.bench.measure import Contestant, Timing, race
from p2pbench.bench.workloads import PLAIN, bench_step, build_ours, build_plain
from p2pbench.config import RunConfig
from p2pbench.errors import P2PBenchError
from p2pbench.settings import Layer, resolve

Tiny = Callable[..., RunConfig]


def sleeper(seconds: float) -> tuple[Callable[[], None], int]:
    return lambda: time.sleep(seconds), 2


def broken() -> tuple[Callable[[], None], int]:
    raise RuntimeError("cannot be built")


def test_a_race_tells_the_slow_from_the_fast() -> None:
    seen: list[tuple[int, int]] = []
    timings = race(
        [Contestant("slow", sleeper, (0.02,)), Contestant("fast", sleeper, (0.005,))],
        rounds=4, round_seconds=0.05, progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert seen == [(n, 8) for n in range(1, 9)]
    assert [len(timing.seconds) for timing in timings.values()] == [4, 4]
    assert timings["fast"].ratio_to(timings["slow"]) > 1.5
    assert timings["slow"].images_per_second < 2 / 0.02
    assert timings["slow"].peak_memory_bytes > 2**20


def test_a_contestant_that_fails_is_named() -> None:
    with pytest.raises(P2PBenchError, match="wrong failed: RuntimeError: cannot be built"):
        race([Contestant("wrong", broken, ())], rounds=1, round_seconds=0.01)


def test_ratios_are_taken_round_by_round() -> None:
    """The machine became twice as slow half-way: the ratio does not see it."""
    ours, plain = Timing([1.0, 1.0, 2.0, 2.0], 1, 0), Timing([3.0, 3.0, 6.0, 6.0], 1, 0)
    assert ours.ratio_to(plain) == 3.0
    assert Timing([1.0], 4, 0).ratio_to(Timing([1.0], 1, 0)) == 4.0


@pytest.mark.parametrize("objective", ["l1", "gan", "l1+cgan"])
def test_both_steps_run_as_they_are_timed(objective: str, tiny: Tiny) -> None:
    config = tiny(objective__name=objective, training__batch_size=2)
    for build in (build_ours, build_plain):
        step, images = build(config)
        step()
        step()
        assert images == 2


def test_bench_step_reports_the_documented_rows() -> None:
    settings: dict[str, Any] = {
        "data.load_size": 16, "data.crop_size": 16, "generator.ngf": 4, "discriminator.name": "patch16",
        "discriminator.ndf": 4, "training.threads": 1, "training.device": "cpu",
    }  # fmt: skip
    resolved = resolve([Layer("--set", settings)])
    document = bench_step(resolved, rounds=2, round_seconds=0.01, progress=lambda done, total: None)
    assert {"processor", "versions", "threads"} <= document["machine"].keys()
    assert [(row["engine"], row["precision"]) for row in document["rows"]] == [
        ("plain", "fp32"), ("eager", "fp32"), ("eager", "bf16"),
    ]  # fmt: skip
    for row in document["rows"]:
        assert row.keys() >= {
            "workload", "name", "size", "batch_size", "precision", "engine",
            "images_per_second", "ratio_to_plain", "peak_memory_bytes",
        }  # fmt: skip
        assert row["images_per_second"] > 0
    assert document["rows"][0]["ratio_to_plain"] == 1.0
    assert PLAIN == "plain loop"


def test_the_machine_is_described_without_its_name_or_user() -> None:
    import getpass
    import platform

    text = repr(describe_machine()).split()
    assert platform.node() not in text
    assert getpass.getuser() not in text
    assert versions()["p2pbench"]
