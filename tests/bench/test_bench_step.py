"""``bench step`` over a grid: the documented rows, its files, and the verdict beside an earlier run."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch.autograd import DeviceType
from typer.testing import CliRunner

from p2pbench.bench import ceilings, clock, comparison, step, suite
from p2pbench.bench.ceilings import ADAM_BYTES, Work, against_ceilings, work_of
from p2pbench.bench.clock import Contestant
from p2pbench.bench.figure import write_figure
from p2pbench.bench.step import step_contestants, time_spent
from p2pbench.bench.tables import _three, markdown
from p2pbench.cli.app import app
from p2pbench.cli.bench import read_variants
from p2pbench.config.resolve import Layer, resolve
from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError
from p2pbench.models.describe import describe
from p2pbench.training.winner import Way

Tiny = Callable[..., RunConfig]
GRID = Path(__file__).parents[1] / "benchmarks" / "small.yaml"
SMALL = ["training.device=cpu", "training.threads=1"]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of one small variant, two rounds; ceilings of small products."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ceilings.SIZES, "cpu", (32, 1000))
        patch.setenv("P2PBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        variants = read_variants(str(GRID), None, SMALL)[:1]
        return suite.measure(["step"], variants, rounds=2, round_seconds=0.01)


def test_the_documented_rows(document: dict[str, Any]) -> None:
    assert {"processor", "versions", "threads"} <= document["machine"].keys()
    assert [(row["engine"], row["precision"]) for row in document["rows"]] == [
        ("plain", "fp32"), ("eager", "fp32"), ("eager", "bf16"),
    ]  # fmt: skip
    for row in document["rows"]:
        assert row.keys() >= {
            "workload", "name", "size", "batch_size", "precision", "engine",
            "images_per_second", "ratio_to_plain", "peak_memory_bytes", "share_of_product", "flops_per_step",
        }  # fmt: skip
        low, high = row["images_per_second_quartiles"]
        assert 0 < low <= row["images_per_second"] <= high
    assert document["rows"][0]["ratio_to_plain"] == 1.0
    json.dumps(document, allow_nan=False)


@pytest.fixture
def raced(seconds: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Who met whom, race by race, on a clock that waits for nothing."""
    found: list[list[str]] = []
    race = clock.race

    def note(contestants: Sequence[Contestant], **how: Any) -> Any:
        found.append([one.name for one in contestants])
        return race(contestants, **how)

    monkeypatch.setattr(clock, "race", note)
    return found


def test_on_a_gpu_the_plain_loop_meets_one_rival_at_a_time(
    raced: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So no more than two processes hold its memory; the ceilings are measured one by one."""
    machine = suite.machine_of(["step"], read_variants(str(GRID), None, SMALL)[0][1].config)
    monkeypatch.setattr(suite, "machine_of", lambda *_: {**machine, "device": "cuda", "gpu": "H100"})
    monkeypatch.setattr(step, "has_tensor_cores", lambda _: True)
    monkeypatch.setattr(step, "recorded_way", lambda _: None)
    settings = ["training.precision=bf16", "training.device=cuda"]
    document = suite.measure(["step"], read_variants(str(GRID), None, settings)[:1], rounds=2)
    rivals = ["eager, bf16", "graph, bf16"]
    assert raced == [["tf32"], ["bf16"], ["copy"], *(["plain loop", rival] for rival in rivals)]
    plain, *ours = document["rows"]
    assert (plain["precision"], plain["ratio_to_plain"], plain["repeats"]) == ("tf32", 1.0, 4)
    assert [row["ratio_to_plain"] for row in ours] == [2.0, 2.0]
    assert document["plain_loop"] == comparison.PLAIN_LOOP


def test_the_steps_of_variants_take_turns_with_the_baselines(seconds: dict[str, float]) -> None:
    """A machine whose speed drifts between two variants would say that a rung is faster than the one below."""
    variants = read_variants("ladder", "facades-64", [*SMALL, "training.precision=fp32"])[:3]
    seconds |= {"plain loop": 1.0, "eager, fp32": 0.5, "eager, fp32, of the baseline": 0.2}
    rows = suite.measure(["step"], variants)["rows"]
    ratios = {(row["variant"], row["engine"]): row.get("ratio_to_baseline") for row in rows}
    assert [ratios[label, "eager"] for label, _ in variants] == [1.0, 0.4, 0.4]
    assert [ratios[label, "plain"] for label, _ in variants] == [None, None, None]
    assert [row["ratio_to_plain"] for row in rows] == [1.0, 2.0] * 3
    page = markdown({"machine": suite.machine_of(["step"], variants[0][1].config), "rows": rows})
    assert "## beside the step of the baseline, 0 pix2pix" in page
    assert "| 1 EMA | eager fp32 | 0.40 | 0.40-0.40 |" in page


def test_on_a_gpu_a_variants_step_meets_the_baselines_alone(
    raced: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    variants = read_variants(str(GRID), None, SMALL)
    machine = suite.machine_of(["step"], variants[0][1].config)
    monkeypatch.setattr(suite, "machine_of", lambda *_: {**machine, "device": "cuda", "gpu": "H100"})
    monkeypatch.setattr(step, "has_tensor_cores", lambda _: False)
    monkeypatch.setattr(step, "recorded_way", lambda _: None)
    document = suite.measure(["step"], read_variants(str(GRID), None, ["training.device=cuda"]), rounds=2)
    both = [["plain loop", "eager, fp32"], ["plain loop", "graph, fp32"]]
    assert raced[-6:] == [
        *both,
        *both,
        *([f"{name}, of the baseline", name] for name in ("eager, fp32", "graph, fp32")),
    ]
    assert [row.get("ratio_to_baseline") for row in document["rows"]] == [None, 1.0, 1.0, None, 2.0, 2.0]


def test_the_baseline_of_a_grid_comes_first() -> None:
    labels = [label for label, _ in read_variants("loss", None, SMALL)]
    assert labels[0] == "l1+cgan" and sorted(labels) == ["cgan", "gan", "l1", "l1+cgan", "l1+gan"]


def test_a_profile_counts_a_kernel_once() -> None:
    """The operation that launched it has its time too, and so has the block that somebody named."""

    def event(key: str, where: DeviceType, *, named: bool = False) -> SimpleNamespace:
        return SimpleNamespace(
            key=key, device_type=where, is_user_annotation=named, self_device_time_total=5.0, self_cpu_time_total=7.0,
            count=3,
        )  # fmt: skip

    events = [
        event("aten::mm", DeviceType.CPU), event("gemm", DeviceType.CUDA),
        event("Optimizer.step#Adam.step", DeviceType.CUDA, named=True),
    ]  # fmt: skip
    assert time_spent(events, on_cuda=True) == [("gemm", 5.0, 3)]
    assert len(time_spent(events, on_cuda=False)) == 3


def test_a_precision_or_engine_that_was_set_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "has_tensor_cores", lambda _: True)

    def rows(*more: str) -> list[str]:
        [(_, resolved)] = read_variants(None, None, [*SMALL, *more])
        return [contestant.name for contestant in step_contestants(resolved, "cpu")]

    assert rows() == ["plain loop", "eager, fp32", "eager, bf16"]
    assert rows("training.precision=bf16") == ["plain loop", "eager, bf16"]
    assert rows("training.engine=compile") == ["plain loop", "compile, fp32", "compile, bf16"]


def test_on_a_gpu_the_winner_of_a_race_has_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    won = {"bf16": Way("graph+compile", channels_last=False, search=True)}
    monkeypatch.setattr(step, "has_tensor_cores", lambda _: True)
    monkeypatch.setattr(step, "recorded_way", lambda config: won.get(config.training.precision))
    [(_, resolved)] = read_variants(None, None, [])
    *usual, auto = step_contestants(resolved, "cuda")[1:]
    assert [c.name for c in usual] == [f"{e}, {p}" for e in ("eager", "graph") for p in ("fp32", "tf32", "bf16")]
    assert auto.name == "auto, bf16"
    assert auto.row["engine"] == "auto: graph+compile, NCHW, cudnn.benchmark"
    assert auto.arguments[0].training.engine == "auto"


def test_an_engine_that_cannot_run_is_refused_before_anything_is_timed() -> None:
    variants = read_variants(None, None, [*SMALL, "training.engine=graph"])
    with pytest.raises(ConfigError, match="engine is graph"):
        suite.measure(["step"], variants)


def test_flops_are_those_of_three_passes(tiny: Tiny) -> None:
    """A pass of G, and twice that backward less the first layer's input; D likewise for two images, and for G."""
    config = tiny(objective__name="l1", training__batch_size=1)
    forward = describe(config)["generator"]["flops"]
    assert 2.8 * forward < work_of(config).flops < 3 * forward
    with_d = tiny(training__batch_size=1)
    judged = describe(with_d)["discriminator"]["flops"]
    extra = work_of(with_d).flops - work_of(config).flops
    assert 6 * judged < extra < 8 * judged  # two forward, two backward of twice that, one backward to the image
    assert work_of(tiny(training__batch_size=2)).flops == 2 * work_of(with_d).flops


def test_bytes_of_bf16_are_half_but_for_adams(tiny: Tiny) -> None:
    single, half = (work_of(tiny(training__precision=p, objective__name="l1")).n_bytes for p in ("fp32", "bf16"))
    from p2pbench.models.build import build_generator

    adam = ADAM_BYTES * sum(p.numel() for p in build_generator(tiny()).parameters())
    assert half - adam == pytest.approx((single - adam) / 2)


def test_shares_of_the_ceilings() -> None:
    limits = {"product_flops_per_second": {"fp32": 1000.0}, "copy_bytes_per_second": 10.0}

    def shares(work: Work, seconds: float) -> tuple[float, float]:
        found = against_ceilings(work, seconds, "fp32", limits)
        assert (found["flops_per_step"], found["bytes_per_step"]) == (work.flops, work.n_bytes)
        return found["share_of_product"], found["share_of_roofline"]

    assert shares(Work(500, 5.0), 1.0) == (0.5, 0.5)
    assert shares(Work(500, 50.0), 10.0) == (0.05, 0.5)


def test_a_product_that_a_cpu_emulates_is_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for fast, side in ((True, 2048), (False, 512)):
        monkeypatch.setattr(ceilings, "fast_bf16", lambda fast=fast: fast)
        sides = {one.name: one.arguments[-1][0] for one in ceilings.ceilings("cpu", 1, ["fp32", "bf16"])}
        assert (sides["fp32"], sides["bf16"]) == (2048, side)
        timings = {name: clock.Timing([0.5], 1, 0) for name in sides}
        speeds = ceilings.limits_of(timings, "cpu")["product_flops_per_second"]
        assert speeds == {"fp32": 2 * 2048**3 / 0.5, "bf16": 2 * side**3 / 0.5}


def test_a_profile_is_of_steps() -> None:
    result = CliRunner().invoke(app, ["bench", "score", "--profile"])
    assert result.exit_code == 2
    assert "give p2pbench bench step score" in " ".join(result.output.split())


def test_verdicts_take_noise_into_account(document: dict[str, Any]) -> None:
    old = copy.deepcopy(document)
    for row in old["rows"][1:]:
        row.update(ratio_to_plain=2.0, ratio_quartiles=[1.99, 2.01], repeats=20)

    def verdicts(ratio: float, low: float, high: float) -> set[str]:
        new = copy.deepcopy(old)
        for row in new["rows"][1:]:
            row.update(ratio_to_plain=ratio, ratio_quartiles=[low, high])
        found = comparison.compare(old, new)
        assert [row["precision"] for row in found] == ["fp32", "bf16"]  # the plain row has no verdict
        return {row["verdict"] for row in found}

    assert verdicts(1.8, 1.79, 1.81) == {"slower"}
    assert verdicts(1.95, 1.94, 1.96) == {"not significant"}  # less than two runs of the same code differ
    assert verdicts(1.8, 1.2, 2.4) == {"not significant"}  # the repeats differ by more
    assert verdicts(2.2, 2.19, 2.21) == {"faster"}


def test_a_baseline_of_another_machine_or_none_is_a_line(document: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    for content, words in ((None, "cannot be read"), ("[", "not what bench"), ('{"rows": 1}', "not what bench")):
        if content is not None:
            path.write_text(content)
        with pytest.raises(ConfigError, match=words):
            comparison.read_baseline(path)
    path.write_text(json.dumps({**document, "machine": {**document["machine"], "processor": "Z80"}}))
    result = CliRunner().invoke(app, ["bench", "step", "--device", "cpu", "--compare", str(path)])
    assert result.exit_code == 2
    assert "a baseline from another machine (processor was Z80" in " ".join(result.stderr.split())


def test_the_program_writes_three_files_and_fails_where_it_is_slower(
    tmp_path: Path, seconds: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds["plain loop"] = 2.0
    monkeypatch.setattr(comparison, "MIN_NOISE", 0.0)
    command = ["bench", "step", "--grid", str(GRID), *(part for s in SMALL for part in ("--set", s))]
    first = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "a.json")])
    assert first.exit_code == 0, first.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.md", "a.png"]
    assert max(len(line) for line in first.stdout.splitlines() if "written" not in line) <= 80
    seconds["eager, bf16"] = 1.5
    again = CliRunner().invoke(app, [*command, "--compare", str(tmp_path / "a.json")])
    assert again.exit_code == 4, again.output
    lines = [line for line in again.stdout.splitlines() if " %" in line and "peak" not in line]
    verdicts = [line.split(" % ")[-1].strip() for line in lines[:-1]]
    assert verdicts == ["not significant", "slower"] * 2
    assert lines[-1].startswith("geometric mean of the 4 changes: -")
    wrong = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "a.txt")])
    assert wrong.exit_code == 2


def test_figures_of_every_kind_of_row(document: dict[str, Any], tmp_path: Path) -> None:
    other = {
        "workload": "data", "name": "drawn:5", "size": [18, 18], "batch_size": None, "precision": "uint8",
        "engine": "plain", "images_per_second": 3.0, "images_per_second_quartiles": [2.0, 4.0], "ratio_to_plain": 1.0,
        "ratio_quartiles": [1.0, 1.0], "peak_memory_bytes": 2**20,
    }  # fmt: skip
    both = {**document, "rows": [*document["rows"], other]}
    assert write_figure(both, tmp_path / "both.png").stat().st_size > 10_000
    text = markdown(both)
    assert "| plain | fp32 |" in text
    assert "data: drawn:5, 18x18" in text


TOP = [*SMALL, "data.crop_size=64", "data.load_size=64", "generator.ngf=2", "discriminator.ndf=2"]


def test_the_plain_loop_trains_the_networks_of_later_papers_and_says_what_it_leaves_out() -> None:
    top = read_variants("ladder", None, TOP)[-1][1]
    plain, *_ = step_contestants(top, "cpu")
    assert plain.row["left_out"] == ["perceptual squeeze", "ema", "pairing relativistic", "r1", "r2",
                                     "feature matching", "augment diffaugment"]  # fmt: skip
    update, images = plain.build(*plain.arguments, 0)
    update()
    assert images == 1


def test_a_row_without_a_plain_loop_says_why(seconds: dict[str, float], tmp_path: Path) -> None:
    variants = dict(read_variants("families", None, TOP))
    document = suite.measure(["step"], [("flow", variants["flow, 1 pass"]), ("l1", variants["l1"])], rounds=2)
    assert [(row["engine"], row["ratio_to_plain"]) for row in document["rows"]] == [
        ("eager", None), ("eager", None), ("plain", 1.0), ("eager", 2.0), ("eager", 2.0),
    ]  # fmt: skip
    text = markdown(document)
    assert "no plain loop of flow: objective flow asks its generator for a way, not for an image" in text
    assert "| eager | fp32 | 1.00 | 1.00-1.00 | - |" in text
    assert write_figure(document, tmp_path / "found.png").stat().st_size > 10_000
    by = {verdict["by"] for verdict in comparison.compare(document, document) if verdict["variant"] == "flow"}
    assert by == {"images_per_second"}


def test_oasis_is_timed_where_the_condition_has_classes() -> None:
    variants = dict(read_variants("oasis", None, [*TOP, "scoring.palette=facades"]))
    assert {one.row["engine"] for one in step_contestants(variants["OASIS"], "cpu")} == {"eager"}
    variants = dict(read_variants("oasis", None, TOP))
    with pytest.raises(ConfigError, match="palette"):
        step_contestants(variants["OASIS"], "cpu")


def test_three_digits() -> None:
    assert [_three(value) for value in (0.1234, 1.234, 12.34, 123.4, 1234.5)] == ["0.12", "1.23", "12.3", "123", "1234"]


def test_variants_of_a_grid_keep_what_was_set_on_purpose() -> None:
    found = read_variants(str(GRID), None, ["data.crop_size=18"])
    assert [(label, one.config.training.batch_size) for label, one in found] == [
        ("batch_size=1", 1),
        ("batch_size=2", 2),
    ]
    assert found[0][1].config.data.crop_size == 18
    assert resolve([Layer("--set", {})]).config == read_variants(None, None, [])[0][1].config


def test_the_profile_names_operations(tiny: Tiny) -> None:
    from p2pbench.bench.step import profile_step

    operations = profile_step(tiny(training__device="cpu"))
    assert sum(row["share"] for row in operations) == pytest.approx(1)
    assert any("convolution" in row["operation"] for row in operations)


def test_the_work_of_a_loss_on_gs_own_output_is_counted(tiny: Tiny) -> None:
    plain, more = (
        work_of(tiny(objective__name="l1", data__crop_size=64, data__load_size=64, **settings))
        for settings in ({}, {"objective__perceptual": "squeeze"})
    )
    assert more.flops > plain.flops + 10**7
