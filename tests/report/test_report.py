"""Reports from records, good and bad: every number traceable, no claim beyond the statistics, the same bytes again."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from program import invoke
from report_records import ASKED, OBJECTIVES, fill, loss_study

from p2pbench.config.shipped import published_tables
from p2pbench.report.comparisons import best, comparisons, with_baseline
from p2pbench.report.figures.training import draw_losses
from p2pbench.report.latex import to_latex
from p2pbench.report.markup import latex_escape
from p2pbench.report.page import Report, write_report
from p2pbench.report.records import read_study
from p2pbench.report.summaries import summarise, unlike
from p2pbench.report.tables import printed, to_markdown, wide
from p2pbench.report.training_cost import training_flops
from p2pbench.report.verdict import answer, by_score
from p2pbench.runs.store import Store
from p2pbench.statistics.comparison import sign_flip_p
from p2pbench.statistics.intervals import mean_interval
from p2pbench.statistics.trainings import over_trainings
from p2pbench.study.plan import build_study
from p2pbench.study.study_file import write_study

FIGURES = ("answer", "scores", "distributions", "differences", "pareto", "throughput", "losses", "spectrum", "colours")
SHEETS = ("samples", "errors", "redraws")
TEXTS = {"index.html", "scores.csv", "scores_long.csv", "scores.md", "scores.tex"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """The records of the loss grid with two seeds: each variant is a little worse than the one before."""
    made = Store(tmp_path / "runs")
    loss_study(made, [0, 1])
    return made


def test_a_report_has_all_its_files(loss_report: Report) -> None:
    assert (loss_report.n_finished, loss_report.n_cells) == (10, 10)
    figures = {f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")}
    folder = loss_report.folder
    files = {file.relative_to(folder).as_posix() for file in loss_report.files}
    assert files == TEXTS | figures | {f"{name}.jpg" for name in SHEETS}
    assert files == {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    frame = pd.read_csv(loss_report.folder / "scores.csv")
    assert list(frame["variant"]) == OBJECTIVES
    assert len(pd.read_csv(loss_report.folder / "scores_long.csv")) == 10 * 3


def test_the_same_records_give_the_same_bytes(loss_report: Report, tmp_path: Path) -> None:
    again = write_report(Store(loss_report.folder.parents[1] / "runs"), "loss", tmp_path)
    for a, b in zip(loss_report.files, again.files, strict=True):
        assert a.read_bytes() == b.read_bytes(), a.name


def test_every_number_is_the_records(store: Store) -> None:
    study = read_study(store, "loss")
    frame: Any = wide(study).set_index("variant")
    per_variant = {v: np.mean([cell.per_image["l1"].to_numpy() for cell in study.of(v)], axis=0) for v in OBJECTIVES}
    for variant, values in per_variant.items():
        row = frame.loc[variant]
        estimate = mean_interval(values)
        assert row["l1"] == pytest.approx(estimate.value)
        assert (row["l1_low"], row["l1_high"]) == pytest.approx((estimate.low, estimate.high))
        seeds = [float(cell.scores["l1"].value or 0) for cell in study.of(variant)]
        assert row["l1_seed_sd"] == pytest.approx(np.std(seeds, ddof=1))
        assert row["l1_n"] == 20
        if variant != "l1+cgan":
            differences = values - per_variant["l1+cgan"]
            assert row["l1_diff"] == pytest.approx(differences.mean())
            assert row["l1_diff_p_images"] == pytest.approx(min(1, 4 * sign_flip_p(differences)))  # all four are alike
            assert (row["l1_verdict"], row["l1_diff_seeds"]) == ("too few trainings", 2)
            assert pd.isna(row["l1_diff_p"])
        assert row["fid"] == 100.0 + OBJECTIVES.index(variant)
        assert pd.isna(row["fid_low"])
        assert pd.isna(row["lpips"])
    assert pd.isna(frame.loc["l1+cgan", "l1_diff"])


def test_a_mark_stands_only_where_the_difference_holds(store: Store) -> None:
    study = read_study(store, "loss")
    compared = with_baseline(study, "l1", "l1")
    assert compared is not None
    assert compared.mark == "†"
    assert with_baseline(study, "l1+cgan", "l1") is None
    assert by_score(study) == [
        "L1 (primary): these trainings of l1, gan, cgan and l1+gan are better than those of l1+cgan."
    ]
    table: Any = printed(study).set_index("variant")
    assert "†" in table.loc["l1", "L1 ↓"]
    assert "†" not in table.loc["l1+cgan (baseline)", "L1 ↓"]
    assert not table["L1 ↓"].str.contains(r"\*").any()  # two seeds say nothing of recipes
    assert set(table["LPIPS (alex) ↓"]) == {"not measured"}


def test_one_seed_is_said_to_be_one_seed(tmp_path: Path) -> None:
    made = Store(tmp_path / "runs")
    study = build_study("loss", None, ASKED, [0])
    write_study(study, made)
    for cell in study.cells:
        fill(made, str(cell.run_id), 0, 0)
    text = to_markdown(read_study(made, "loss"))
    assert "One seed a variant: nothing here speaks of other trainings" in text
    assert "no weights here" in text


def test_the_papers_rows_stand_apart(store: Store) -> None:
    text = to_markdown(read_study(store, "loss"))
    assert "Two seeds a variant: nothing here speaks of other trainings" in text
    assert "±" in text
    ours, theirs = text.split("## The paper's rows")
    assert "0.66 | 0.23 | 0.17" in theirs
    assert "0.66 | 0.23" not in ours
    assert "Other scores or other data" in theirs
    assert published_tables()["pix2pix-table1"].rows["gan"] == (0.22, 0.05, 0.01)


def test_a_study_of_version_01_names_its_published_table_by_the_former_key(store: Store) -> None:
    file = store.study_file("loss")
    text = file.read_text()
    assert '"published": "pix2pix-table1"' in text
    file.write_text(text.replace('"published": "pix2pix-table1"', '"paper": "table1"'))
    assert "0.66 | 0.23 | 0.17" in to_markdown(read_study(store, "loss"))


def test_only_what_is_ahead_of_every_other_variant_is_bold(store: Store, tmp_path: Path) -> None:
    assert best(read_study(store, "loss"), "l1") is None  # two seeds
    store = Store(tmp_path / "more")
    loss_study(store, [0, 1, 2])
    study = read_study(store, "loss")
    table: Any = printed(study).set_index("variant")
    assert best(study, "l1") == "l1"
    assert table.loc["l1", "L1 ↓"].startswith("**0.")
    assert table["L1 ↓"].str.contains(r"\*\*").sum() == 1
    assert best(study, "fid") is None  # no test: the lowest is not known to be
    assert "\\bfseries 0." in to_latex(study)


def test_what_it_cost_stands_beside_the_scores(store: Store) -> None:
    study = read_study(store, "loss")
    table: Any = printed(study).set_index("variant")
    assert list(table.loc["gan", ["parameters", "GFLOPs", "s/image", "training", "images/s", "memory"]]) == [
        "0.001 M", "4", "not measured", "1.0 min", "5", "1.0 GiB",
    ]  # fmt: skip
    frame: Any = wide(study).set_index("variant")
    assert frame.loc["gan", "training_images_per_second"] == pytest.approx(5)
    assert frame.loc["gan", "generator_flops"] == 4e9


def test_the_time_of_an_image_is_that_of_the_inference_mode(store: Store) -> None:
    for cell in read_study(store, "loss").cells:
        paces = {"paper": 0.02 + 0.02 * cell.seed, "eval": 5.0}
        cell.run.set_status("finished", seconds_per_image=paces)
    study = read_study(store, "loss")
    table: Any = printed(study).set_index("variant")
    assert table.loc["gan", "s/image"] == "0.03"  # the mean over seeds
    frame: Any = wide(study).set_index("variant")
    assert frame.loc["gan", "seconds_per_image"] == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("objective", "passes"),
    [
        ({}, 8), ({"adversarial": "wgan-gp"}, 14), ({"r1": 1.0}, 14), ({"r1": 10.0, "r2": 10.0}, 20), ({"r1": 0.0}, 8),
        ({"cutmix": 400.0}, 11), ({"cutmix": None}, 8),
    ],
)  # fmt: skip
def test_each_gradient_penalty_and_each_mixture_has_its_operations(
    store: Store, objective: dict[str, Any], passes: int
) -> None:
    cell = read_study(store, "loss").of("l1+cgan")[0]
    assert cell.training is not None
    training = cell.training.model_copy(update={"discriminator_flops": 1e9, "generator_flops": 2e9})
    cell.run.set_status("finished", training=training)
    cell = read_study(store, "loss").of("l1+cgan")[0]
    found = training_flops(replace(cell, config={"training": {"batch_size": 2}, "objective": objective}))
    assert found == training.steps * 2 * (3 * 2e9 + passes * 1e9)


def test_trainings_that_ran_at_the_same_time_are_told(store: Store) -> None:
    def told(*starts: str) -> list[str]:
        """Of trainings of a minute, in the order of the cells; the others went on after a stop."""
        for cell, start in zip_longest(read_study(store, "loss").cells, starts):
            cell.run.set_status(
                "finished", started=start or times[0], seconds_beside_training=None if start is None else 1.0
            )
        return re.findall(
            r"Up to (\d+) of these trainings ran at the same time", to_markdown(read_study(store, "loss"))
        )

    times = [f"2026-01-01T00:{minute:02}:00+00:00" for minute in (0, 10, 20, 20, 20, 30)]
    assert told(times[0], times[1], times[2], times[5]) == []
    assert told(*times) == ["3"]
    assert told(*times[:4], "this morning") == ["2"]
    store.run(read_study(store, "loss").cells[3].run.path.name).set_status("finished", machine={"processor": "another"})
    assert told(*times[:4]) == []


def test_two_machines_are_never_averaged(store: Store) -> None:
    for cell in read_study(store, "loss").cells:
        if cell.seed == 1:
            assert cell.training is not None
            training = cell.training.model_copy(update={"seconds": 600.0})
            cell.run.set_status("finished", training=training, machine={"processor": "another"})
    study = read_study(store, "loss")
    table: Any = printed(study).set_index("variant")
    assert table.loc["l1", "training"] == "A: 1.0 min, B: 10.0 min"
    assert "A: processor: test; B: processor: another" in to_markdown(study)
    assert wide(study)["training_seconds"][0] == "60.0; 600.0"


def test_the_two_sentences_say_what_the_statistics_say(store: Store) -> None:
    first, second = answer(read_study(store, "loss"))
    wanted = (
        r"By L1 \(l1\+cgan: 0\.\d+\) there is no verdict: there are 2 trainings a variant, and to speak of other "
        r"trainings it takes 3 or more\. Over 20 test images, these trainings of l1, gan, cgan and l1\+gan are better "
        r"than those of l1\+cgan\."
    )
    assert re.fullmatch(wanted, first), first
    assert second == "No other score was compared."


def test_latex_is_balanced_and_escaped(store: Store) -> None:
    text = to_latex(read_study(store, "loss"))
    n = text.count("\\label{tab:")
    assert n == 3  # scores, costs, the paper's
    for word in ("\\toprule", "\\midrule", "\\bottomrule", "\\caption{"):
        assert text.count(word) == n
    assert text.count("{") == text.count("}")
    assert text.count("\\begin{table") == text.count("\\end{table") == n
    assert "resizebox" not in text
    for table in text.split("\\midrule")[1:]:
        rows = [row for row in table.split("\\bottomrule")[0].splitlines() if row.strip()]
        assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1
    assert latex_escape("50 % of a_b & <c>") == r"50 \% of a\_b \& \textless{}c\textgreater{}"


def test_latex_keeps_letters_of_every_script() -> None:
    omega = r"$\Omega$$\mu$$\acute{\varepsilon}$$\gamma$$\alpha$"  # of a formula, which every engine has
    assert latex_escape("ландшафт_1 & 建物 ≈ Ωμέγα") == rf"ландшафт\_1 \& 建物 $\approx$ {omega}"


class Resources(HTMLParser):
    """Everything a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]


def test_the_page_needs_nothing_beside_it(loss_report: Report) -> None:
    page = (loss_report.folder / "index.html").read_text()
    parser = Resources()
    parser.feed(page)
    assert (
        parser.tags.count("img") == len(FIGURES) - 1 + 1 + 4 + 9 * 7
    )  # one is for papers alone; the sheet of redraws, the viewer's, nine pairs'
    assert all(resource.startswith(("data:", "#")) for resource in parser.found)
    for word in ("Which objective?", "quick", "p2pbench ablate --grid loss --set", "data.crop_size", "Isola"):
        assert word in page


def test_missing_failed_and_damaged_cells_are_listed_and_the_rest_is_reported(store: Store, tmp_path: Path) -> None:
    study = read_study(store, "loss")
    runs = {(cell.variant, cell.seed): cell.run for cell in study.cells}
    shutil.rmtree(runs["l1", 0].path)
    runs["gan", 0].set_status("failed", "g_l1 of step 6 is not finite")
    runs["cgan", 0].scores_file.write_text('{"schema_version": 1, "scores": {"l1"')
    runs["l1+gan", 0].status_file.write_text("")
    runs["l1+gan", 1].per_image_file.write_text("image,l1\n000")
    runs["cgan", 1].scores_file.write_text('{"schema_version": 1, "scores": {"l1": 5}}')
    status = runs["l1+cgan", 1].status()
    assert status is not None
    runs["l1+cgan", 1].status_file.write_text(json.dumps({k: v for k, v in status.to_json().items() if k != "machine"}))
    report = write_report(store, "loss", tmp_path / "out")
    assert report.n_finished == 5
    assert answer(report.record)[0].startswith("By L1")
    page = (tmp_path / "out/loss/index.html").read_text()
    assert "5 of 10 cells have no result" in page
    assert "g_l1 of step 6 is not finite" in page
    assert "missing or damaged" in page
    frame: Any = pd.read_csv(tmp_path / "out/loss/scores.csv").set_index("variant")
    assert frame.loc["gan", "n_seeds"] == 1
    assert "seed 0 failed" in frame.loc["gan", "state"]


def test_a_study_without_any_result_is_still_reported(tmp_path: Path) -> None:
    made = Store(tmp_path / "runs")
    write_study(build_study("loss", None, ASKED, [0]), made)
    report = write_report(made, "loss", tmp_path / "out")
    assert report.n_finished == 0
    assert {file.name for file in report.files} == TEXTS
    assert answer(report.record)[0] == "There is no answer yet: no cell has a result."
    assert "5 of 5 cells have no result" in (tmp_path / "out/loss/index.html").read_text()


def test_figures_are_pictures_of_a_readable_size(loss_report: Report) -> None:
    for name in FIGURES:
        with Image.open(loss_report.folder / f"{name}.png") as image:
            assert 600 < image.width < 1100, name  # one column at 250 dots an inch
            assert len(image.convert("RGB").getcolors(2**24) or []) > 3, name  # not an empty panel
        vector = (loss_report.folder / f"{name}.svg").read_text()
        assert vector.startswith("<?xml")
        assert len(vector) < 300_000, name


def test_reports_load_no_torch(loss_report: Report, tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys\nfrom pathlib import Path\nfrom p2pbench.runs.store import Store\n"
        "from p2pbench.report.page import write_report\n"
        "write_report(Store(Path(sys.argv[1])), 'loss', Path(sys.argv[2]))\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(loss_report.folder.parents[1] / "runs"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


def test_scores_that_the_study_did_not_ask_for_are_left_out(store: Store) -> None:
    """A run is shared with studies that ask for others."""
    for path in store.root.glob("cells/*/scores.json"):
        content = json.loads(path.read_text())
        content["scores"]["ssim"] = content["scores"]["l1"]
        path.write_text(json.dumps(content))
    assert read_study(store, "loss").metrics == ["l1", "lpips", "fid"]


def test_what_is_measured_over_the_set_is_said_beside_the_mean(store: Store) -> None:
    for path in store.root.glob("cells/*/scores.json"):
        content = json.loads(path.read_text())
        content["scores"]["l1"]["settings"]["over_set"] = 0.25
        path.write_text(json.dumps(content))
    text = to_markdown(read_study(store, "loss"))
    assert "L1 over all test images together, as pix2pix has it: l1 0.250, gan 0.250" in text


def test_scores_made_in_different_ways_are_not_compared(store: Store) -> None:
    (path, *_) = sorted(store.root.glob("cells/*/scores.json"))
    content = json.loads(path.read_text())
    content["scores"]["l1"]["settings"]["size"] = 99
    path.write_text(json.dumps(content))
    study = read_study(store, "loss")
    (variant,) = {cell.variant for cell in study.cells if cell.run.path == path.parent}
    other = with_baseline(study, "gan" if variant != "gan" else "cgan", "l1")
    found = with_baseline(study, variant, "l1")
    assert found is None or found.found is None
    assert other is not None
    assert (other.found is None) == (variant == "l1+cgan")
    assert "L1 was made in different ways or of images of different sizes" in to_markdown(study)


def test_scores_by_segmentation_networks_of_two_machines_say_how_to_share_one(store: Store) -> None:
    for seed, path in enumerate(sorted(store.root.glob("cells/*/scores.json"))[:2]):
        content = json.loads(path.read_text())
        content["scores"]["l1"]["settings"]["network_sha256"] = str(seed) * 64
        path.write_text(json.dumps(content))
    study = read_study(store, "loss")
    text = to_markdown(study)
    assert "L1 was read by several segmentation networks" in text
    assert "copy segmenters/ from one machine's P2PBENCH_HOME" in text
    made = [cell.scores["l1"].settings for cell in study.cells if "network_sha256" in cell.scores["l1"].settings]
    assert unlike(made) in {"network_sha256: 00000000 and 11111111", "network_sha256: 11111111 and 00000000"}


def test_losses_below_zero_are_drawn(store: Store) -> None:
    for path in store.root.glob("cells/*/losses.csv"):
        path.write_text("step,epoch,d_loss,g_loss,g_adversarial,g_l1\n10,0.5,1,2,-3,0.4\n20,1.0,1,2,-2,0.3\n")
    figure = draw_losses(read_study(store, "loss"))
    assert figure is not None
    low, high = figure.axes[1].get_ylim()
    assert low < -3 < -2 < high


def test_from_three_seeds_on_the_interval_is_over_trainings_too(tmp_path: Path) -> None:
    made = Store(tmp_path / "runs")
    study = build_study("loss", None, ASKED, [0, 1, 2])
    write_study(study, made)
    for cell in study.cells:
        fill(made, str(cell.run_id), OBJECTIVES.index(cell.variant), cell.seed)
    found = read_study(made, "loss")
    summary = summarise(found, "gan", "l1")
    matrix = np.stack([cell.per_image["l1"].to_numpy() for cell in found.of("gan")])
    wanted = over_trainings(matrix)
    assert (summary.low, summary.high) == pytest.approx((wanted.low, wanted.high))
    assert summary.method == "trainings"
    text = to_markdown(found)
    assert "over trainings and test images (crossed random effects" in text
    assert "Holm's correction" in text


def test_a_difference_that_chance_explains_has_no_mark(tmp_path: Path) -> None:
    made = Store(tmp_path / "runs")
    study = build_study("loss", None, ASKED, [0])
    write_study(study, made)
    for cell in study.cells:
        fill(made, str(cell.run_id), 0, 0)  # all variants alike
    found = read_study(made, "loss")
    assert not any(c.mark for c in comparisons(found, "l1"))
    assert wide(found)["l1_diff_p_images"].dropna().eq(1).all()


def test_why_a_score_was_not_measured_is_told_beside_the_answer(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    for cell in loss_study(store, [0]).cells:
        path = store.run(str(cell.run_id)).scores_file
        content = json.loads(path.read_text())
        content["scores"]["l1"] |= {"value": None, "state": "not measured", "reason": "it gave an array of shape ()"}
        path.write_text(json.dumps(content))
    said = invoke("report", "--runs", store.root, "--out", tmp_path / "out")
    assert said.stderr.count("not measured: L1: it gave an array of shape ()") == 1
