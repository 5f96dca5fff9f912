"""Main effects and interactions from records whose effects are known."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from p2pbench.config.metrics import Score
from p2pbench.report.effects import COLUMNS, effects_notes, effects_sentences, effects_table
from p2pbench.report.page import write_report
from p2pbench.report.records import StudyRecord, read_study
from p2pbench.runs.score_run import record_scores
from p2pbench.runs.store import Store
from p2pbench.scoring.evaluate import Scores
from p2pbench.statistics.comparison import holm, sign_flip_p
from p2pbench.statistics.intervals import mean_interval
from p2pbench.statistics.trainings import over_trainings
from p2pbench.study.plan import build_study
from p2pbench.study.study_file import write_study

GRID = """
question: Do skips and the GAN term add up?
protocol: quick
baseline: {generator: unet, objective: l1+cgan}
factors:
  generator: [encoder_decoder, unet]
  objective: [l1, l1+cgan]
scoring: {metrics: [l1, ssim, swd]}
"""
NOISE = 0.002


def of_image(levels: dict[str, str], seed: int, n: int = 24) -> np.ndarray:
    """l1: the encoder-decoder is 0.05 worse, 0.02 more so without the GAN term; the objective alone does nothing."""
    images = np.random.default_rng(7).normal(0.4, 0.1, n)  # shared by all: differences cancel them
    worse = levels["generator"] == "encoder_decoder"
    joint = worse and levels["objective"] == "l1"
    noise = np.random.default_rng([seed, len(levels["generator"]), len(levels["objective"])]).normal(0, NOISE, n)
    return images + 0.05 * worse + 0.02 * joint + noise


def study_of(folder: Path, seeds: Sequence[int], grid: str = GRID) -> tuple[Store, StudyRecord]:
    (folder / "two.yaml").write_text(grid)
    store = Store(folder / "runs")
    study = build_study(str(folder / "two.yaml"), None, {}, list(seeds))
    write_study(study, store)
    for cell in study.cells:
        values, flat = of_image(cell.levels, cell.seed), np.full(24, 0.5)
        run = store.run(str(cell.run_id))
        scores = {
            "l1": Score("l1", 24, float(values.mean()), 0.0, 1.0),
            "ssim": Score("ssim", 24, 0.5, 0.5, 0.5),
            "swd": Score("swd", 24, 30.0, reason="no interval"),
        }
        run.path.mkdir(parents=True, exist_ok=True)
        run.generator_file.touch()
        record_scores(run, Scores(24, scores, [f"{i:02d}" for i in range(24)], {"l1": values, "ssim": flat}))
        run.set_status("finished")
    return store, read_study(store, "two")


def test_every_number_is_that_of_the_statistics(tmp_path: Path) -> None:
    _, study = study_of(tmp_path, [0])
    table = effects_table(study)
    assert list(table.columns) == COLUMNS
    assert list(table["score"].unique()) == ["l1", "ssim"]  # SWD has no value for each image
    scores: dict[tuple[str, ...], np.ndarray] = {
        (g, o): of_image({"generator": g, "objective": o}, 0)
        for g, o in itertools.product(["encoder_decoder", "unet"], ["l1", "l1+cgan"])
    }
    worse = {o: scores["encoder_decoder", o] - scores["unet", o] for o in ("l1", "l1+cgan")}
    rest = {g: scores[g, "l1"] - scores[g, "l1+cgan"] for g in ("encoder_decoder", "unet")}
    wanted = {
        "encoder_decoder - unet": (worse["l1"] + worse["l1+cgan"]) / 2,
        "l1 - l1+cgan": (rest["encoder_decoder"] + rest["unet"]) / 2,
        "(encoder_decoder - unet) × (l1 - l1+cgan)": worse["l1"] - worse["l1+cgan"],
        "encoder_decoder - unet at l1": worse["l1"],
        "encoder_decoder - unet at l1+cgan": worse["l1+cgan"],
        "l1 - l1+cgan at encoder_decoder": rest["encoder_decoder"],
        "l1 - l1+cgan at unet": rest["unet"],
    }
    rows: list[Any] = list(table[table["score"] == "l1"].itertuples())
    assert [row.levels for row in rows] == list(wanted)
    assert [row.kind for row in rows] == ["main", "main", "interaction", *["simple"] * 4]
    tested = holm(float(sign_flip_p(wanted[row.levels])) for row in rows[:3])
    for row, p in zip(rows, [*tested, *[None] * 4], strict=True):
        assert (row.estimate, row.low, row.high) == pytest.approx(mean_interval(wanted[row.levels])[:3])
        assert (row.interval, row.n, row.n_seeds) == ("t", 24, 1)
        assert pd.isna(row.p)  # one training says nothing of recipes
        assert pd.isna(row.p_images) if p is None else row.p_images == p
    assert [row.estimate for row in rows[:3]] == pytest.approx([0.06, 0.01, 0.02], abs=4 * NOISE)


def test_a_combination_that_failed_changes_nothing_between_the_others(tmp_path: Path) -> None:
    grid = GRID.replace("[encoder_decoder, unet]", "[encoder_decoder, unet, nafnet]")
    store, whole = study_of(tmp_path, [0, 1, 2], grid)
    levels = "encoder_decoder - unet"
    wanted: Any = effects_table(whole, ["l1"]).set_index("levels").loc[levels]
    for cell in store.read_study("two").cells:
        if cell.variant == "nafnet, l1":
            store.run(str(cell.run_id)).set_status("failed", "made to")
    found = effects_table(read_study(store, "two"), ["l1"]).set_index("levels")
    assert found.loc[levels, "estimate"] == wanted["estimate"]
    assert found.loc[levels, "p_raw"] == wanted["p_raw"]
    tested = found[found["p_raw"].notna()]
    assert len(tested) == 4  # of the five that the whole grid has
    assert tested["p"].tolist() == pytest.approx(holm(tested["p_raw"], family=5).tolist())
    assert "nafnet - unet" in found.index  # under l1+cgan alone
    assert "(nafnet - unet) × (l1 - l1+cgan)" not in found.index
    study = read_study(store, "two")
    assert effects_notes(study, effects_table(study))[-1] == (
        "“nafnet, l1” has no value of L1 and SSIM: these effects are of the other combinations."
    )


def test_effects_are_said_in_words_and_nothing_where_there_is_none(tmp_path: Path) -> None:
    store, study = study_of(tmp_path, [0])
    of_l1, of_ssim = effects_sentences(study, effects_table(study))
    assert "encoder_decoder - unet +0.06" in of_l1
    assert of_l1.startswith("L1 ↓: in these trainings alone: encoder_decoder - unet +0.06")  # of one seed nothing else
    assert "(encoder_decoder - unet) × (l1 - l1+cgan) +0.019" in of_l1
    assert of_ssim == "SSIM ↑: fewer than three trainings of a combination show no effect of a factor."
    report = write_report(store, "two", tmp_path / "out")
    folder = tmp_path / "out" / "two"
    assert {folder / "effects.csv", folder / "effects.md"} <= set(report.files)
    pd.testing.assert_frame_equal(pd.read_csv(folder / "effects.csv"), effects_table(study), check_dtype=False)
    assert "it speaks of these trainings, not of others" in (folder / "effects.md").read_text()
    page = (folder / "index.html").read_text()
    assert "Main effects and interactions" in page
    assert "(encoder_decoder - unet) × (l1 - l1+cgan)" in page


def test_from_three_seeds_on_intervals_are_over_trainings_too(tmp_path: Path) -> None:
    _, study = study_of(tmp_path, [0, 1, 2])
    table = effects_table(study)
    first: Any = next(table.itertuples())
    by_seed = []
    for seed in (0, 1, 2):
        gains = [
            of_image({"generator": "encoder_decoder", "objective": o}, seed)
            - of_image({"generator": "unet", "objective": o}, seed)
            for o in ("l1", "l1+cgan")
        ]
        by_seed.append(np.mean(gains, axis=0))
    wanted = over_trainings(np.array(by_seed))
    assert (first.estimate, first.low, first.high) == pytest.approx((wanted.value, wanted.low, wanted.high))
    assert (first.interval, first.n_seeds) == ("trainings", 3)
    tested: Any = table[(table["score"] == "l1") & (table["kind"] != "simple")]
    assert tested["p"].tolist() == pytest.approx(holm(tested["p_raw"]).tolist())
    assert first.p_raw == pytest.approx(wanted.p())
    assert "over trainings and test images" in effects_notes(study, table)[1]


def test_effects_on_sharpness_say_what_their_sign_means(tmp_path: Path) -> None:
    _, study = study_of(tmp_path, [0])
    table = pd.DataFrame({"score": ["sharpness"], "interval": ["trainings"], "n": [24]})
    assert "sharpness: effects are of the distance from 1, below 0 where the first is nearer." in effects_notes(
        study, table
    )


def test_a_single_factor_leaves_no_effects_and_an_excluded_variant_does(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    _, one = study_of(folder, [0], GRID.replace("[encoder_decoder, unet]", "[unet]"))
    assert effects_table(one).empty
    folder = tmp_path / "less"
    folder.mkdir()
    store, less = study_of(folder, [0], GRID + "exclude: [{generator: encoder_decoder, objective: l1}]\n")
    table = effects_table(less)
    assert list(table["kind"].unique()) == ["main"]
    values = {levels: of_image({"generator": "unet", "objective": levels}, 0) for levels in ("l1", "l1+cgan")}
    row = table[(table["score"] == "l1") & (table["effect"] == "objective")].iloc[0]
    assert row.estimate == pytest.approx(float((values["l1"] - values["l1+cgan"]).mean()))
    assert any(file.name == "effects.csv" for file in write_report(store, "two", folder / "out").files)


def test_scores_made_in_different_ways_have_no_effects(tmp_path: Path) -> None:
    import json

    store, study = study_of(tmp_path, [0])
    path = study.cells[2].run.scores_file
    content = json.loads(path.read_text())
    content["scores"]["l1"]["settings"]["size"] = 99
    path.write_text(json.dumps(content))
    assert set(effects_table(read_study(store, "two"))["score"]) == {"ssim"}
