"""The page: its sentence, its forest plot, its table, whether scores agree, and studies with little in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_records import OBJECTIVES, fill, loss_study, study_of

from p2pbench.report.agreement import agreement
from p2pbench.report.comparisons import comparisons
from p2pbench.report.effects import p_text
from p2pbench.report.forest import difference_text, forest
from p2pbench.report.notes import missing_scores
from p2pbench.report.page import write_report
from p2pbench.report.records import read_study
from p2pbench.report.score_table import score_table
from p2pbench.report.verdict import headline
from p2pbench.runs.store import Store
from p2pbench.study.plan import build_study
from p2pbench.study.study_file import write_study
from p2pbench.system.console import number


def scores_of(level: float, seeds: int = 3, images: int = 20, entropy: int = 0) -> np.ndarray:
    """Scores around ``level`` whose seeds and images differ little."""
    return level + np.random.default_rng(entropy).normal(0, 0.002, (seeds, images))


def test_the_headline_is_the_verdict_in_a_plain_sentence() -> None:
    three = {
        name: {"lpips": scores_of(level, entropy=k)} for k, (name, level) in enumerate({"a": 0.5, "b": 0.4}.items())
    }
    assert headline(study_of(three)) == "By LPIPS (alex), b is ahead of every other variant."
    three |= {"c": {"lpips": scores_of(0.4, entropy=5)}, "d": {"lpips": scores_of(0.6, entropy=6)}}
    assert headline(study_of(three)) == "By LPIPS (alex), b and c are better than a; d is worse than it."
    assert headline(study_of({name: {"lpips": scores_of(0.5, 1)} for name in "ab"})) == (
        "No verdict yet: one training a variant says nothing of other trainings, and it takes 3."
    )
    unbeaten = study_of(three, references={"mean image": {"lpips": 0.1}})
    assert headline(unbeaten) == (
        "By LPIPS (alex), no variant beats the mean image yet; among them, b and c are better than a; d is worse than "
        "it."
    )
    single = study_of({name: {"lpips": scores_of(0.5, 1)} for name in "ab"}, references={"mean image": {"lpips": 0.1}})
    assert headline(single) == (
        "No verdict yet: by LPIPS (alex) no variant beats the mean image, and one training a variant says nothing of "
        "other trainings, and it takes 3."
    )
    assert headline(study_of({"a": {"lpips": scores_of(0.5)}})) == "There is nothing to compare: a alone has a result."


def test_the_headline_of_many_rungs_tells_what_differs_and_counts_the_rest() -> None:
    levels = {"a": 0.5, "b": 0.5, "c": 0.5, "d": 0.6, "e": 0.6, "f": 0.6}
    rungs = {
        name: {"lpips": scores_of(level, entropy=k) + np.random.default_rng(k).normal(0, 0.008, (3, 1))}
        for k, (name, level) in enumerate(levels.items())
    }
    assert headline(study_of(rungs, contrasts="previous")) == (
        "By LPIPS (alex), d is worse than c; in 4 of 5 comparisons the two are not told apart."
    )
    rungs["f"]["lpips"] = rungs["f"]["lpips"][:1]
    assert headline(study_of(rungs, contrasts="previous")) == (
        "By LPIPS (alex), d is worse than c; in 3 of 5 comparisons the two are not told apart; "
        "in 1 of 5 comparisons the two are of too few trainings to compare."
    )


def test_the_forest_plot_has_what_was_compared() -> None:
    """Where each mark lies is worked out again from the axis' ticks."""
    levels = {"base": 0.5, "worse": 0.53, "alike": 0.5, "failed": 0.5}
    scores = {name: {"lpips": scores_of(level, entropy=k)} for k, (name, level) in enumerate(levels.items())}
    scores["failed"] = {}
    study = study_of(scores, failed={"failed": [0, 1, 2]})
    found = forest(study, "lpips")
    assert found is not None
    (at, label), *_ = [tick for tick in found.ticks if tick[1] != "0"]
    per_unit = (at - found.zero) / float(label.replace("−", "-"))
    rows = {row.variant: row for row in found.rows}
    compared = {c.variant: c.found for c in comparisons(study, "lpips")}
    for name in ("worse", "alike"):
        row, c = rows[name], compared[name]
        assert c is not None
        assert [row.at, row.low, row.high] == pytest.approx(
            [found.zero + per_unit * (value or 0) for value in (c.value, c.low, c.high)], abs=0.5
        )
        difference = scores[name]["lpips"] - scores["base"]["lpips"]
        assert row.seeds == pytest.approx(list(found.zero + per_unit * difference.mean(axis=1)), abs=0.5)
    assert (rows["worse"].tone, rows["worse"].interval) == ("worse", "trainings")
    assert rows["worse"].verdict.startswith("worse by more than the margin")
    assert rows["alike"].tone == "open"
    assert rows["failed"].verdict == "not compared: failed has no value"
    assert (rows["failed"].at, rows["failed"].text) == (None, "")
    assert (found.left, found.right) == ("better", "worse")


@given(st.floats(1e-6, 1e3), st.floats(0, 1))
def test_an_axis_has_two_to_six_ticks_wherever_zero_lies_on_it(largest: float, share: float) -> None:
    levels = {"base": 0.0, "below": -largest * share, "above": largest * (1 - share)}
    study = study_of({name: {"lpips": np.full((3, 4), level)} for name, level in levels.items()})
    found = forest(study, "lpips")
    assert found is not None
    assert 2 <= len(found.ticks) <= 6
    assert len({label for _, label in found.ticks}) == len(found.ticks)


def test_two_trainings_have_an_interval_over_images_that_is_named_so() -> None:
    found = forest(study_of({"a": {"lpips": scores_of(0.5, 2)}, "b": {"lpips": scores_of(0.6, 2, entropy=1)}}), "lpips")
    assert found is not None
    assert found.intervals == {"images"}
    assert found.rows[0].verdict == "worse in these trainings†"


def test_a_difference_has_a_real_minus_and_zero_no_sign() -> None:
    assert [number(value, 2, sign=True) for value in (-0.25, 0.25, 0.0, -0.001)] == ["−0.25", "+0.25", "0.00", "0.00"]


def test_the_primary_score_comes_first_and_what_was_not_measured_is_one_line_a_reason(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    loss_study(store, [0, 1])
    study = read_study(store, "loss")
    (cell,) = [c for c in study.cells if (c.variant, c.seed) == ("gan", 1)]
    cell.run.set_status("failed", "out of memory")
    study = read_study(store, "loss")
    study.about.primary[:] = ["fid"]
    table = score_table(study)
    assert [(column.label, column.primary) for column in table.columns] == [("FID", True), ("L1", False)]
    assert [row.name for row in table.rows] == OBJECTIVES
    assert [row.baseline for row in table.rows] == [False] * 4 + [True]
    gan = table.rows[1]
    assert (gan.seeds, gan.lacking) == ("1 of 2", "seed 1 failed")
    assert table.rows[0].cells[1].sd.startswith("± 0.0")
    assert table.rows[0].cells[1].interval.startswith("[")
    assert missing_scores(study) == [("LPIPS (alex)", "no weights here; name a folder with --weights-dir")]


def test_scores_agree_by_kendalls_tau_over_the_variants() -> None:
    """Of four variants whose orders differ in one of six pairs, tau is (5 - 1) / 6; SSIM is turned, L1 is not."""
    l1, ssim = [0.1, 0.2, 0.3, 0.4], [0.9, 0.7, 0.8, 0.6]
    scores = {
        name: {"l1": np.full((1, 5), l1[k]), "ssim": np.full((1, 5), ssim[k]), "psnr": np.full((1, 5), 20.0)}
        for k, name in enumerate("abcd")
    }
    found = agreement(study_of(scores))
    assert found is not None
    assert found.labels == ["L1", "PSNR", "SSIM"]
    assert found.taus[1] == [None]  # PSNR ties all
    tau = found.taus[2][0]
    assert tau is not None
    assert tau.value == pytest.approx(4 / 6)
    assert not tau.beyond_chance
    assert agreement(study_of({name: scores[name] for name in "ab"})) is None


def test_names_of_any_script_and_markup_are_shown_as_they_are(tmp_path: Path) -> None:
    """A study of few images without pictures, one of whose two variants failed."""
    grid = tmp_path / "x.yaml"
    grid.write_text(
        "question: 'ландшафт & <b>建物</b>?'\nfactors: {word: [{label: 'λ<script>1', generator.ngf: 8},"
        " {label: 'نموذج', generator.ngf: 4}]}\nscoring: {metrics: [l1, lpips, fid]}\n",
        encoding="utf-8",
    )
    study = build_study(str(grid), None, {}, [0])
    store = Store(tmp_path / "runs")
    write_study(study, store)
    fill(store, str(study.cells[0].run_id), 0, 1, n=1)
    store.run(str(study.cells[1].run_id)).set_status("failed", "<i>no</i>")
    report = write_report(store, "x", tmp_path / "out")
    page = (report.folder / "index.html").read_text(encoding="utf-8")
    for text in ("ландшафт &amp; &lt;b&gt;建物&lt;/b&gt;?", "λ&lt;script&gt;1", "نموذج", "&lt;i&gt;no&lt;/i&gt;"):
        assert text in page
    assert "1 of 2 cells has no result" in page
    assert page.count("<script>") == 1


def test_rounding_never_contradicts_a_mark() -> None:
    assert difference_text(0.129, 0.004, 0.254) == "+0.129 [+0.004, +0.254]"
    assert difference_text(0.129, -0.004, 0.254) == "+0.13 [0.00, +0.25]"
    assert (p_text(0.0497), p_text(0.0504), p_text(0.049), p_text(0.0004)) == ("0.0497", "0.050", "0.049", "<0.001")
