"""``bench --compare``: a baseline is taken by the machine and the workloads that it is from, and by no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from program import error_of, invoke

from p2pbench.bench import comparison
from p2pbench.bench.tables import _remarks


def settings(source: Path) -> list[str]:
    small = [
        f"data.source={source}", "data.load_size=18", "data.crop_size=16", "generator.ngf=4", "discriminator.ndf=4",
        "discriminator.name=patch16", "training.device=cpu", "training.threads=1",
    ]  # fmt: skip
    return [part for setting in small for part in ("--set", setting)]


@pytest.mark.parametrize("workloads", [pytest.param(("translate",), marks=pytest.mark.long), ("data", "step", "score")])
def test_every_workload_takes_its_own_baseline(
    workloads: tuple[str, ...], seconds: dict[str, float], pairs_folder: Path, tmp_path: Path
) -> None:
    command = ["bench", *workloads, *settings(pairs_folder)]
    file = tmp_path / "speed.json"
    invoke(*command, "--out", file)
    document = json.loads(invoke(*command, "--compare", file, "--json").stdout)
    assert {row["workload"] for row in document["comparison"]} == set(workloads)
    assert {row["verdict"] for row in document["comparison"]} == {"not significant"}
    assert document["machine"] == json.loads(file.read_text())["machine"]


def test_a_baseline_of_other_rows_is_refused_before_anything_is_timed(
    seconds: dict[str, float], pairs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "speed.json"
    invoke("bench", "step", *settings(pairs_folder), "--out", file)

    def timed(*_: Any, **__: Any) -> None:
        raise AssertionError("timed")

    monkeypatch.setattr("p2pbench.bench.clock.race", timed)
    command = ("bench", "step", *settings(pairs_folder), "--set", "generator.norm=instance")
    assert "none of the rows to be measured" in error_of(*command, "--compare", file, code=2)


def test_a_baseline_of_version_0_1_is_compared_where_its_names_are_enough() -> None:
    """It has no variants, and gave variants that differ in their norm one name."""

    def row(name: str, ratio: float, **more: Any) -> dict[str, Any]:
        return {"workload": "step", "name": name, "size": 16, "batch_size": 1, "precision": "fp32", "engine": "eager",
                "ratio_to_plain": ratio, "ratio_quartiles": [ratio, ratio], "repeats": 2, **more}  # fmt: skip

    old = {"rows": [row("unet", 2.0), row("resnet6", 2.0), row("resnet6", 4.0)]}
    new = {"machine": {}, "rows": [row("unet", 1.0, variant="a"), row("resnet6", 1.0, variant="b")]}
    assert [(found["name"], found["verdict"]) for found in comparison.compare(old, new)] == [("unet", "slower")]


@pytest.mark.parametrize(("machine", "plain_loop"), [({"gpu": "H100"}, 2), ({}, None)])
def test_on_a_gpu_and_beside_another_plain_loop_images_per_second_are_compared(
    machine: dict[str, Any], plain_loop: int | None
) -> None:
    def document(speed: float, ratio: float, plain_loop: int | None) -> dict[str, Any]:
        row: dict[str, Any] = {"workload": "step", "name": "unet", "variant": "", "repeats": 20}
        row |= {"images_per_second": speed, "images_per_second_quartiles": [speed, speed]}
        row |= {"ratio_to_plain": ratio, "ratio_quartiles": [ratio, ratio]}
        return {"machine": machine, "plain_loop": plain_loop, "rows": [row]}

    old = document(100.0, 4.0, plain_loop)
    for speed, verdict in ((80.0, "slower"), (102.0, "not significant"), (125.0, "faster")):
        [found] = comparison.compare(old, document(speed, 2.0, 2))
        assert (found["verdict"], found["by"]) == (verdict, "images_per_second")
        assert found["change"] == speed / 100
    of_both = [{"change": 0.5}, {"change": 2.0}]
    assert comparison.geometric_mean(of_both) == pytest.approx(1.0)
    assert comparison.geometric_mean([]) is None


def test_a_run_that_is_not_to_be_trusted_says_so() -> None:
    steady = {"workload": "step", "name": "unet", "engine": "eager", "precision": "fp32",
              "images_per_second": 10.0, "images_per_second_quartiles": [9.6, 10.4]}  # fmt: skip
    shaky = {**steady, "precision": "bf16", "images_per_second_quartiles": [9.4, 10.6]}
    assert comparison.unstable([steady, shaky]) == [shaky]
    document = {"rows": [steady, shaky], "comparison": [{}, {}], "geometric_mean": 1.25}
    assert list(_remarks(document)) == [
        "geometric mean of the 2 changes: +25.0 %",
        "unstable: the quartiles of eager bf16 are more than 10% apart; is the machine busy?",
    ]
