"""The race for the fastest way to run a step: what is tried, what wins, and that ``auto`` takes it on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from program import invoke

from p2pbench.bench import clock, race
from p2pbench.bench import step as bench_step
from p2pbench.bench.race import find_fastest, ways_for
from p2pbench.bench.step import build_ours
from p2pbench.config.schema import RunConfig
from p2pbench.errors import P2PBenchError
from p2pbench.training.engine import Eager, engine_for
from p2pbench.training.winner import Way, key_of, recorded_way

Tiny = Callable[..., RunConfig]
BEST = Way("graph", channels_last=False, search=True)


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("bench.race", "training.engine"):
        monkeypatch.setattr(f"p2pbench.{module}.available_device", lambda _: "cuda")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H100")


def quiet(_: object) -> None:
    pass


@pytest.mark.usefixtures("on_a_gpu")
def test_auto_takes_the_winner_on_a_gpu(tiny: Tiny, seconds: dict[str, float]) -> None:
    config = tiny(training__device="cuda")
    seconds |= {str(BEST): 0.5, "eager, NCHW": 0.9}
    found = find_fastest(config, seconds=1000, say=quiet)
    assert found["ways"][0] == {"way": "graph, NHWC", "images_per_second": 1.0, "reason": None}
    assert (found["usual"], found["winner"], found["gain"]) == ("graph, NHWC", str(BEST), 2.0)
    assert found["recorded"]
    assert recorded_way(config.changed("training", device="auto", seed=3)) == BEST
    engine = engine_for(config)
    assert (engine.kind, engine.memory_format, engine.search) == ("graph", torch.contiguous_format, True)
    for other in (
        tiny(training__device="cuda", training__batch_size=2),
        tiny(training__device="cuda", training__precision="bf16"),
        tiny(training__device="cuda", training__deterministic=True),
        tiny(training__device="cuda", training__engine="graph"),
    ):
        assert engine_for(other).memory_format == torch.channels_last
    assert engine_for(tiny(training__device="cuda", generator__name="mine:build")).kind == "eager"


@pytest.mark.usefixtures("on_a_gpu")
def test_a_way_that_is_hardly_faster_does_not_win(tiny: Tiny, seconds: dict[str, float]) -> None:
    config = tiny(training__device="cuda")
    seconds[str(BEST)] = 0.99
    found = find_fastest(config, seconds=1000, say=quiet)
    assert (found["winner"], found["gain"]) == ("graph, NHWC", 1.0)
    assert recorded_way(config) == Way()


@pytest.mark.usefixtures("on_a_gpu")
def test_what_fails_or_has_no_time_says_so(
    tiny: Tiny, seconds: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = clock.race

    def fails(contestants: list[clock.Contestant], **how: float) -> object:
        if contestants[-1].name == str(BEST):
            raise P2PBenchError("bench: out of memory")
        return quick(contestants, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(clock, "race", fails)
    config = tiny(training__device="cuda")
    reasons = {way["way"]: way["reason"] for way in find_fastest(config, seconds=1000, say=quiet)["ways"]}
    assert reasons.pop(str(BEST)) == "bench: out of memory"
    assert set(reasons.values()) == {None}
    first, *others = find_fastest(config, seconds=0, say=quiet)["ways"]
    assert first["images_per_second"] == 1.0
    assert {way["reason"] for way in others} == {"not tried within 0 s"}


def test_penalties_are_not_compiled(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "available_engine", lambda *_: "compile")
    kinds = [way.kind for way in ways_for(tiny(), "cuda")]
    assert list(dict.fromkeys(kinds)) == ["graph", "graph+compile", "eager", "compile"]
    assert len(kinds) == len(set(ways_for(tiny(), "cuda"))) == 16
    penalised = tiny(objective__adversarial="wgan-gp", discriminator__norm="none")
    assert {way.kind for way in ways_for(penalised, "cuda")} == {"graph", "eager"}
    assert ways_for(penalised, "cpu") == [Way("eager", channels_last=False), Way("eager", channels_last=True)]


def test_a_step_is_run_in_the_way_that_is_asked_for(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny(training__device="cpu")
    step, _ = build_ours(config, Way("eager", channels_last=True))
    step()
    monkeypatch.setattr(bench_step, "runner", lambda *_: Eager(*_[1:]))  # as where a capture was refused
    monkeypatch.setattr(bench_step, "in_the_way", lambda engine, _: engine)
    with pytest.raises(P2PBenchError, match="cannot be run as graph, NHWC"):
        build_ours(config, Way())


def test_a_record_that_cannot_be_read_is_none(tiny: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H100")
    monkeypatch.setenv("P2PBENCH_HOME", str(tmp_path))
    for content in ("[", "[]", "{}", f'{{"{key_of(tiny())}": {{"kind": "graph", "of": 1}}}}'):
        (tmp_path / "fastest-steps.json").write_text(content)
        assert recorded_way(tiny()) is None


def test_the_command_says_what_won(seconds: dict[str, float], tmp_path: Path) -> None:
    seconds["eager, NHWC"] = 0.5
    settings = ["training.device=cpu", "objective.adversarial=wgan-gp", "discriminator.norm=none"]
    said = invoke(
        "bench", "--race", *(part for s in settings for part in ("--set", s)), "--out", tmp_path / "race.json"
    )
    assert "eager, NHWC: 2.0 images/s" in said.stdout
    assert "the settings: the fastest is eager, NHWC; auto stays as it is: records are of GPUs alone" in said.stdout
    assert (tmp_path / "race.json").is_file()
