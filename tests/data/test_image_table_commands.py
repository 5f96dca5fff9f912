"""Every command reads images at one door, and says the same of a file: tried through the command line."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from data.image_table import TABLE
from program import invoke
from tiny_runs import TINY

import p2pbench
from p2pbench.api import load
from p2pbench.demo.app import create_app

OPENERS = re.compile(r"Image\.open\(|TiffFile\(|imread\(|np\.load\(|_decode\(")
OWN = {
    "bench/data.py", "bench/plain_loop.py",  # what a plain loop would do
    "data/photos.py", "system/figure_style.py", "report/samples.py",  # files of the package, and of its own making
    "data/image_files.py", "scoring/features.py",  # features, in a cache
}  # fmt: skip


def test_no_other_module_opens_image_files() -> None:
    root = Path(p2pbench.__file__).parent
    found = {path.relative_to(root).as_posix() for path in root.rglob("*.py") if OPENERS.search(path.read_text())}
    assert found <= OWN


ROWS = {row.name: row for row in TABLE}
SAID = {"orientation 6.jpg": "", "RGBA 8 bits.png": "transparency", "CMYK.jpg": "is CMYK", "animated.gif": "2 frames"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was trained on the kind that is read."""
    folder = tmp_path_factory.mktemp("table")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("P2PBENCH_HOME", str(folder / "home"))
        invoke("train", *settings(pairs_of("orientation 6.jpg", folder / "pairs")), "--out", folder / "run")
    return folder / "run"


def pairs_of(name: str, root: Path) -> Path:
    """Two training pairs and a test pair, of which every image is of the kind ``name``."""
    for place in ("train/A/1", "train/B/1", "train/A/2", "train/B/2", "test/A/1", "test/B/1"):
        made = ROWS[name].made(root / place)
        made.rename(made.parent.with_suffix(made.suffix))
        made.parent.rmdir()
    return root


def settings(source: Path) -> list[str]:
    values = {**TINY, "training.epochs": 1, "scoring.metrics": ["l1"], "data.source": str(source)}
    return [part for key, value in values.items() for part in ("--set", f"{key}={json.dumps(value)}")]


@pytest.mark.parametrize("name", SAID)
def test_commands_agree(name: str, run: Path, tmp_path: Path) -> None:
    root, said = pairs_of(name, tmp_path / "pairs"), SAID[name]
    a = root / "train" / "A"
    commands: dict[str, list[str | Path]] = {
        "train": ["train", *settings(root), "--out", tmp_path / "run"],
        "translate": ["translate", "--model", run, a, "--out", tmp_path / "out"],
        "score": ["score", "--fake", a, "--target", root / "train" / "B", "--metrics", "l1"],
        "check": ["data", "check", root],
        "prepare": ["data", "prepare", root, "--out", tmp_path / "prepared"],
        "explore": ["data", "explore", root, "--out", tmp_path / "page"],
    }
    if not said:
        del commands["train"], commands["explore"]  # the fixture trained on it; exploring takes seconds
    elif said == "transparency":
        del commands["check"], commands["explore"]  # they show it on white, and check warns
    for command, arguments in commands.items():
        result: Any = invoke(*arguments, code=0 if not said and command != "check" else 3)  # all are one image
        text = result.stdout + result.stderr
        if said:
            assert said in text, (command, text)
            assert ROWS[name].name.rsplit(".", maxsplit=1)[1] in text
    content = io.BytesIO((a / f"1.{name.rsplit('.', maxsplit=1)[1]}").read_bytes())
    client = create_app([load(run)]).test_client()
    answer: Any = client.post("/api/translate", data={"image": (content, "x")})
    assert answer.status_code == (200 if not said else 415 if said != "transparency" else 422)
    if said:
        assert said in answer.json["error"]
