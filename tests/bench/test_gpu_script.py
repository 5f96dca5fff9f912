"""The script for a borrowed GPU machine: parts share the time, one that fails stops no other, eight files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from benchmarks import gpu

from p2pbench.bench.step import step_contestants
from p2pbench.cli.bench import read_variants
from p2pbench.config.run_id import cost_key
from p2pbench.training.winner import Way


def test_parts_are_stopped_and_collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[str, tuple[str, float]] = {}
    scripts = {
        "tests": "import carried; print(carried.NAME)",
        "race": "import time; print('begun', flush=True); time.sleep(600)",
        "kernels": "raise SystemExit(3)",
        "cells": "import sys; open(sys.argv[1] + '/cells.json', 'w').write('[1]'); print('a row')",
        "cell": "import sys, pathlib; p = pathlib.Path(sys.argv[1]) / 'runs/cells/a'; p.mkdir(parents=True); "
        "(p / 'status.json').write_text('{\"state\": \"finished\"}'); print('{\"trained\": 1}')",
        "table": "print('{}')",
    }

    def command(part: str, device: str, minutes: float, folder: Path) -> list[str]:
        said[part] = device, minutes
        return ["-c", scripts[part], str(folder)]

    monkeypatch.setattr(gpu, "command_of", command)
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "carried.whl", "w") as wheel:
        wheel.writestr("carried.py", "NAME = 'from the wheel'")
    monkeypatch.setitem(gpu.MINUTES, "race", 0.05)
    out, wheels = tmp_path / "out", str(tmp_path / "wheels")
    assert gpu.main(["--out", str(out), "--wheels", wheels]) == 1
    states = {part: about["state"] for part, about in json.loads((out / "parts.json").read_text()).items()}
    assert states == {
        "tests": "done", "race": "stopped after 3 s", "kernels": "failed with exit code 3", "cells": "done",
        "table": "done", "cell": "done",
    }  # fmt: skip
    assert len(list(out.iterdir())) == 8
    assert (out / "tests.txt").read_text() == "from the wheel\n"
    assert (out / "race.json").read_text() == "begun\n"
    assert json.loads((out / "cells.json").read_text()) == [1]
    assert json.loads((out / "cell.json").read_text()) == {"ablate": {"trained": 1}, "runs": [{"state": "finished"}]}
    assert gpu.main(["table", "cell", "--minutes", "5", "--out", str(out)]) == 0
    worth = gpu.MINUTES["table"] + gpu.MINUTES["cell"]
    for part in ("table", "cell"):
        device, minutes = said[part]
        assert (device, round(minutes, 9)) == ("cuda", round(5 * gpu.MINUTES[part] / worth, 9))
    assert json.loads((out / "parts.json").read_text())["tests"]["state"] == "done"  # of the first command


@pytest.mark.parametrize(("minutes", "rivals"), [(8.0, 19), (2.6, 3)])
def test_the_table_has_what_there_is_time_for(
    minutes: float, rivals: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is stopped leaves nothing."""
    monkeypatch.setattr("p2pbench.bench.step.has_tensor_cores", lambda _: True)
    raced = gpu.command_of("race", "cuda", minutes, tmp_path)
    [(_, of_race)] = read_variants(
        None, None, [word.removeprefix("--set=") for word in raced if word.startswith("--set=")]
    )
    won = {cost_key(of_race.config): Way()}
    monkeypatch.setattr("p2pbench.bench.step.recorded_way", lambda config: won.get(cost_key(config)))
    command = gpu.command_of("table", "cuda", minutes, tmp_path)
    assert command[:4] == ["-m", "p2pbench", "bench", "step"]
    assignments = [word.removeprefix("--set=") for word in command if word.startswith("--set=")]
    variants = read_variants(command[command.index("--grid") + 1], None, assignments)
    contestants = [one for _, resolved in variants for one in step_contestants(resolved, "cuda")]
    assert sum(one.name != "plain loop" for one in contestants) == rivals


def test_pydantic_brings_the_core_that_it_works_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def call(command: list[str]) -> int:
        commands.append(command)
        return 0

    monkeypatch.setattr(gpu.subprocess, "call", call)
    assert gpu.main(["--carry", str(tmp_path)]) == 0
    _, with_needs, alone = commands
    assert "pydantic" in with_needs
    assert "--no-deps" not in with_needs
    assert "lpips" in alone
    assert "--no-deps" in alone  # which is torch
    assert not [name for name in alone if name.startswith("pydantic")]


def test_only_files_with_cuda_tests_are_run() -> None:
    files = {Path(path).name for path in gpu.with_cuda_tests()}
    assert {"test_engine.py", "test_batches.py", "test_loop.py"} <= files
    assert "test_grid.py" not in files
