"""A store that version 0.1 left, two cells of one study, is read by every command that reads one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from program import document, invoke

from p2pbench import load, translate
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.store import Store

KEPT = Path(__file__).parents[1] / "golden" / "store-0.1"
L1, CGAN = "8a4ab556bf15", "3aaac919278e"
"""Its runs; the second was scored in the inference mode that 0.1 called ``statistics``."""


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A copy of the store, with its grid, protocol and pairs, as the current folder."""
    shutil.copytree(KEPT, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("p2pbench.config.renamed._announced", set())  # as in a new process
    return Store(Path("runs"))


def test_its_runs_are_listed_whole_and_their_scores_are_read(store: Store) -> None:
    listed = {run["run_id"]: run for run in document("runs", "list")["runs"]}
    assert {name: run["state"] for name, run in listed.items()} == {L1: "finished", CGAN: "finished"}
    assert listed[CGAN]["studies"] == ["which: l1+cgan seed 0"]
    assert document("runs", "verify")["problems"] == []
    assert store.run(L1).scores().keys() == {"l1", "ssim", "psnr"}
    assert store.run(CGAN).scores() == {}
    assert store.run(CGAN, "instance-stats").scores().keys() == {"l1", "ssim", "psnr"}


def test_ablate_skips_what_it_finished_and_keeps_its_study(store: Store) -> None:
    before = store.read_study("which")
    ran = invoke("ablate", "--grid", "which.yaml", "--seeds", "0", "--json")
    found = json.loads(ran.stdout)
    assert {(cell["run_id"], cell["state"]) for cell in found["cells"]} == {(L1, "skipped"), (CGAN, "skipped")}
    assert ran.stderr.count("statistics is now called instance-stats") == 1
    after = store.read_study("which")
    assert [(c.run_id, c.variant, c.levels, c.inference) for c in after.cells] == [
        (c.run_id, c.variant, c.levels, c.inference) for c in before.cells
    ]


def test_its_study_is_reported_with_the_published_rows(store: Store) -> None:
    invoke("report", "--study", "which")
    rows = Path("reports/which/scores.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:3]] == ["l1", "l1+cgan"]
    assert all(row.split(",")[2] for row in rows[1:3])
    assert "The paper's rows" in Path("reports/which/scores.md").read_text()


def test_its_generators_translate_as_they_did(store: Store) -> None:
    with Image.open("pairs/test/0.png") as pair:
        condition = np.asarray(pair.convert("RGB"))[:, :16]
    with Image.open(store.run(CGAN, "instance-stats").sample_file("output", 0)) as kept:
        before = np.asarray(kept)
    for mode in (None, "statistics", "instance-stats"):
        output = translate(load(CGAN), condition, mode=mode)
        assert np.abs(output.astype(int) - before).max() <= 1  # another processor rounds otherwise
    done = document("translate", "--model", L1, "pairs/test/0.png", "--out", "out")
    assert [Path(file).name for file in done["files"]] == ["0.png"]


def test_unknown_keys_of_a_record_are_kept_when_it_is_written_again() -> None:
    run = RunFolder(Path("runs/cells") / L1)
    content = json.loads(run.status_file.read_text())
    content["training"]["of_a_later_version"] = content["of_a_later_version"] = [1]
    run.status_file.write_text(json.dumps(content))
    run.set_status("running", threads=2)
    written = json.loads(run.status_file.read_text())
    assert written == {**content, "state": "running", "threads": 2}
