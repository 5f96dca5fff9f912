"""What is translated: by content, each to an output of its own; a pair's condition; a split; what is left out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from program import document, error_of, invoke
from reading import read_image, read_pair
from trained_run import train_run

from p2pbench.api import load, translate
from p2pbench.data.images import Stored
from p2pbench.data.pairs import find_pairs
from p2pbench.inference.inputs import condition_in


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return train_run(tmp_path)


def picture(path: str, seed: int) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def test_an_output_is_of_the_picture_that_was_given(run: Path) -> None:
    """By name and time stamp, night's output was day's, with exit code 0."""
    picture("day/1.png", 1)
    picture("night/1.png", 2)
    ask = ("translate", "--model", run, "--out", "o")
    assert document(*ask, "day")["skipped"] == 0
    of_day = Path("o/1.png").read_bytes()
    message = error_of(*ask, "night", code=2)
    assert "1.png there is the translation of" in message
    assert "day/1.png" in message
    assert Path("o/1.png").read_bytes() == of_day
    assert document(*ask, "night", "--again")["skipped"] == 0
    assert Path("o/1.png").read_bytes() != of_day
    Path("day").rename("moved")  # the same content elsewhere is the same picture
    shutil.copytree("night", "elsewhere")
    assert document(*ask, "elsewhere")["skipped"] == 1
    shutil.copy2("moved/1.png", "night/1.png")  # older than the output
    assert document(*ask, "night")["skipped"] == 0
    assert Path("o/1.png").read_bytes() == of_day
    Path("o/translated.json").write_text("damaged")
    assert document(*ask, "night")["skipped"] == 0


def test_of_a_pair_the_condition_is_translated(run: Path) -> None:
    ask, pair = ("translate", "--model", run, "--out"), "pairs/test/000.png"
    split = document(*ask, "a", "--split", "test")
    assert [Path(file).name for file in split["files"]] == ["000.png", "001.png", "002.png"]
    assert split["halves"] == 3
    assert "hold a pair" not in invoke(*ask, "a", "--split", "test", "--again").stderr
    given = invoke(*ask, "b", pair)
    assert "1 of the pictures hold a pair" in given.stderr
    condition, _ = read_pair(find_pairs(Path("pairs"))["test"][0])
    model = load(run)
    for folder in "ab":
        assert np.array_equal(read_image(Path(folder, "000.png")), translate(model, condition))
    assert read_image(Path(document(*ask, "c", pair, "--whole")["files"][0])).shape == (20, 40, 3)
    assert condition_in(Stored(Path("x"), np.zeros((20, 30, 3), np.uint8)), model.config.data) is None
    whole = read_image(Path(pair))
    target = condition_in(Stored(Path("x"), whole), model.config.data.model_copy(update={"direction": "BtoA"}))
    assert target is not None
    assert np.array_equal(target.pixels, whole[:, 20:])
    assert "--split nowhere: " in error_of(*ask, "d", "--split", "nowhere", code=2)
    assert "give pictures" in error_of(*ask, "d", code=2)


def test_what_a_folder_holds_besides_is_said(run: Path) -> None:
    ask = ("translate", "--model", run, "--out", "o")
    picture("in/2.png", 1)
    picture("in/10.png", 2)
    picture("in/deep/3.png", 3)
    Path("in/4.heic").write_bytes(b"x")
    Path("in/._2.png").write_bytes(b"x")
    result = invoke(*ask, "in")
    assert "left out are 1 .heic files in . of in, 1 images in deep of in" in result.stderr
    assert [Path(file).name for file in document(*ask, "in")["files"]] == ["2.png", "10.png"]
    picture("set/A/1.png", 1)
    picture("set/B/1.png", 2)
    assert "pairs, in set/A and set/B" in error_of(*ask, "set", code=3)
    picture("nested/x/1.png", 1)
    assert "its sub-folders do: give nested/x" in error_of(*ask, "nested", code=3)


def test_the_inference_mode_is_chosen(run: Path) -> None:
    picture("in/1.png", 1)
    ask = ("translate", "--model", run)
    model = load(run)
    for mode in ("paper", "instance-stats", "eval"):
        (file,) = document(*ask, "in", "--out", mode, "--inference", mode)["files"]
        assert np.array_equal(read_image(Path(file)), translate(model, "in/1.png", mode=mode))
    scored = document("score", "--model", run, "--metrics", "l1", "--inference", "eval")["scores"]["l1"]
    assert scored["settings"]["inference"] == "eval"
    assert document(*ask, "in", "--out", "eval", "--inference", "paper")["skipped"] == 0  # made in another mode
    assert "unknown mode 'off'" in error_of(*ask, "in", "--out", "o", "--inference", "off", code=2)


def test_a_picture_in_tiles_is_said(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture("in/1.png", 1)
    monkeypatch.setattr("p2pbench.inference.tiling.TILE", 12)
    monkeypatch.setattr("p2pbench.inference.tiling.OVERLAP", 4)
    result = invoke("translate", "--model", run, "in", "--out", "o")
    assert "1 of the pictures went in tiles" in result.stderr
    assert "--inference eval" in result.stderr
