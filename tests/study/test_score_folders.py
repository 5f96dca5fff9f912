"""``score --fake --target``: pairs of any sizes and kinds, values of each image, and sets that are no pairs."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from program import document, error_of, invoke

import p2pbench
from p2pbench.data.images import scaled
from p2pbench.scoring import segmentation
from p2pbench.scoring.segmentation import NoReader

RANDOM = np.random.default_rng(3)
PHOTO = RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8)
SIDES = (20, 24, 12, 8, 20)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(folder: str, images: dict[str, np.ndarray], suffix: str = "png") -> None:
    Path(folder).mkdir(exist_ok=True)
    for name, image in images.items():
        path = Path(folder, f"{name}.{suffix}")
        if suffix == "npy":
            np.save(path, image)
        elif suffix == "tif":
            tifffile.imwrite(path, image, photometric="rgb" if image.ndim == 3 else "minisblack")
        else:
            Image.fromarray(image).save(path)


def score(*more: str, metrics: str = "l1") -> Any:
    return document("score", "--fake", "fake", "--target", "target", "--metrics", metrics, *more)["scores"]


def test_pairs_of_several_sizes_have_the_scores_of_single_images() -> None:
    fakes = {str(n): PHOTO[:side, : side + 1] for n, side in enumerate(SIDES)}
    targets = {str(n): PHOTO[5 : 5 + side, 1 : side + 2] for n, side in enumerate(SIDES)}
    write("fake", fakes)
    write("target", targets)
    found = score("--per-image", "each.csv", metrics="l1,psnr,ssim,hist-l,swd,fid,fcn-iou")
    with Path("each.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["image"] for row in rows] == list(fakes)
    alone = {
        name: p2pbench.score(fakes[name][None], targets[name][None], ["l1", "psnr", "ssim", "hist-l"]).scores
        for name in fakes
    }
    for metric in ("l1", "psnr", "ssim", "hist-l"):
        values = {name: scores[metric].value for name, scores in alone.items()}
        for row in rows:
            expected = values[row["image"]]
            assert (row[metric] == "") if expected is None else float(row[metric]) == pytest.approx(expected)
        assert found[metric]["value"] == pytest.approx(np.mean([v for v in values.values() if v is not None]))
        assert found[metric]["low"] is not None
    assert found["ssim"]["n"] == 4
    (left_out, why) = found["ssim"]["notes"]
    assert left_out.startswith("1 of 5 images")
    assert why == "of 1 images: needs images of 11 pixels a side or more; these have 8"
    for metric in ("swd", "fid", "fcn-iou"):
        assert found[metric]["reason"] == "is a score of images of one size; these have 4, from 9x8 to 25x24"
    text = invoke("score", "--fake", "fake", "--target", "target", "--metrics", "l1,fid").stdout
    assert "images of one size" in text


def test_an_output_of_another_size_than_its_target_is_refused() -> None:
    write("fake", {"a": PHOTO[:20, :20], "b": PHOTO[:20, :24]})
    write("target", {"a": PHOTO[:20, :20], "b": PHOTO[:24, :20]})
    message = error_of("score", "--fake", "fake", "--target", "target", code=3)
    assert "b.png is 24x20 where its target is 20x24" in message


def test_sixteen_bits_floats_and_transparency_are_scored_as_training_reads_them() -> None:
    deep = RANDOM.integers(0, 65536, (2, 20, 20), dtype=np.uint16)
    write("fake", {"a": deep[0]})
    write("target", {"a": deep[1]})
    eight = ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)[..., None]
    assert score()["l1"]["value"] == p2pbench.score(eight[:1], eight[1:], "l1").scores["l1"].value

    floats = RANDOM.uniform(-2, 12, (2, 20, 20)).astype(np.float32)
    for suffix in ("npy", "tif"):
        Path("fake/a.png").unlink(missing_ok=True)
        Path("target/a.png").unlink(missing_ok=True)
        write("fake", {"b": floats[0]}, suffix)
        write("target", {"b": floats[1]}, suffix)
        message = error_of("score", "--fake", "fake", "--target", "target", code=3)
        assert "holds float32 values: say with data.range" in message
        first, second = (((scaled(image, (0, 10)).astype(np.uint32) + 128) // 257).astype(int) for image in floats)
        expected = np.abs(first - second).mean() / 255
        for given in ("[0, 10]", "[[5, 6], [0, 10]]"):  # the second range is the targets'
            found = score("--set", f"data.range={given}")["l1"]
            assert found["value"] == pytest.approx(expected)
            assert found["settings"]["range"] is not None
        Path(f"fake/b.{suffix}").unlink()
        Path(f"target/b.{suffix}").unlink()

    clear = np.dstack([PHOTO[:20, :20], np.zeros((20, 20), np.uint8)])
    write("fake", {"c": clear})
    write("target", {"c": np.full((20, 20, 3), 255, np.uint8)})
    assert "data.background" in error_of("score", "--fake", "fake", "--target", "target", code=3)
    assert score("--set", "data.background=white")["l1"]["value"] == 0
    write("target", {"c": clear})
    as_data = score("--set", "data.channels=[4, 4]", metrics="l1,sharpness")
    assert as_data["l1"]["value"] == 0
    assert "4 channels" in str(as_data["sharpness"]["reason"])
    message = error_of("score", "--fake", "fake", "--target", "target", "--set", "data.mirror=false", code=2)
    for key in ("data.range", "data.background", "data.channels", "data.source", "scoring.palette"):
        assert key in message


def test_the_segmentation_network_computes_in_true_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch lets cuDNN use TF32; the network is trained once and kept, for all scores of the data set."""
    found = []

    def find(*_: object) -> NoReader:
        found.append(torch.backends.cudnn.allow_tf32)
        return NoReader("not here")

    monkeypatch.setattr(segmentation, "find_reader_of_images", find)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    for folder in ("fake", "target"):
        write(folder, {"a": PHOTO[:16, :16]})
    assert score("--set", "data.source=drawn:6", metrics="l1,fcn-iou")["fcn-iou"]["reason"] == "not here"
    assert found == [False]


def test_sets_that_are_no_pairs_have_scores_of_sets() -> None:
    images = RANDOM.integers(0, 256, (11, 32, 32, 3), dtype=np.uint8)
    write("fake", {f"x{n}": image for n, image in enumerate(images[:5])})
    write("target", {f"y{n}": image for n, image in enumerate(images[5:])})
    assert "--unpaired" in error_of("score", "--fake", "fake", "--target", "target", code=3)
    found = score("--unpaired", metrics="hist-l-set,swd,mind,kid-paired,l1")
    assert 0.5 < found["hist-l-set"]["value"] < 1
    assert (found["hist-l-set"]["n"], found["hist-l-set"]["settings"]["n_targets"]) == (5, 6)
    assert "as many outputs as targets; there are 5 and 6" in str(found["swd"]["reason"])
    for metric in ("kid-paired", "l1"):
        assert "no pairs" in str(found[metric]["reason"])
    Path("target/y5.png").unlink()
    every = document("score", "--fake", "fake", "--target", "target", "--unpaired")["scores"]
    assert every["swd"]["state"] == "measured"
    assert {"fid", "kid", "hist-a-set"} <= every.keys()
    assert not {"l1", "lpips", "kid-paired"} & every.keys()
    write("target", {"y9": PHOTO})
    message = error_of("score", "--fake", "fake", "--target", "target", "--unpaired", code=3)
    assert "y9.png is 64x64 where fake/x0.png is 32x32" in message
    message = error_of("score", "--fake", "fake", "--target", "target", "--unpaired", "--per-image", "x.csv", code=2)
    assert "single images have no values" in message


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    write("fake", {"a": PHOTO, "b": PHOTO})
    write("fake/deep", {"c": PHOTO})
    Path("fake/translated.json").write_text("{}")
    Path("fake/._a.png").write_bytes(b"x")
    write("target", {"a": PHOTO[::-1], "b": PHOTO[::-1]})
    Path("target/a.heic").write_bytes(b"x")
    for more, code in (((), 0), (("--unpaired",), 3)):  # of sets there is no L1
        result = invoke("score", "--fake", "fake", "--target", "target", "--metrics", "l1", *more, code=code)
        said = [line for line in result.stderr.splitlines() if "left out" in line]
        assert said == [
            "warning: fake: left out are 1 images in deep", "warning: target: left out are 1 .heic files in .",
        ]  # fmt: skip
