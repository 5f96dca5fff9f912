"""Scores that a finished study gets later: without training again, and with the same bits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from program import document, invoke
from study_workplace import Workplace, records

from p2pbench.system.files import sha256_of


def test_a_score_asked_for_later_is_added_without_training(with_two: Workplace) -> None:
    later = ("--grid", "two.yaml", "--jobs", "2", "--runs", "later")
    document("ablate", *later, "--set", "scoring.metrics=[l1]")
    cells = with_two.folder / "later" / "cells"
    weights = {path: path.read_bytes() for path in cells.glob("*/generator.safetensors")}
    found = document("ablate", *later)
    assert (found["trained"], found["skipped"], found["scored"]) == (0, 2, 2)
    assert {path: path.read_bytes() for path in cells.glob("*/generator.safetensors")} == weights
    for name, content in records(with_two.folder / "runs").items():  # all was asked for there at once
        if not name.endswith("scores.json"):  # there the order of scores may differ
            assert (cells / name).read_bytes() == content, name


def _make_older(run: Path) -> None:
    """As a run is that finished before reports were drawn from more than scores, and scores of sets had more."""
    status = json.loads((run / "status.json").read_text())
    del status["training"]["generator_flops"], status["files"]["profile.json"], status["files"]["samples/test"]
    scores = json.loads((run / "scores.json").read_text())
    del scores["scores"]["hist-l-set"]["settings"]["jackknife"], status["files"]["jackknife.csv"]
    (run / "scores.json").write_text(json.dumps(scores))
    (run / "jackknife.csv").unlink()
    status["files"]["scores.json"] = sha256_of(run / "scores.json")
    (run / "status.json").write_text(json.dumps(status))
    (run / "profile.json").unlink()
    for path in (run / "samples" / "test").glob("*-output.png"):
        path.unlink()


def test_what_reports_show_is_added_to_a_finished_run_without_training(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace.folder)
    (workplace.folder / "one.yaml").write_text("protocol: tiny.yaml\nfactors: {objective: [l1+cgan]}\n")
    one = ("--grid", "one.yaml", "--set", "training.epochs=1", "--set", "scoring.metrics=[l1, hist-l-set]")
    document("ablate", *one)
    (run,) = (workplace.folder / "runs" / "cells").iterdir()
    before, pseudo = records(workplace.folder / "runs"), (run / "jackknife.csv").read_text()
    assert [line.split(",")[0] for line in pseudo.splitlines()] == ["unit", "000", "001", "002"]
    _make_older(run)
    found = document("ablate", *one)
    assert (found["trained"], found["scored"]) == (0, 1)
    assert records(workplace.folder / "runs") == before
    assert (run / "jackknife.csv").read_text() == pseudo
    status = json.loads((run / "status.json").read_text())
    assert status["training"]["generator_flops"] > 0
    assert {"profile.json", "samples/test"} <= status["files"].keys()
    kept = {path.name for path in (run / "samples" / "test").iterdir()}
    assert kept >= {f"{k:05d}-{name}.png" for k in range(3) for name in ("condition", "output", "target", "draw3")}
    assert document("runs", "verify")["problems"] == []
    (run / "samples" / "test" / "00001-output.png").write_bytes(b"no picture")
    (problem,) = json.loads(invoke("runs", "verify", "--json", code=3).stdout)["problems"]
    assert (problem["run_id"], problem["file"]) == (run.name, "samples/test")
    assert document("ablate", *one)["scored"] == 1
    assert document("runs", "verify")["problems"] == []


def test_a_score_of_the_users_own_is_a_column_and_measured_anew_when_it_changes(workplace: Workplace) -> None:
    (workplace.folder / "own_metric.py").write_text("def bits(f, t):\n    return [1.0] * len(f)\n")
    (workplace.folder / "own.yaml").write_text(
        'protocol: tiny.yaml\nfactors: {objective: [l1]}\nscoring: {extra_metrics: ["own_metric:bits", diversity]}\n'
    )
    assert workplace.json("ablate", "--grid", "own.yaml")["trained"] == 1
    workplace.json("report")
    text = (workplace.folder / "reports" / "own" / "scores.md").read_text()
    assert "Not measured: bits: 'own_metric:bits' failed: ValueError: it does not say which way is better" in text
    with (workplace.folder / "own_metric.py").open("a") as module:
        module.write("bits.better = 'lower'\n")
    found = workplace.json("ablate", "--grid", "own.yaml")
    assert (found["trained"], found["scored"]) == (0, 1)
    assert workplace.json("ablate", "--grid", "own.yaml")["scored"] == 0
    workplace.json("report")
    text = (workplace.folder / "reports" / "own" / "scores.md").read_text()
    assert "| bits ↓ |" in text
    assert "diversity ↑" in text
    message = workplace.run("ablate", "--grid", "own.yaml", "--set", "scoring.metrics=[own_metric:bit]", code=2).stderr
    assert "did you mean 'bits'" in message


def test_variants_that_share_a_training_get_the_scores_of_each(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace.folder)
    (workplace.folder / "shared.yaml").write_text(
        "protocol: tiny.yaml\nfactors:\n  asked:\n    - {label: a, scoring.extra_metrics: [sharpness]}\n"
        "    - {label: b, scoring.extra_metrics: [diversity]}\n"
    )
    found = document("ablate", "--grid", "shared.yaml")
    (run,) = {cell["run_id"] for cell in found["cells"]}
    scores = json.loads((workplace.folder / "runs" / "cells" / run / "scores.json").read_text())["scores"]
    assert {"l1", "sharpness", "diversity"} <= scores.keys()
