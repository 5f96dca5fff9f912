"""``bench translate``: the documented rows, and that ours goes from files to files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from program import document as document_of
from program import error_of
from trained_run import train_run

from p2pbench.bench import suite, translate
from p2pbench.bench.runtimes import Way, losses, untrained, ways_of
from p2pbench.bench.tables import markdown
from p2pbench.bench.translate import N_PICTURES, build_bare, build_ours, write_pictures
from p2pbench.config.resolve import Layer, Resolved, resolve
from p2pbench.inference.onnx import has_openvino
from p2pbench.system.hardware import fast_bf16


@pytest.fixture
def small(pairs_folder: Path) -> Resolved:
    settings = {
        "data.source": str(pairs_folder),
        "data.load_size": 18,
        "data.crop_size": 16,
        "generator.ngf": 4,
        "objective.name": "l1",
    }
    return resolve([Layer("--set", settings)])


def test_bench_translate_reports_the_documented_rows(small: Resolved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translate, "ways_of", lambda *_: ([Way("torch", "fp32", "paper")], "it is not installed"))
    document = suite.measure(["translate"], [("", small)], rounds=1, round_seconds=0.01)
    assert [row["engine"] for row in document["rows"]] == ["bare", "files"]
    for row in document["rows"]:
        assert (row["workload"], row["name"], row["size"], row["batch_size"]) == (
            "translate", "unet, paper, generator.ngf=4", [16, 16], 16,
        )  # fmt: skip
        assert row["images_per_second"] > 0
        assert row["peak_memory_bytes"] > 0
    assert document["rows"][0]["ratio_to_plain"] == 1
    assert document["machine"]["threads"] >= 1
    assert "not timed: it is not installed" in markdown(document)
    json.dumps(document, allow_nan=False)


def test_ours_writes_a_picture_for_each_that_it_reads(small: Resolved, tmp_path: Path) -> None:
    files = write_pictures(small.config, tmp_path / "in")
    assert len(files) == N_PICTURES
    step, images = build_ours(small.config, files, tmp_path / "out")
    step()
    assert images == N_PICTURES
    written = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in written] == [path.name for path in files]
    assert np.asarray(Image.open(written[0])).shape == (16, 16, 3)


def test_each_runtime_runs_the_generator_and_its_loss_is_measured(small: Resolved, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    model = untrained(small.config)
    before = {key: tensor.clone() for key, tensor in model.generator.state_dict().items()}
    ways, why_not = ways_of(model, tmp_path)
    assert [(way.runtime, way.precision) for way in ways] == expected_ways()
    assert [way.mode for way in ways] == ["paper"] + ["instance-stats"] * (len(ways) - 1)  # files draw no noise
    assert (why_not is None) == has_openvino()
    found = losses(model, ways, 1)
    assert list(found) == ways[1:]
    for way, loss in found.items():
        step, images = build_bare(small.config, way)
        step()
        assert images == N_PICTURES
        assert loss["l1"]["n"] == 3
        assert loss["l1"]["low"] <= loss["l1"]["value"] <= loss["l1"]["high"]
        # A grey level is 0.004; in fp32 a few values fall on its other side.
        assert abs(loss["l1"]["value"]) < (2e-5 if way.precision == "fp32" else 0.01)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.generator.state_dict().items())


def expected_ways() -> list[tuple[str, str]]:
    of_torch = [("torch", "fp32"), ("torch", "bf16")] if fast_bf16() else [("torch", "fp32")]
    precisions = ("fp32", "bf16", "int8") if fast_bf16() else ("fp32", "int8")
    of_openvino = [("openvino", precision) for precision in precisions] if has_openvino() else []
    return [*of_torch, ("onnxruntime", "fp32"), ("onnxruntime", "int8"), *of_openvino]


def test_the_command_times_a_trained_run_and_prints_its_losses(seconds: dict[str, float], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    run = train_run(tmp_path, generator__depth=2, discriminator__name="pixel", scoring__inference="eval")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("P2PBENCH_HOME", str(tmp_path / "home"))
        found = document_of("bench", "translate", "--model", run, "--device", "cpu")
        wrong = error_of("bench", "step", "--model", run, code=2)
    assert [row["engine"] for row in found["rows"]] == ["bare", "files", *(name for name, _ in expected_ways()[1:])]
    assert all(("loss" in row) == (row["engine"] not in ("bare", "files")) for row in found["rows"])
    page = markdown(found)
    assert "paired difference of scores to torch's fp32, mean of 3 images" in page
    assert "| onnxruntime | int8 | " in page
    assert "--model is for bench translate alone" in wrong


def test_a_generator_that_draws_noise_is_timed_in_torch_alone(small: Resolved, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    settings = {
        "data.source": small.config.data.source, "data.load_size": 18, "data.crop_size": 16, "generator.ngf": 4,
        "generator.norm": "group", "generator.depth": 2, "objective.name": "flow", "scoring.inference": "euler-4",
    }  # fmt: skip
    ways, why_not = ways_of(untrained(resolve([Layer("--set", settings)]).config), tmp_path)
    assert ways == [Way("torch", "fp32", "euler-4")]
    assert why_not is not None
    assert "is a flow with noise" in why_not
