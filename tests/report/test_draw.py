"""What figures and sheets choose to show, and records that are not as they should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_records import OBJECTIVES, fill, loss_study, pixels

from p2pbench.report.figures.all import DRAW
from p2pbench.report.figures.costs import pareto_front
from p2pbench.report.figures.panels import MOST_DRAWN, drawn
from p2pbench.report.figures.sheets import GAP, LABEL, LINE, write_sheets
from p2pbench.report.index import compare_studies
from p2pbench.report.page import write_report
from p2pbench.report.records import read_study
from p2pbench.report.samples import choose, pairs_on_page
from p2pbench.report.verdict import answer
from p2pbench.runs.store import Store
from p2pbench.study.plan import build_study
from p2pbench.study.study_file import write_study
from p2pbench.system.figure_style import COLUMN


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "runs")
    loss_study(made, [0])
    return made


def test_the_pareto_front_is_what_nothing_beats() -> None:
    front = pareto_front({"cheap": (1, 0.2), "dear": (3, 0.9), "beaten": (3, 0.5), "middle": (2, 0.6), "no": (2, 0.1)})
    assert front == ["cheap", "middle", "dear"]
    assert pareto_front({"a": (1, 1), "same": (1, 1)}) == ["a", "same"]


def test_samples_are_chosen_by_the_rule_that_is_stated(store: Store) -> None:
    study = read_study(store, "loss")
    choice = choose(study)
    assert choice is not None
    (base,) = study.of("l1+cgan")
    ranked = base.per_image["l1"].to_numpy().argsort()
    assert [(s.why, s.position) for s in choice.samples[:3]] == [
        ("best", ranked[0]), ("median", ranked[10]), ("worst", ranked[-1]),
    ]  # fmt: skip
    assert choice.rule.startswith(
        "Best, median and worst of the 20 test images by L1 of l1+cgan, seed 0; then images at"
    )
    assert len({s.position for s in choice.samples}) == len(choice.samples) == 9
    assert choice.samples[0].name == f"{ranked[0]:03d}"


def test_sheets_show_these_pictures_and_their_differences(store: Store, tmp_path: Path) -> None:
    study = read_study(store, "loss")
    choice = choose(study)
    assert choice is not None
    sheets = write_sheets(study, choice, tmp_path)
    side = 96  # 16 enlarged six times
    samples, errors = pixels(sheets["samples"]), pixels(sheets["errors"])
    position = choice.samples[1].position
    top = LINE + 8 + side + GAP
    for column, (cell, name) in enumerate([(choice.shown[0], "condition"), *((c, "output") for c in choice.shown)]):
        left = LABEL + column * (side + GAP)
        picture = pixels(cell.run.sample_file(name, position))
        shown = samples[top : top + side, left : left + side].reshape(16, 6, 16, 6, 3)[:, 2:4, :, 2:4].mean(axis=(1, 3))
        assert np.abs(shown - picture).mean() < 8  # a JPEG; another picture would be 85 away
    exact = LABEL + 1 * (side + GAP)  # of l1, whose outputs are the targets: black
    assert errors[top + 8 : top + side - 8, exact + 8 : exact + side - 8].mean() < 8  # at its border JPEG rings
    worse = exact + side + GAP
    assert errors[top : top + side, worse : worse + side].mean() > 20
    assert "redraws" in sheets


def test_outputs_that_no_noise_changes_have_no_sheet_of_it(store: Store, tmp_path: Path) -> None:
    for run in (cell.run for cell in read_study(store, "loss").cells):
        for draw in (1, 2):
            run.sample_file(f"draw{draw}", 3).write_bytes(run.sample_file("output", 3).read_bytes())
    study = read_study(store, "loss")
    assert "redraws" not in write_sheets(study, choose(study), tmp_path)


def test_a_missing_or_damaged_picture_is_said_to_be_missing(store: Store, tmp_path: Path) -> None:
    study = read_study(store, "loss")
    choice = choose(study)
    assert choice is not None
    before = pixels(write_sheets(study, choice, tmp_path / "before")["samples"])
    choice.shown[2].run.sample_file("output", choice.samples[0].position).write_bytes(b"no picture")
    after = pixels(write_sheets(study, choice, tmp_path / "after")["samples"])
    assert (before != after).any()
    first, second = (
        {picture.title for picture in pair.pictures if picture.address} for pair in pairs_on_page(study, choice)[:2]
    )
    assert second - first == {"cgan"}


def test_runs_of_before_pictures_were_kept_are_reported_with_what_they_left(store: Store, tmp_path: Path) -> None:
    for cell in read_study(store, "loss").cells:
        cell.run.profile_file.unlink()
        for path in cell.run.test_samples.iterdir():
            if int(path.name[:5]) % 5:
                path.unlink()
    report = write_report(store, "loss", tmp_path / "out")
    names = {file.name for file in report.files}
    assert "samples.jpg" in names
    assert not {"spectrum.png", "colours.png"} & names
    choice = choose(report.record)
    assert choice is not None
    assert "of the 4 test images that are kept" in choice.rule


def test_many_variants_are_drawn_as_the_baseline_and_the_best(tmp_path: Path) -> None:
    grid = tmp_path / "many.yaml"
    grid.write_text(
        "protocol: quick\nbaseline: {objective.lambda_l1: 29}\nscoring: {metrics: [l1, lpips, fid]}\n"
        f"factors: {{objective.lambda_l1: {list(range(30))}}}\n"
    )
    made = Store(tmp_path / "runs")
    study = build_study(str(grid), None, {}, [0])
    write_study(study, made)
    for rank, cell in enumerate(study.cells):
        fill(made, str(cell.run_id), rank, 1)
    shown = drawn(read_study(made, "many"))
    assert shown == [*(f"lambda_l1={k}" for k in range(MOST_DRAWN - 1)), "lambda_l1=29"]


def cut(text: str) -> str:
    return text[: len(text) // 2]


def aged(text: str) -> str:
    return text.replace('"schema_version": 1', '"schema_version": 9')


ODD = '{"schema_version": 1, "kept": ["a"], "spectrum": {"output": 1}, "lab": 3, "redrawn": 4}'
BAD: dict[str, tuple[str, Callable[[str], str]]] = {
    "NaN as a score": ("scores.json", lambda text: text.replace('"value": 0.', '"value": NaN, "x": 0.')),
    "text among the values": ("per_image.csv", lambda text: text.replace("000,0.", "000,zero")),
    "half of the values": ("per_image.csv", cut),
    "half a record": ("scores.json", cut),
    "a record of another version": ("scores.json", aged),
    "a status of another version": ("status.json", aged),
    "words where the training is": ("status.json", lambda text: text.replace('"training": {', '"training": 5, "x": {')),
    "words as seconds": ("status.json", lambda text: text.replace('"seconds": 6', '"seconds": "long", "x": 6')),
    "words among the losses": ("losses.csv", lambda text: text.replace(",0.4", ",much")),
    "no losses": ("losses.csv", lambda text: ""),
    "half a profile": ("profile.json", cut),
    "another profile": ("profile.json", lambda text: ODD),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_records_are_reported_as_far_as_they_can_be(store: Store, what: str) -> None:
    """Of one cell; the figures and sentences of the rest are made, without a warning."""
    name, spoil = BAD[what]
    (cell,) = read_study(store, "loss").of("gan")
    path = cell.run.path / name
    text = path.read_text()
    assert spoil(text) != text
    path.write_text(spoil(text))
    study = read_study(store, "loss")
    import matplotlib.pyplot as plt

    from p2pbench.report.latex import to_latex
    from p2pbench.report.tables import long, to_markdown, wide

    assert answer(study)[0].startswith("By L1")
    for draw in DRAW.values():
        plt.close(draw(study, COLUMN))
    assert len(wide(study)) == 5
    assert len(long(study)) >= 12
    assert to_markdown(study)
    assert to_latex(study)
    assert pairs_on_page(study, choose(study))


def test_scores_that_are_all_not_measured_are_said_to_be(store: Store, tmp_path: Path) -> None:
    for path in store.root.glob("cells/*/scores.json"):
        content = json.loads(path.read_text())
        content["scores"] = {
            name: {**score, "value": None, "low": None, "high": None, "state": "not measured", "reason": "no weights"}
            for name, score in content["scores"].items()
        }
        path.write_text(json.dumps(content))
        path.with_name("per_image.csv").write_text("image\n" + "\n".join(f"{i:03d}" for i in range(20)))
    report = write_report(store, "loss", tmp_path / "out")
    assert answer(report.record)[0] == "There is no answer: none of the scores could be measured (no weights)."
    page = (report.folder / "index.html").read_text()
    assert "L1, LPIPS (alex) and FID – no weights" in page  # one line for one reason
    assert set(pd.read_csv(report.folder / "scores_long.csv")["state"]) == {"not measured"}


def test_a_study_of_one_cell_is_reported(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("protocol: quick\nfactors: {objective: [l1]}\n")
    made = Store(tmp_path / "runs")
    study = build_study(str(tmp_path / "one.yaml"), None, {"scoring.metrics": ["l1"]}, [0])
    write_study(study, made)
    fill(made, str(study.cells[0].run_id), 0, 0)
    report = write_report(made, "one", tmp_path / "out")
    assert answer(report.record) == ["There is nothing to compare: l1 alone has a result."]
    assert "samples.jpg" in {file.name for file in report.files}


def test_studies_stand_side_by_side_and_are_not_merged(store: Store, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("data: {source: photos, condition: gray}\ntraining: {epochs: 1}\n")
    other = build_study("loss", str(tmp_path / "other.yaml"), {"scoring.metrics": ["l1"]}, [0, 1])
    write_study(other, store)
    for cell in other.cells:
        fill(store, str(cell.run_id), OBJECTIVES.index(cell.variant), cell.seed)
        if cell.seed == 1:
            store.run(str(cell.run_id)).set_status("finished", machine={"processor": "another"})
    studies = [read_study(store, name) for name in store.studies()]
    tables = dict(compare_studies(studies))
    assert list(tables) == OBJECTIVES
    table = tables["gan"]
    assert list(table["study"]) == ["loss", "loss@other", "loss@other"]
    assert list(table["machine"]) == ["processor: test", "processor: test", "processor: another"]
    assert list(table["trainings"]) == ["1", "1", "1"]
    assert set(table["place"]) == {"2 of 5 by L1"}
    assert table["from l1+cgan"].iloc[0].startswith("−0.0")
    assert list(tables["l1+cgan"]["from l1+cgan"]) == ["the baseline"] * 3
    assert not table["L1 ↓"].str.contains("±").any()
    of_seeds = [cell.scores["l1"] for study in studies for cell in study.of("gan")]
    for text, score in zip(table["L1 ↓"], of_seeds, strict=True):  # no machine's interval is of another's trainings
        assert [float(end) for end in text[text.index("[") + 1 : -1].split(", ")] == pytest.approx(
            [score.low, score.high], abs=6e-4
        )
