"""The record of scores: new ones are added to those that the run has, and nothing stays of what they replace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from p2pbench.config.metrics import Score
from p2pbench.config.schema import RunConfig
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.records import before_jackknives
from p2pbench.runs.score_run import record_scores
from p2pbench.scoring.evaluate import Scores

NAMES = ["a", "b"]


def measured(name: str, values: list[float]) -> Scores:
    return Scores(2, {name: Score(name, 2, float(np.mean(values)))}, NAMES, {name: np.array(values)})


def test_values_of_images_go_with_a_score_that_is_not_measured_any_more(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    record_scores(run, measured("l1", [0.1, 0.2]))
    record_scores(run, measured("psnr", [20.0, 21.0]))
    assert run.per_image_file.read_text() == "image,l1,psnr\na,0.1,20\nb,0.2,21\n"
    record_scores(run, Scores(2, {"l1": Score("l1", 2, reason="outputs are not finite")}, NAMES))
    assert run.per_image_file.read_text() == "image,psnr\na,20\nb,21\n"
    assert {name: score.state for name, score in run.scores().items()} == {"l1": "not measured", "psnr": "measured"}


def test_values_have_nine_digits_which_another_score_does_not_change(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    record_scores(run, measured("l1", [1 / 3, 2 / 3]))
    record_scores(run, measured("psnr", [20.0, 100 / 7]))
    assert run.per_image_file.read_text() == "image,l1,psnr\na,0.333333333,20\nb,0.666666667,14.2857143\n"


def of_sets(name: str, pseudo: list[float] | None, settings: dict[str, str]) -> Scores:
    found = {} if pseudo is None else {name: np.array(pseudo)}
    return Scores(2, {name: Score(name, 2, 1.0, settings=settings)}, NAMES, {}, found)


def test_pseudo_values_are_added_to_those_of_other_scores_and_replaced_by_newer_ones(tmp_path: Path) -> None:
    run, settings = RunFolder(tmp_path), {"jackknife": "images"}
    record_scores(run, measured("l1", [0.1, 0.2]))
    assert not run.jackknife_file.exists()
    record_scores(run, of_sets("fcn-iou", [0.5, 0.25], settings))
    record_scores(run, of_sets("swd", [3.0, 4.0], settings))
    assert run.jackknife_file.read_text() == "unit,fcn-iou,swd\na,0.5,3\nb,0.25,4\n"
    record_scores(run, of_sets("fcn-iou", None, {"jackknife": "none: some are not finite"}))
    assert run.jackknife_file.read_text() == "unit,swd\na,3\nb,4\n"
    run.jackknife_file.write_text("cut sho")
    record_scores(run, of_sets("swd", [5.0, 6.0], settings))
    assert run.jackknife_file.read_text() == "unit,swd\na,5\nb,6\n"


def test_a_score_of_a_set_without_a_word_of_pseudo_values_is_of_an_earlier_version(
    tmp_path: Path, tiny: Callable[..., RunConfig]
) -> None:
    run = RunFolder(tmp_path)
    record_scores(run, measured("l1", [0.1, 0.2]))
    record_scores(run, of_sets("swd", None, {}))
    record_scores(run, of_sets("kid", None, {"jackknife": "none: its subsets are drawn at random"}))
    record_scores(run, of_sets("fid", None, {}))
    assert before_jackknives(run.scores()) == ["swd", "fid"]
    # Without Inception's weights FID would lose the value that it has; the distance of patches is measured again.
    assert run.missing_scores(tiny(scoring__metrics=["l1", "swd", "kid", "fid"]), tmp_path) == ["swd"]
