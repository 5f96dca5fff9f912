"""Reference rows through the command line: made once, kept, made anew when they must be, never in the cells' way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from program import document, invoke
from study_workplace import PROTOCOL, Workplace
from tiny_runs import write_pairs

from p2pbench.config.data_section import DataConfig
from p2pbench.data.dataset import open_dataset, trained_on

SCORES = "scoring: {metrics: [l1, psnr, ssim, swd, diversity]}"
ROWS = ["real (training images)", "real (split half)", "condition", "mean image", "nearest neighbour", "untrained"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """12 training and 4 test pairs; the second test pair is the first training pair."""
    pairs = write_pairs(tmp_path / "twelve", {"train": 12, "test": 4}, size=16)
    shutil.copy(pairs / "train" / "000.png", pairs / "test" / "001.png")
    (tmp_path / "tiny.yaml").write_text(PROTOCOL.format(source=pairs))
    (tmp_path / "one.yaml").write_text(f"protocol: tiny.yaml\nfactors: {{objective: [l1]}}\n{SCORES}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def record(study: str = "one") -> Any:
    return json.loads(Path("runs/studies", study, "references.json").read_text())


def rows(study: str = "one") -> dict[str, Any]:
    return {row["name"]: row for row in record(study)["rows"]}


def ablate(*arguments: str) -> Any:
    return document("ablate", "--grid", "one.yaml", *arguments)["references"]


def test_a_study_gets_its_reference_rows_and_a_report_shows_them(place: Path) -> None:
    assert ablate() == {"state": "made", "reason": None}
    found = rows()
    assert list(found) == ROWS
    for name in ROWS[:2]:
        assert list(found[name]["scores"]) == ["swd"]  # a paired score of real images says nothing
        assert found[name]["scores"]["swd"]["n"] == 4
    # B is A's negative.
    given = np.stack([np.asarray(Image.open(p)) for p in sorted((place / "twelve/test").iterdir())])[:, :, :16] / 255
    assert found["condition"]["scores"]["l1"]["value"] == pytest.approx(np.abs(2 * given - 1).mean())
    diversity = {name: found[name]["scores"]["diversity"] for name in ROWS[2:]}
    assert diversity.pop("untrained")["value"] > 0
    assert all("needs a model" in score["reason"] for score in diversity.values())

    import pandas as pd

    table: Any = pd.read_csv("runs/studies/one/references-per_image.csv", dtype={"image": str})
    near = table[table["row"] == "nearest neighbour"].set_index("image")
    assert near.loc["001", "l1"] == 0  # the pair that training has seen
    assert near["training_image"].iloc[1] == 0
    assert near["l1"].mean() == pytest.approx(found["nearest neighbour"]["scores"]["l1"]["value"])

    invoke("report")
    text = Path("reports/one/scores.md").read_text()
    own, references = text.split("| *references* |")
    assert "| l1 " in own
    for name in ROWS:
        assert f"| {name} |" in references
        assert f"- {name}: " in references
    (floor,) = [line for line in references.splitlines() if line.startswith("| real (split half) ")]
    assert floor.count("| - ") == 4
    assert "*" not in floor
    assert "A dash: paired scores of real images" in references
    assert "references" in Path("reports/one/index.html").read_text()
    frame = pd.read_csv("reports/one/scores.csv").set_index("variant")
    assert frame.loc["reference: untrained", "state"] == "reference"
    assert frame.loc["reference: untrained", "l1_n"] == 4
    assert "real (split half)" in Path("reports/one/scores.tex").read_text().split("midrule")[2]


def test_rows_know_the_pairs_that_were_trained_on_and_no_others(place: Path) -> None:
    import pandas as pd

    ablate("--set", "data.train_size=3", "--name", "three")
    dataset = open_dataset(DataConfig(source="twelve", train_size=3))
    seen = {dataset.names["train"][position] for position in trained_on(dataset)}
    table = pd.read_csv("runs/studies/three/references-per_image.csv", dtype={"training_image": str})
    found = set(table["training_image"].dropna())
    assert found
    assert found <= seen
    assert "of the 3 training targets" in rows("three")["mean image"]["about"]


def test_rows_are_made_again_only_when_what_they_depend_on_has_changed(place: Path) -> None:
    assert ablate()["state"] == "made"
    before = record()
    assert ablate("--seeds", "0,1")["state"] == "kept"  # they are the first seed's
    Path("runs/studies/one/references.json").write_text("{}")
    assert ablate("--set", "scoring.extra_metrics=[sharpness]")["state"] == "made"
    again = rows()
    for row in before["rows"][2:]:
        assert again[row["name"]]["scores"].pop("sharpness")["value"] > 0
        assert again[row["name"]] == row
    Path("runs/studies/one/references.json").unlink()
    assert ablate("--set", "scoring.extra_metrics=[sharpness]")["state"] == "made"  # though all cells are finished

    content = record()
    Path("runs/studies/one/references.json").write_text(json.dumps({**content, "run_id": "0123456789ab"}))
    invoke("report")
    assert "references" not in Path("reports/one/scores.md").read_text()  # they are of other data


def test_rows_that_cannot_be_made_say_why_and_the_others_are(place: Path) -> None:
    for path in sorted((place / "twelve/train").iterdir())[6:]:
        path.unlink()
    grey = ("--set", "data.channels=[1, 3]")
    assert ablate(*grey)["state"] == "made"
    found = rows("one,channels=1-3")
    assert found["real (split half)"]["reason"] == "at n = 4 it needs 8 training pairs; there are 6"
    assert found["real (training images)"]["scores"]["swd"]["value"] > 0
    assert found["condition"]["scores"]["l1"]["value"] > 0  # grey, shown as a grey picture
    invoke("report")
    text = Path("reports/one,channels=1-3/scores.md").read_text()
    assert "real (split half) not measured: at n = 4 it needs 8 training pairs; there are 6." in text


def test_a_study_without_scores_of_sets_has_no_row_of_real_images(place: Path) -> None:
    (place / "one.yaml").write_text("protocol: tiny.yaml\nfactors: {objective: [l1]}\n")
    ablate()
    assert list(rows()) == ROWS[2:]


def test_a_failure_is_told_and_recorded_and_loses_nothing(workplace: Workplace) -> None:
    (workplace.folder / "two.yaml").write_text("protocol: tiny.yaml\nfactors: {objective: [l1]}\n")
    (workplace.folder / "breaks.py").write_text(
        "import sys\ndef score(fakes, targets):\n"
        "    if 'reference_rows' in sys.orig_argv:\n        import os; os._exit(7)\n"
        "    return [0.0] * len(fakes)\nscore.better = 'lower'\n"
    )
    done = workplace.run("ablate", "--grid", "two.yaml", "--set", "scoring.metrics=[l1, 'breaks:score']", "--json")
    found = json.loads(done.stdout)
    assert (found["trained"], found["failed"]) == (1, 0)
    assert found["references"]["state"] == "failed"
    assert "no reference rows: its process ended with exit code 7" in done.stderr
    kept = json.loads((workplace.folder / "runs/studies/two/references.json").read_text())
    assert (kept["state"], kept["reason"]) == ("failed", found["references"]["reason"])
    workplace.json("report")
    assert "references" not in (workplace.folder / "reports/two/scores.md").read_text()
