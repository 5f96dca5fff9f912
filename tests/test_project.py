"""What is shipped and promised: the wheel, the README's commands, the documented names."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from p2pbench.cli.app import app
from p2pbench.config.shipped import PUBLISHED, shipped

ROOT = Path(__file__).parents[1]


def test_the_wheel_carries_grids_protocols_and_templates(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(site)
    assert shipped("").joinpath(PUBLISHED).is_file()
    for grid in shipped("").rglob("*.yaml"):
        assert f"p2pbench/ablations/{grid.relative_to(shipped('')).as_posix()}" in names
    assert "p2pbench/report/templates/study.html" in names
    assert {"p2pbench/demo/templates/index.html", "p2pbench/demo/static/demo.js"} <= names
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "p2pbench", "ablate", "--grid", "loss", "--plan", "--json"],
        cwd=elsewhere, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert '"study": "loss"' in done.stdout


def test_every_command_of_the_readme_exists() -> None:
    text = (ROOT / "README.md").read_text()
    commands = set(re.findall(r"^p2pbench (\w+)", text, re.MULTILINE))
    assert commands >= {"ablate", "report", "data", "score", "translate"}
    for command in commands:
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", " ".join(re.findall(r"^p2pbench .*$", text, re.MULTILINE))))
    pages = [[c] for c in commands] + [["data", c] for c in ("list", "fetch", "check", "explore", "prepare")]
    known = "".join(CliRunner().invoke(app, [*page, "--help"], env={"COLUMNS": "200"}).stdout for page in pages)
    assert all(option in known for option in used)


def test_the_readmes_grid_and_network_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "README.md").read_text()
    for language, name in (("yaml", "skips.yaml"), ("python", "mine.py")):
        (block,) = [b for b in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL) if b.startswith(f"# {name}")]
        (tmp_path / name).write_text(block)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["ablate", "--grid", "skips.yaml", "--plan"])
    assert result.exit_code == 0, result.output
    assert "mine:build, lambda_l1=100" in result.stdout
    arguments = ["describe", "--set", "generator.name=mine:build", "--set", "generator.ngf=8"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    for folder, value in (("fake", 10), ("target", 30)):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (20, 20), (value,) * 3).save(tmp_path / folder / "a.png")
    arguments = ["score", "--fake", "fake", "--target", "target", "--metrics", "mine:brightness", "--json"]
    scores = json.loads(CliRunner().invoke(app, arguments).stdout)["scores"]
    assert (scores["mine:brightness"]["value"], scores["mine:brightness"]["better"]) == (20.0, "lower")


def test_ci_runs_the_readmes_test_command() -> None:
    readme, ci = ((ROOT / name).read_text() for name in ("README.md", ".ci/run"))
    for step in ("python3 -m venv .venv", '"nox[uv]"', ".venv/bin/nox -s tests"):
        assert step in readme
        assert step in ci
