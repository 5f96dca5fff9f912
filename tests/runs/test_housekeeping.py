"""``p2pbench runs``: what is listed, shown, pruned and verified, on runs that the program made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from program import document, error_of, invoke

from p2pbench.runs.folder import RunFolder
from p2pbench.runs.housekeeping import verify


@pytest.fixture(scope="module")
def made(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one study of two finished cells and one that failed in a study of its own."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("made") / "place")
    (folder / "bad.yaml").write_text("protocol: tiny.yaml\nfactors: {training.learning_rate: [1.0e+30]}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("P2PBENCH_HOME", str(folder / "home"))
        invoke("ablate", "--grid", "bad.yaml", code=4)
    return folder / "runs"


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(made, tmp_path / "runs"))


def cells(runs: Path) -> dict[str, Any]:
    return {run["run_id"]: run for run in document("runs", "list", "--runs", runs)["runs"]}


def finished(runs: Path) -> RunFolder:
    return RunFolder(next(Path(r["folder"]) for r in cells(runs).values() if r["state"] == "finished"))


def test_runs_are_listed_with_state_size_study_and_reason(runs: Path) -> None:
    found = cells(runs)
    assert sorted(run["state"] for run in found.values()) == ["failed", "finished", "finished"]
    (failed,) = (run for run in found.values() if run["state"] == "failed")
    assert "is not finite" in failed["reason"]
    assert failed["studies"][0].startswith("bad: ")
    for run in found.values():
        assert run["bytes"] == sum(p.stat().st_size for p in Path(run["folder"]).rglob("*") if p.is_file())
    text = invoke("runs", "list", "--runs", runs).stdout
    assert "two: l1+cgan" in " ".join(text.split())
    assert "3 runs" in text
    assert document("runs", "list", "--state", "failed", "--runs", runs)["runs"] == [failed]


def test_a_run_is_shown_with_its_scores_and_the_end_of_its_log(runs: Path) -> None:
    run = finished(runs)
    text = invoke("runs", "show", run.path.name[:6], "--runs", runs).stdout
    for word in (
        "finished",
        "setting  training.",
        "12 steps",
        "score    l1 0.",
        "file     generator.safetensors",
        "log ",
    ):
        assert word in text
    shown = document("runs", "show", run.path.name, "--runs", runs)
    assert shown["scores"] == {name: score.to_json() for name, score in run.scores().items()}
    assert shown["status"]["state"] == "finished"


def test_a_run_whose_process_vanished_is_not_called_running(runs: Path) -> None:
    run = finished(runs)
    run.set_status("running")
    assert cells(runs)[run.path.name]["state"] == "interrupted"
    with run.lock():
        assert cells(runs)[run.path.name]["state"] == "running"
        assert list(verify(run)) == []


def test_whole_runs_are_verified_and_changed_ones_are_found(runs: Path) -> None:
    assert document("runs", "verify", "--runs", runs) == {"runs": 3, "whole": 3, "problems": [], "studies": []}
    run = finished(runs)
    weights = bytearray(run.generator_file.read_bytes())
    weights[-1] ^= 1
    run.generator_file.write_bytes(weights)
    run.losses_file.unlink()
    result = invoke("runs", "verify", "--runs", runs, "--json", code=3)
    found = {p["file"]: p["detail"] for p in json.loads(result.stdout)["problems"]}
    assert found["losses.csv"] == "is missing; run ablate again, which goes on without it"
    assert found["generator.safetensors"].startswith("is not what the run left: it was changed or is damaged; remove")
    assert "2 of them whole" in invoke("runs", "verify", "--runs", runs, code=3).stdout
    assert "1 of them whole" in invoke("runs", "verify", _other(runs, run), "--runs", runs).stdout


def _other(runs: Path, run: RunFolder) -> str:
    return next(name for name, about in cells(runs).items() if name != run.path.name and about["state"] == "finished")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_record_cut_at_any_byte_is_not_believed(runs: Path, data: st.DataObject) -> None:
    run = finished(runs)
    name = data.draw(st.sampled_from(["status.json", "scores.json", "per_image.csv", "losses.csv", "config.yaml"]))
    path = run.path / name
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 2))  # without its last line break JSON is still whole
    try:
        path.write_bytes(whole[:cut])
        assert not run.finished()
        assert list(verify(run))
    finally:
        path.write_bytes(whole)
    assert run.finished()


def test_prune_shows_first_and_removes_only_what_is_of_no_use(runs: Path) -> None:
    run = finished(runs)
    (run.path / ".scores.json.abc.part").write_text("half")
    run.checkpoint.mkdir()
    (run.checkpoint / "step-00000003.safetensors").write_bytes(b"x" * 100)
    text = invoke("runs", "prune", "--runs", runs).stdout
    assert "left by a killed write" in text
    assert "add --yes" in text
    assert run.checkpoint.is_dir()
    found = document("runs", "prune", "--yes", "--runs", runs)
    assert (found["removed"], found["bytes"], len(found["found"])) == (True, 104, 2)
    assert not run.checkpoint.exists()
    assert run.finished()
    assert len(cells(runs)) == 3
    assert document("runs", "prune", "--runs", runs)["found"] == []


def test_prune_removes_whole_runs_only_when_asked(runs: Path) -> None:
    run = finished(runs)
    (failed,) = (Path(r["folder"]) for r in cells(runs).values() if r["state"] == "failed")
    assert document("runs", "prune", "--failed", "--older", "1", "--yes", "--runs", runs)["found"] == []
    with RunFolder(failed).lock():
        assert document("runs", "prune", "--failed", "--yes", "--runs", runs)["found"] == []
    whole = run.status_file.read_bytes()
    run.status_file.write_bytes(whole[:40])  # its weights are there, and a study names it
    assert [Path(item["path"]) for item in document("runs", "prune", "--failed", "--runs", runs)["found"]] == [failed]
    run.status_file.write_bytes(whole)
    document("runs", "prune", "--failed", "--yes", "--runs", runs)
    assert not failed.exists()
    shutil.rmtree(runs / "studies" / "two")
    assert [item["why"] for item in document("runs", "prune", "--unused", "--runs", runs)["found"]] == [
        "in no study"
    ] * 2
    document("runs", "prune", "--unused", "--yes", "--runs", runs)
    assert cells(runs) == {}
    assert not run.path.exists()


def test_damaged_and_foreign_folders_are_told(runs: Path) -> None:
    run = finished(runs)
    run.status_file.write_text('{"state": "finished"')
    assert cells(runs)[run.path.name]["state"] == "damaged"
    assert [p.detail for p in verify(run)] == ["missing or damaged"]
    (runs / "cells" / "0123456789ab").mkdir()
    assert cells(runs)["0123456789ab"]["state"] == "interrupted"  # killed before it began


def test_mistakes_are_one_line(tmp_path: Path, runs: Path) -> None:
    assert "there are no runs under" in error_of("runs", "list", "--runs", tmp_path / "none", code=2)
    assert "unknown state 'finish'; did you mean 'finished'" in error_of(
        "runs", "list", "--state", "finish", "--runs", runs, code=2
    )
    assert "neither a run folder nor the id" in error_of("runs", "show", "nope", "--runs", runs, code=2)


def test_a_checkpoint_with_a_turned_bit_is_found(runs: Path) -> None:
    """As resuming would find it."""
    from p2pbench.training import checkpoint

    run = finished(runs)
    run.set_status("interrupted")
    progress = checkpoint.Progress(3, [], torch.zeros(0, 4), 0.0)
    checkpoint.write(run.checkpoint, run.path.name, progress, {"x": torch.rand(100)}, keep=1)
    assert list(verify(run)) == []
    (path,) = run.checkpoint.iterdir()
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    (problem,) = verify(run)
    assert problem.file == "checkpoint/step-00000003.safetensors"
    assert "its content has changed since it was written" in problem.detail


def test_a_cell_that_is_only_starting_is_not_said_to_have_vanished(runs: Path) -> None:
    folder = runs / "cells" / "0123456789ab"
    folder.mkdir()
    (folder / "log.txt").touch()
    reason = cells(runs)["0123456789ab"]["reason"]
    assert "it is only starting" in reason
