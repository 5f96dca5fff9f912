"""ONNX files: as near to torch as they say, of the sizes that they say, and usable wherever a run is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from program import document, error_of, invoke
from trained_run import train_run

from p2pbench.api import load, translate
from p2pbench.errors import WeightsError
from p2pbench.inference.onnx import OnnxGenerator, _bf16_is_lossless
from p2pbench.runs.model import load_model

pytest.importorskip("onnxruntime")
SMALL: dict[str, Any] = {"generator__depth": 2, "discriminator__name": "pixel"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """The folder of a run and of its ONNX file, and what the command said of it."""
    folder = tmp_path_factory.mktemp("export")
    run = train_run(folder, **SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("P2PBENCH_HOME", str(folder / "home"))
        return folder, document("export", "--model", run, "--out", folder / "model.onnx")


def test_it_is_checked_at_two_shapes_and_says_what_it_is(exported: tuple[Path, dict[str, object]]) -> None:
    folder, said = exported
    assert said["opset"] == 18
    assert said["inference"] == "instance-stats"
    assert said["size_multiple"] == 4
    assert said["images"] == 3
    assert said["sizes"] == [[16, 16], [16, 32]]
    assert isinstance(said["max_difference"], float)
    assert 0 <= said["max_difference"] < 1e-4
    card = (folder / "model.md").read_text()
    for part in (
        "# unet, l1+cgan",
        "opset 18",
        "| L1 ↓ |",
        "Not the mode of this file",
        "licence and terms are not known",
        "Limits",
    ):
        assert part in card
    assert str(folder) not in card


@pytest.mark.parametrize(
    "settings",
    [
        {
            "generator__attention": True,
            "generator__downsampling": "blur",
            "generator__upsampling": "bilinear",
            "generator__spade": "labels",
        },
        {"generator__spade": "continuous", "generator__norm": "instance"},
        pytest.param({"generator__name": "convnext_unet"}, marks=pytest.mark.long),
    ],
)
def test_networks_of_later_papers_are_exported_as_they_are_scored(settings: dict[str, Any], tmp_path: Path) -> None:
    """``export`` compares the file with torch on test images, at two shapes."""
    more: dict[str, Any] = {} if "generator__name" in settings else {"generator__depth": 3}
    run = train_run(tmp_path, discriminator__name="pixel", **settings, **more)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("P2PBENCH_HOME", str(tmp_path / "home"))
        said = document("export", "--model", run, "--out", tmp_path / "model.onnx", "--inference", "eval")
        assert len(said["sizes"]) == 2
        assert said["max_difference"] < 1e-4


def test_it_translates_as_the_run_does_at_any_size(exported: tuple[Path, dict[str, object]]) -> None:
    folder, _ = exported
    models = [load(folder / "first"), load(folder / "model.onnx")]
    assert models[1].modes == ("instance-stats",)
    assert not models[1].has_noise
    for shape in ((16, 16, 3), (21, 34, 3)):
        picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        ours, onnx = (translate(model, picture, mode="instance-stats").astype(int) for model in models)
        assert np.abs(ours - onnx).max() <= 1
    Image.fromarray(picture).save(folder / "picture.png")
    found = document("translate", "--model", folder / "model.onnx", folder / "picture.png", "--out", folder / "out")
    # The command takes OpenVINO where it is installed, and that bf16.
    assert np.abs(np.asarray(Image.open(found["files"][0])).astype(int) - onnx).max() <= 2


def test_it_may_be_exported_with_running_statistics(exported: tuple[Path, dict[str, object]], tmp_path: Path) -> None:
    folder, _ = exported
    run, file = folder / "first", tmp_path / "eval.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("P2PBENCH_HOME", str(folder / "home"))
        assert document("export", "--model", run, "--out", file, "--inference", "eval")["inference"] == "eval"
    models = [load(run), load(file)]
    assert models[1].modes == ("eval",)
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    ours, onnx = (translate(model, picture, mode="eval").astype(int) for model in models)
    assert np.abs(ours - onnx).max() <= 1
    assert "Inference mode `eval`: no dropout, normalised by running statistics" in file.with_suffix(".md").read_text()
    message = error_of("export", "--model", run, "--out", file, "--inference", "paper", code=2)
    assert "exported in instance-stats or eval" in message


def test_translate_takes_openvino_where_it_is_and_scores_do_not(
    exported: tuple[Path, dict[str, object]], tmp_path: Path
) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    folder, _ = exported
    assert load_model(str(folder / "model.onnx"), tmp_path).generator.runtime == "onnxruntime fp32"
    fast = load_model(str(folder / "model.onnx"), tmp_path, fast=True)
    assert fast.generator.runtime in ("openvino bf16", "openvino fp32")
    exact = OnnxGenerator(folder / "model.onnx", 1, openvino=True, precision="fp32")
    for shape in ((16, 16, 3), (21, 34, 3)):
        picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        ours = translate(load(folder / "first"), picture, mode="instance-stats").astype(int)
        assert np.abs(translate(replace(fast, generator=exact), picture) - ours).max() <= 1
        # bf16 has 8 bits, and this network's outputs are not smooth.
        assert np.abs(translate(fast, picture) - ours).mean() < 2
    Image.fromarray(picture).save(tmp_path / "picture.png")
    ask = ("translate", "--model", folder / "model.onnx", tmp_path / "picture.png", "--out", tmp_path / "out")
    found = document(*ask)
    assert np.array_equal(np.asarray(Image.open(found["files"][0])), translate(fast, picture))
    record = json.loads((tmp_path / "out" / "translated.json").read_text())
    assert record["runtime"] == fast.generator.runtime
    assert document(*ask)["skipped"] == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("p2pbench.runs.model.has_openvino", lambda: False)
        assert document(*ask)["skipped"] == 0


GONE = """
import gc, signal, sys, threading
from pathlib import Path
from p2pbench.inference.onnx import OnnxGenerator
kept = [OnnxGenerator(Path(sys.argv[1]), 1, openvino=True)]
collected = threading.Thread(target=lambda: (kept.clear(), gc.collect()))
collected.start()
collected.join()
signal.signal(signal.SIGINT, lambda *_: print("heeded"))
signal.raise_signal(signal.SIGINT)
"""


def test_a_generator_that_is_gone_leaves_ctrl_c_as_it_was(exported: tuple[Path, dict[str, object]]) -> None:
    """OpenVINO gives signals a stack of its own, and frees it in whichever thread it is collected."""
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    program = [sys.executable, "-c", GONE, str(exported[0] / "model.onnx")]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "heeded\n"), done.stderr


def test_what_openvino_cannot_read_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    onnx = pytest.importorskip("onnx")
    (tmp_path / "broken.onnx").write_bytes(b"broken")
    strange = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 3, 8, 8])
    other = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 3, 8, 8])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Tanh", ["x"], ["y"])], "g", [strange], [other])
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=9), tmp_path / "strange.onnx")
    for name, part in (("broken", "cannot be read as an ONNX file"), ("strange", "was not written by p2pbench export")):
        with pytest.raises(WeightsError, match=part):
            OnnxGenerator(tmp_path / f"{name}.onnx", 1, openvino=True)


def test_bf16_is_for_what_was_measured() -> None:
    about: dict[str, Any] = {
        "inference": "eval",
        "bits": 8,
        "config": {"data": {"range": None}, "generator": {"name": "unet"}},
    }
    assert _bf16_is_lossless(about)
    others = ({"bits": 16}, {"inference": "euler-1"}, {"config": {**about["config"], "generator": {"name": "resnet6"}}})
    assert not any(_bf16_is_lossless({**about, **other}) for other in others)


def test_beyond_the_tolerance_nothing_is_left(exported: tuple[Path, dict[str, object]], tmp_path: Path) -> None:
    folder, _ = exported
    message = error_of("export", "--model", folder / "first", "--out", tmp_path / "x.onnx", "--tolerance", "0", code=3)
    assert "differ from torch's by" in message
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_export_is_refused(exported: tuple[Path, dict[str, object]], tmp_path: Path) -> None:
    folder, _ = exported
    assert "named .onnx" in error_of("export", "--model", folder / "first", "--out", tmp_path / "x.bin", code=2)
    again = error_of("export", "--model", folder / "model.onnx", "--out", tmp_path / "x.onnx", code=2)
    assert "is an ONNX file already" in again
    (tmp_path / "broken.onnx").write_bytes(b"broken")
    for name, part in (("broken.onnx", "cannot be read as an ONNX file"), ("none.onnx", "there is no such file")):
        arguments = ("--model", tmp_path / name, folder / "picture.png", "--out", tmp_path / "out")
        assert part in invoke("translate", *arguments, code=3).stderr


def test_it_is_scored_on_its_data_wherever_they_lie(exported: tuple[Path, dict[str, object]], tmp_path: Path) -> None:
    folder, _ = exported
    shutil.copytree(folder / "pairs", tmp_path / "moved")
    ask = ("score", "--metrics", "l1", "--set", f"data.source={tmp_path / 'moved'}")
    of_file = document(*ask, "--model", folder / "model.onnx")["scores"]["l1"]["value"]
    of_run = document(*ask, "--model", folder / "first", "--inference", "instance-stats")["scores"]["l1"]["value"]
    assert of_file == pytest.approx(of_run, abs=1e-4)


PATHS: dict[str, Any] = {"generator__norm": "group", "generator__depth": 2, "training__ema": 20.0}


def test_a_bridge_of_one_pass_is_exported_with_its_averaged_weights(tmp_path: Path) -> None:
    run = train_run(tmp_path, objective__name="bridge", scoring__inference="euler-1", **PATHS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("P2PBENCH_HOME", str(tmp_path / "home"))
        said = document("export", "--model", run, "--out", tmp_path / "model.onnx")
        assert (said["inference"], len(said["sizes"])) == ("euler-1", 2)
        assert said["max_difference"] < 1e-4
        error = error_of("export", "--model", run, "--out", tmp_path / "more.onnx", "--inference", "euler-4", code=2)
        assert "a file is exported in euler-1, which draw no noise" in error
        (tmp_path / "in").mkdir()
        Image.new("RGB", (16, 16), (90, 120, 200)).save(tmp_path / "in" / "a.png")
        outputs = [
            translate(load(str(model)), np.asarray(Image.open(tmp_path / "in" / "a.png")))
            for model in (run, tmp_path / "model.onnx")
        ]
        assert np.abs(outputs[0].astype(int) - outputs[1].astype(int)).max() <= 1


def test_a_flow_from_noise_is_not_exported_and_says_why(tmp_path: Path) -> None:
    run = train_run(tmp_path, objective__name="flow", scoring__inference="euler-4", **PATHS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("P2PBENCH_HOME", str(tmp_path / "home"))
        error = error_of("export", "--model", run, "--out", tmp_path / "model.onnx", code=2)
        assert "is a flow with noise, and an ONNX file that draws its own would answer differently everywhere" in error


def test_a_flow_of_several_passes_takes_no_size_that_needs_padding(tmp_path: Path) -> None:
    """torch pads within each pass and a file once: what it made of 18x18 was another function's, 0.2 of [-1, 1] off."""
    flow: dict[str, Any] = {
        "objective__name": "bridge", "objective__noise": 0.0, "scoring__inference": "euler-4", **PATHS,
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("P2PBENCH_HOME", str(tmp_path / "home"))
        odd = train_run(tmp_path / "odd", data__load_size=18, data__crop_size=18, **flow)
        error = error_of("export", "--model", odd, "--out", tmp_path / "model.onnx", code=3)
        assert "of 4 passes, takes sides that are multiples of 4, not 18x18" in error
        assert not (tmp_path / "model.onnx").exists()
