"""Studies through the command line: trained, skipped, grown, trained again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from program import document, invoke
from study_workplace import Workplace, records

GRID = ("--grid", "two.yaml", "--jobs", "2")


def test_a_study_from_grid_to_report(trained: Path, with_two: Workplace) -> None:
    first = json.loads((trained / "said.json").read_text())
    assert (first["study"], first["trained"], first["skipped"], first["failed"]) == ("two", 2, 0, 0)
    assert [cell["state"] for cell in first["cells"]] == ["trained", "trained"]
    assert "2 of 2 cells finished" in (trained / "reports" / "two" / "live.html").read_text()
    before = records(with_two.folder / "runs")

    again = with_two.json("ablate", *GRID)
    assert (again["trained"], again["skipped"]) == (0, 2)
    assert records(with_two.folder / "runs") == before
    assert "0 trained, 2 finished before" in invoke("ablate", *GRID).stdout

    for cell in first["cells"]:
        run = trained / "runs" / "cells" / cell["run_id"]
        assert {path.name for path in run.iterdir()} >= {
            "config.yaml", "status.json", "losses.csv", "scores.json", "per_image.csv", "samples",
            "generator.safetensors", "log.txt", "lock",
        }  # fmt: skip
        assert not (run / "checkpoint").exists()
        assert "trained 12 steps" in (run / "log.txt").read_text()
        assert (run / "samples" / "epoch-0000.png").is_file()
        assert (run / "samples" / "epoch-0002.png").is_file()

    report = with_two.json("report", "--out", "out")["studies"][0]
    assert report["finished"] == 2
    out = with_two.folder / "out" / "two"
    assert {path.name for path in out.iterdir()} >= {
        "index.html", "scores.csv", "scores_long.csv", "scores.md", "scores.tex",
        "scores.png", "losses.svg", "spectrum.png", "colours.png", "samples.jpg",
    }  # fmt: skip
    variants = [row.split(",")[0] for row in (out / "scores.csv").read_text().splitlines()[1:]]
    assert variants[:2] == ["l1", "l1+cgan"]
    assert all(variant.startswith("reference: ") for variant in variants[2:])


def test_a_study_grows_seed_by_seed(with_two: Workplace) -> None:
    found = document("ablate", *GRID, "--seeds", "1")
    assert (found["trained"], found["skipped"]) == (2, 0)
    document("ablate", *GRID, "--seeds", "1", "--set", "training.epochs=1")
    reports = {study["study"]: study["cells"] for study in document("report")["studies"]}
    assert reports == {"two": 4, "two,epochs=1": 2}  # another training: not mixed with those


def test_what_training_left_is_not_believed_when_it_has_changed(with_two: Workplace) -> None:
    before = records(with_two.folder / "runs")
    first, second = sorted((with_two.folder / "runs" / "cells").iterdir())
    (first / "generator.safetensors").unlink()
    scores = (first / "scores.json").read_text()
    (first / "scores.json").write_text(scores.replace('"value": 0.', '"value": 0.9'))
    generator = (second / "generator.safetensors").read_bytes()
    (second / "generator.safetensors").write_bytes(generator[:-9] + b"123456789")
    (second / "per_image.csv").write_text("")
    (second / "scores.json").unlink()
    assert document("ablate", *GRID)["failed"] == 0
    assert records(with_two.folder / "runs") == before


def test_one_training_is_scored_under_every_inference_mode(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace.folder)
    (workplace.folder / "inference.yaml").write_text(
        "protocol: tiny.yaml\nfactors: {scoring.inference: [paper, instance-stats, eval]}\n"
    )
    found = document("ablate", "--grid", "inference.yaml")
    assert len({cell["run_id"] for cell in found["cells"]}) == 1
    (run,) = (workplace.folder / "runs" / "cells").iterdir()
    assert {p.name for p in run.glob("scores*.json")} == {"scores.json", "scores-statistics.json", "scores-eval.json"}
    document("report")
    rows = (workplace.folder / "reports" / "inference" / "scores.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:4]] == ["inference=paper", "inference=instance-stats", "inference=eval"]
    assert len({row.split(",")[2] for row in rows[1:4]}) == 3
    again = document("ablate", "--grid", "inference.yaml")
    assert (again["skipped"], again["shared"]) == (1, 2)


def test_jobs_at_once_give_the_same_bits(with_two: Workplace) -> None:
    document("ablate", "--grid", "two.yaml", "--runs", "one by one")
    assert records(with_two.folder / "one by one") == records(with_two.folder / "runs")
