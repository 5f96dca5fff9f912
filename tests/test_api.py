"""p2pbench from Python: light to import, and the README's example runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from study_workplace import Workplace
from trained_run import train_run

import p2pbench
from p2pbench.errors import ConfigError, DataError
from p2pbench.scoring import weights
from p2pbench.system.files import sha256_of


def test_importing_it_imports_neither_torch_nor_numpy() -> None:
    code = "import p2pbench, sys; print({'torch', 'numpy', 'pydantic'} & set(sys.modules), p2pbench.__all__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set() ['load', 'run_study', 'score', 'translate']\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = p2pbench.nothing


def test_the_readmes_example_runs(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text()
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if b.startswith("# study.py"))
    monkeypatch.chdir(workplace.folder)
    (workplace.folder / "two.yaml").rename("skips.yaml")
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save("picture.png")
    names: dict[str, Any] = {}
    exec(block, names)
    assert names["output"].shape == (20, 30, 3)
    variant, *_, last = capsys.readouterr().out.splitlines()
    assert variant.startswith("l1 0.")
    assert last == "1.0"


ALEXNET = """
from dataclasses import replace
from p2pbench.scoring import weights
weights.NETS["alex"] = replace(weights.NETS["alex"], url={url!r}, files={{{name!r}: {sha256!r}}})
"""


def test_a_study_on_a_fresh_machine_fetches_weights_and_has_reference_rows(
    workplace: Workplace, alexnet_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its workers know, by a module that Python imports as it starts, another AlexNet and where it is to be had."""
    monkeypatch.chdir(workplace.folder)
    monkeypatch.setitem(weights.NETS, "alex", weights.NETS["alex"])  # put back afterwards
    handler = partial(SimpleHTTPRequestHandler, directory=str(alexnet_file.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{alexnet_file.name}"
        code = ALEXNET.format(url=url, name=alexnet_file.name, sha256=sha256_of(alexnet_file))
        Path("sitecustomize.py").write_text(code)
        exec(code, {})
        settings = {"scoring.metrics": ["l1", "lpips"], "data.load_size": 64, "data.crop_size": 64}
        study = p2pbench.run_study("two.yaml", settings=settings)
        server.shutdown()
    for variant in ("l1", "l1+cgan"):
        (cell,) = study.of(variant)
        assert cell.scores["lpips"].state == "measured", cell.scores["lpips"]
    rows = {row.name: row.scores for row in study.references}
    assert {"condition", "mean image", "nearest neighbour", "untrained"} <= rows.keys()
    assert rows["mean image"]["lpips"].state == "measured"


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a run folder"):
        p2pbench.load("nothing", runs=tmp_path)
    model = p2pbench.load(train_run(tmp_path))
    with pytest.raises(ConfigError, match="mode is 'train'"):
        p2pbench.translate(model, np.zeros((16, 16, 3), np.uint8), mode="train")
    with pytest.raises(DataError, match="has 5 channels"):
        p2pbench.translate(model, np.zeros((16, 16, 5), np.uint8))
    with pytest.raises(ValueError, match="one shape"):
        p2pbench.score(np.zeros((1, 16, 16, 3), np.uint8), np.zeros((2, 16, 16, 3), np.uint8))


IMAGES = np.random.default_rng(0).integers(0, 256, (2, 16, 12, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (list(IMAGES), r"outputs is a list: .*numpy\.stack"),
        (IMAGES.tobytes(), "outputs is a bytes"),
        (IMAGES[0], r"shape \(16, 12, 3\).*image\[None\]"),
        (IMAGES[..., 0], r"shape \(2, 16, 12\).*images\[\.\.\., None\]"),
        (IMAGES[:0], r"shape \(0, 16, 12, 3\)"),
        (np.moveaxis(IMAGES, -1, 1), r"shape \(2, 3, 16, 12\).*numpy\.moveaxis\(images, 1, -1\)"),
        (np.concatenate([IMAGES, IMAGES[..., :1]], axis=3), "RGBA is composited"),
        (np.concatenate([IMAGES, IMAGES], axis=3), "6 channels"),
        (IMAGES / 255, r"float64.*\(images \* 255\)\.round\(\)"),
        (IMAGES.astype(np.uint16) * 257, r"uint16.*// 257"),
        (IMAGES.astype(np.int64), r"int64.*images\.clip\(0, 255\)\.astype"),
        (IMAGES > 127, r"is bool.*numpy\.uint8\(255\)"),
    ],
)
def test_arrays_of_another_kind_are_refused_with_the_way_out(given: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        p2pbench.score(given, IMAGES, ["l1"])
    with pytest.raises(ValueError, match=said.replace("outputs", "targets")):
        p2pbench.score(IMAGES, given, ["l1"])


def test_the_ways_out_are_taken_and_grey_is_rgb_of_equal_channels() -> None:
    grey = IMAGES[..., :1]
    found = p2pbench.score(grey, 255 - grey, "ssim").scores["ssim"]
    rgb = p2pbench.score(np.repeat(grey, 3, axis=3), np.repeat(255 - grey, 3, axis=3), ["ssim"]).scores["ssim"]
    assert found == rgb
    restored = (IMAGES / 255 * 255).round().clip(0, 255).astype(np.uint8)
    assert p2pbench.score(restored, IMAGES, ["l1"]).scores["l1"].value == 0
    with pytest.raises(ConfigError, match="did you mean 'ssim'"):
        p2pbench.score(IMAGES, IMAGES, ["sim"])
