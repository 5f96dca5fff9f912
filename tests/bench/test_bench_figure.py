"""The figure of a benchmark."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt

from p2pbench.bench.figure import draw_ratios, draw_roofline, without_folders


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


def test_a_legend_of_many_variants_covers_no_point() -> None:
    row = {"engine": "eager", "precision": "fp32", "flops_per_step": 1e9, "bytes_per_step": 4e8,
           "images_per_second": 10.0, "batch_size": 1}  # fmt: skip
    limits = {"copy_bytes_per_second": 1e10, "product_flops_per_second": {"fp32": 1e11}}
    figure, axis = plt.subplots(figsize=(5, 6), layout="constrained")
    draw_roofline(axis, {f"{number} a rung of some ladder": [row] for number in range(10)}, limits)
    figure.draw_without_rendering()
    legend = axis.get_legend()
    assert legend is not None
    assert legend.get_window_extent().y1 < axis.get_window_extent().y0
    plt.close(figure)


def test_paths_are_told_by_their_last_part_unless_two_would_be_one() -> None:
    assert without_folders(["score: /a/very/long/pairs, 64x64", "score: photos, 64x64"]) == [
        "score: pairs, 64x64", "score: photos, 64x64",
    ]  # fmt: skip
    same = ["score: /a/pairs, 64x64", "score: /b/pairs, 64x64"]
    assert without_folders(same) == same


def test_the_axis_names_what_each_group_is_compared_with() -> None:
    rows = {
        engine: [{"engine": engine, "precision": "fp32", "ratio_to_plain": 1.0, "ratio_quartiles": [0.9, 1.1]}]
        for engine in ("eager", "pillow")
    }
    labels = []
    for labelled in ({"data": rows["pillow"]}, {"translate": rows["eager"], "data": rows["pillow"]}):
        figure, axis = plt.subplots()
        draw_ratios(axis, labelled)
        labels.append(axis.get_xlabel())
        plt.close(figure)
    of = "times the images/s of {} (quartiles over rounds)"
    assert labels == [of.format("“pillow”"), of.format("the first of each group")]
