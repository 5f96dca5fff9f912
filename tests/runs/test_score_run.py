"""The record of scores: new ones are added to those that the run has, and nothing stays of what they replace."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from p2pbench.config.metrics import Score
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.score_run import record_scores
from p2pbench.scoring.evaluate import Scores

NAMES = ["a", "b"]


def measured(name: str, values: list[float]) -> Scores:
    return Scores(2, {name: Score(name, 2, float(np.mean(values)))}, NAMES, {name: np.array(values)})


def test_values_of_images_go_with_a_score_that_is_not_measured_any_more(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    record_scores(run, measured("l1", [0.1, 0.2]))
    record_scores(run, measured("psnr", [20.0, 21.0]))
    assert run.per_image_file.read_text() == "image,l1,psnr\na,0.1,20.0\nb,0.2,21.0\n"
    record_scores(run, Scores(2, {"l1": Score("l1", 2, reason="outputs are not finite")}, NAMES))
    assert run.per_image_file.read_text() == "image,psnr\na,20.0\nb,21.0\n"
    assert {name: score.state for name, score in run.scores().items()} == {"l1": "not measured", "psnr": "measured"}
