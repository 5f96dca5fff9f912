"""The figure of a benchmark."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt

from p2pbench.bench.figure import draw_ratios


def test_quartiles_that_reach_far_leave_room_for_the_bars(tmp_path: Path) -> None:
    rows = [
        {"engine": "plain", "precision": "fp32", "ratio_to_plain": 1.0, "ratio_quartiles": [0.9, 1.1]},
        {"engine": "eager", "precision": "fp32", "ratio_to_plain": 1.4, "ratio_quartiles": [0.5, 40.0]},
    ]
    figure, axis = plt.subplots(figsize=(6, 2.6), layout="constrained")
    draw_ratios(axis, {"score 64x64": rows})
    figure.savefig(tmp_path / "figure.png", bbox_inches="tight")  # a layout that collapses is a warning, an error here
    assert axis.get_xlim()[1] > 40
    plt.close(figure)
