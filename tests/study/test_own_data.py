"""A person's own pairs: which side is read as what is said, and what is not there is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from program import document, error_of, invoke
from study_workplace import make_workplace
from tiny_runs import write_pairs

from p2pbench.runs.store import Store
from p2pbench.study.plan import build_study
from p2pbench.study.study_file import write_study

HALVES = "condition: B (right half) -> target: A (left half)"


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs, and beside the protocol's own the same ones in folders A and B."""
    make_workplace(tmp_path, write_pairs(tmp_path / "pairs", {"train": 2, "test": 1}))
    monkeypatch.chdir(tmp_path)
    for path in Path("pairs").rglob("*.png"):
        with Image.open(path) as pair:
            for side, box in (("A", (0, 0, 20, 20)), ("B", (20, 0, 40, 20))):
                half = Path("apart") / path.parent.name / side / path.name
                half.parent.mkdir(parents=True, exist_ok=True)
                pair.crop(box).save(half)


def test_the_plan_says_how_the_pairs_are_read_and_no_word_of_other_data() -> None:
    plain = invoke("ablate", "--grid", "two.yaml", "--plan").stdout
    assert "condition: A (left half) -> target: B (right half)" in plain
    assert "a protocol for tests" in plain
    turned = invoke("ablate", "--grid", "two.yaml", "--plan", "--data", "pairs", "--direction", "BtoA").stdout
    assert HALVES in turned
    assert "study two,direction=BtoA,source=pairs, protocol tiny\n" in turned
    apart = invoke("ablate", "--grid", "two.yaml", "--plan", "--data", "apart").stdout
    assert "condition: A (folder A) -> target: B (folder B)" in apart
    drawn = invoke("ablate", "--grid", "two.yaml", "--plan", "--data", "photos").stdout
    assert "condition: A (gray) -> target: B (photo)" in drawn
    message = error_of("ablate", "--grid", "two.yaml", "--plan", "--data", "a", "--set", "data.source=b", code=2)
    assert "--data and --set data.source" in message
    assert "BtoC" in error_of("ablate", "--grid", "two.yaml", "--plan", "--direction", "BtoC", code=2)


def test_the_report_says_it_too() -> None:
    study = build_study("two.yaml", None, {"data.source": "pairs", "data.direction": "BtoA"}, [0])
    write_study(study, Store(Path("runs")))
    invoke("report")
    page = Path("reports") / study.name / "index.html"
    assert "condition: B (right half) -&gt; target: A (left half)" in page.read_text()
    assert "a protocol for tests" not in page.read_text()
    assert f"C{HALVES[1:]}." in page.with_name("scores.md").read_text()


def test_a_plan_without_the_data_shows_what_it_can_and_ends_with_3() -> None:
    shutil.rmtree("pairs")
    result = invoke("ablate", "--grid", "two.yaml", "--plan", "--json", code=3)
    assert [cell["state"] for cell in json.loads(result.stdout)["cells"]] == ["no data"] * 2
    assert "neither a built-in" in result.stderr
    assert "shows   unknown (no data here)" in invoke("ablate", "--grid", "two.yaml", "--plan", code=3).stdout
    assert document("ablate", "--grid", "two.yaml", "--plan", "--data", "drawn:4")["cells"][0]["state"] == "to run"
