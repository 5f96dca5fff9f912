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
