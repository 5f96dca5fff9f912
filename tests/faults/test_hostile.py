"""Names and files made to do harm: markup in names, images that claim to be huge, names that lead out of the folder."""

from __future__ import annotations

import json
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from program import document, error_of, invoke
from reading import read_array, read_image
from study_workplace import PROTOCOL
from tiny_runs import write_pairs
from trained_run import train_run

from p2pbench.api import load
from p2pbench.data.image_files import MAX_PIXELS, preview
from p2pbench.demo.app import create_app
from p2pbench.errors import ConfigError, DataError
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.store import Store

MARKUP = '<script>alert(1)</script><img src=x onerror="alert(2)">'
RAW = ("<script>alert", "<img src=x")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set and a finished study whose every name is markup."""
    root = tmp_path_factory.mktemp("hostile")
    pairs = write_pairs(root / "pairs", {"train": 4, "test": 3})
    for path in list(pairs.rglob("000.png")):
        path.rename(path.with_name("<script>alert(1)<∕script><img src=x>.png"))
    (root / "tiny.yaml").write_text(PROTOCOL.format(source=pairs).replace("a protocol for tests", f"'{MARKUP}'"))
    level = json.dumps({"label": MARKUP, "training.epochs": 1})
    other = json.dumps({"label": "[red]plain[/red] | $x_1$ \\input{x}", "training.epochs": 2})
    (root / "<script>alert(1).yaml").write_text(
        f"question: '{MARKUP}'\nprotocol: tiny.yaml\nfactors: {{'{MARKUP}': [{level}, {other}]}}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("P2PBENCH_HOME", str(root / "home"))
        plan = invoke("ablate", "--grid", "<script>alert(1).yaml", "--plan").stdout
        assert "[red]plain[/red]" in plan
        invoke("ablate", "--grid", "<script>alert(1).yaml", "--jobs", "2")
        invoke("report")
    return root


def test_a_report_shows_markup_in_names_as_text(folder: Path) -> None:
    page = (folder / "reports" / "<script>alert(1)" / "index.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert not [word for word in RAW if word in page]


def test_an_exploration_and_runs_show_markup_in_names_as_text(folder: Path, tmp_path: Path) -> None:
    invoke("data", "explore", folder / "pairs", "--out", tmp_path / "eda")
    page = (tmp_path / "eda" / "index.html").read_text()
    assert not [word for word in RAW if word in page]
    shown = " ".join(invoke("runs", "list", "--runs", folder / "runs").stdout.split())
    assert "[red]plain[/red]" in shown


def test_the_demo_shows_markup_in_names_as_text(folder: Path, tmp_path: Path) -> None:
    run = Path(train_run(tmp_path))
    hostile = run.rename(run.with_name("<script>alert(1)"))
    client = create_app([load(hostile)]).test_client()
    page = client.get("/").text
    assert not [word for word in RAW if word in page]
    answer = client.post("/api/translate", data={"model": MARKUP})
    assert answer.mimetype == "application/json"


def _png_claiming(width: int, height: int, bits: int = 8) -> bytes:
    """A PNG of 60 bytes whose header claims so many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


@pytest.mark.parametrize("kind", ["png", "png deep", "png vast", "tif", "tif deep", "bmp"])
def test_an_image_that_claims_to_be_huge_is_one_line_everywhere(kind: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / f"bomb.{kind.split(maxsplit=1)[0]}"
    side = 12_000
    if kind.startswith("png"):
        path.write_bytes(_png_claiming(*((60_000, 60_000) if kind == "png vast" else (side, side)),
                                       bits=16 if kind == "png deep" else 8))  # fmt: skip
    elif kind.startswith("tif"):
        dtype = np.uint16 if kind == "tif deep" else np.uint8
        tifffile.imwrite(path, np.zeros((2, 2, 3), dtype), photometric="rgb")
        with tifffile.TiffFile(path, mode="r+") as file:
            for tag in ("ImageWidth", "ImageLength"):
                file.pages.first.tags[tag].overwrite(side)
    else:
        Image.new("RGB", (2, 2)).save(path)
        content = bytearray(path.read_bytes())
        content[18:26] = struct.pack("<ii", side, side)
        path.write_bytes(content)
    for read in (partial(read_array, background=None), read_image, preview):
        with pytest.raises(DataError, match=rf"bomb.*more than {MAX_PIXELS:,} pixels"):
            read(path)
    model = next((folder / "runs" / "cells").iterdir())
    line = error_of("translate", "--model", model, path, "--out", tmp_path / "out", code=3)
    assert "scale it down" in line


def test_a_bomb_among_the_pairs_is_named(folder: Path, tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs", {"train": 2, "test": 2})
    (pairs / "train" / "001.png").write_bytes(_png_claiming(12_000, 6_000 * 2))
    problems = json.loads(invoke("data", "check", pairs, "--json", code=3).stdout)["problems"]
    assert any("001.png" in p["file"] and "pixels" in p["detail"] for p in problems), problems
    assert "001.png" in error_of("data", "explore", pairs, "--out", tmp_path / "eda", code=3)


def test_names_cannot_lead_out_of_the_folder(folder: Path, tmp_path: Path) -> None:
    dotted = tmp_path / "...yaml"  # whose stem is '..'
    dotted.write_text("protocol: quick\nfactors: {objective: [l1]}\n")
    assert "begins with a dot" in error_of("ablate", "--grid", dotted, "--plan", code=2)
    assert "unknown study" in error_of("report", "--study", "../../x", "--runs", folder / "runs", code=2)
    assert "neither a run folder" in error_of("runs", "show", "../..", "--runs", folder / "runs", code=2)
    # A store from elsewhere, whose records name files outside it.
    runs = tmp_path / "runs"
    study = runs / "studies" / "evil"
    study.mkdir(parents=True)
    (tmp_path / "secret.json").write_text("{}")
    (real,) = (folder / "runs" / "studies").iterdir()
    about = json.loads((real / "study.yaml").read_text())
    for cell in about["cells"]:
        cell["run_id"] = "../../../secret"
    (study / "study.yaml").write_text(json.dumps(about))
    with pytest.raises(ConfigError, match="not a study"):
        Store(runs).read_study("evil")
    run = RunFolder(runs / "cells" / "0123456789ab")
    run.path.mkdir(parents=True)
    files = {"../../../secret.json": "0" * 64, "/etc/passwd": "0" * 64}
    run.status_file.write_text(json.dumps({"schema_version": 1, "state": "finished", "files": files}))
    found = {
        p["file"] for p in json.loads(invoke("runs", "verify", "--runs", runs, "--json", code=3).stdout)["problems"]
    }
    assert "status.json" in found
    assert not [name for name in found if "secret" in name or "passwd" in name]


def test_runs_of_a_hostile_study_are_whole(folder: Path) -> None:
    assert document("runs", "verify", "--runs", folder / "runs")["problems"] == []
