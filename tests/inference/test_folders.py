"""translate: patterns, what is done is skipped, and the sheet."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from program import document, error_of, invoke
from trained_run import train_run

NONE = {"skipped": 0, "halves": 0, "tiled": 0, "replaced": 0}


def test_patterns_skipping_and_the_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    random = np.random.default_rng(0)
    for name, shape in {"a": (16, 16, 3), "b": (400, 200, 3), "c": (20, 30, 3)}.items():
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(f"in/{name}.png")
    ask = ("translate", "--model", run, "--out", "out")
    assert document(*ask, "in/[ab].png") == {"files": ["out/a.png", "out/b.png"], **NONE}
    Path("out/a.png").write_bytes(b"kept as it is")
    assert document(*ask, "in/*.png") == {"files": ["out/a.png", "out/b.png", "out/c.png"], **NONE, "skipped": 2}
    assert Path("out/a.png").read_bytes() == b"kept as it is"
    older = Path("out/a.png").stat().st_mtime - 10
    Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save("in/a.png")  # changed, though older
    os.utime("in/a.png", (older, older))
    assert document(*ask, "in")["skipped"] == 2
    assert document(*ask, "in", "--again", "--compare", "sheet.png")["skipped"] == 0
    with Image.open("sheet.png") as sheet, Image.open("in/b.png") as picture, Image.open("out/a.png") as output:
        assert sheet.size == (512, 768)
        rows = np.asarray(sheet)
        assert (rows[300, 10] == 128).all()  # beside a narrow picture
        assert np.array_equal(
            rows[256:512, 64:192], np.asarray(picture.resize((128, 256), Image.Resampling.BICUBIC, reducing_gap=2.0))
        )
        assert np.array_equal(rows[120:136, 256 + 120 : 256 + 136], np.asarray(output))
    other = train_run(tmp_path, "second", objective__name="l1")
    first = Path("out/b.png").read_bytes()
    Path("in/c.png").write_bytes(b"no picture")
    ask_other = ("translate", "--model", other, "--out", "out")
    found = document(*ask_other, "in/a.png")
    assert (found["skipped"], found["replaced"]) == (0, 1)
    message = error_of(*ask_other, "in", code=3)  # b is there, but of the first model
    assert "1 of 3 not translated; the other 2 are in out: in/c.png cannot be read" in message
    assert Path("out/b.png").read_bytes() != first
    assert document(*ask, "in/b.png", "--again")["skipped"] == 0
    assert Path("out/b.png").read_bytes() == first
    assert document(*ask_other, "in/b.png")["skipped"] == 0
    assert "1 of the outputs took the place of another model's" in invoke(*ask, "in/b.png").stderr
    assert document(*ask, "in/b.png")["replaced"] == 0
    Path("own").mkdir()
    for name in ("a.png", "b.txt"):
        Path("own", name).write_text("mine")
    message = error_of(*ask[:-1], "own", "in/a.png", "in/b.png", code=2)
    assert "--out own: a.png is there, whose place the outputs would take, and no translated.json" in message
    assert Path("own/a.png").read_text() == "mine"
    assert document(*ask[:-1], "own", "in/a.png", "--again")["files"] == ["own/a.png"]
    message = error_of(*ask[:-1], "in/a.png", "in/a.png", code=3)
    assert "in/a.png is a file, where a folder is wanted" in message
    assert "in/*.jpg matches no file" in error_of(*ask, "in/*.jpg", code=3)
    assert "the sheet is a PNG" in error_of(*ask, "in", "--compare", "sheet.jpg", code=2)
