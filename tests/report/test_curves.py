"""Scores while training: how they are drawn, and what is said of the variants' order."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from report_records import loss_study

from p2pbench.report.curves import curve_metrics, curve_of, curve_sentences
from p2pbench.report.figures.training import draw_curves
from p2pbench.report.records import StudyRecord, read_study
from p2pbench.runs.store import Store

L1 = {"l1": 0.10, "gan": 0.30, "cgan": 0.31, "l1+gan": 0.20, "l1+cgan": 0.21}
STEPS = (100, 200, 300, 400, 500, 600)


def with_curves(root: Path, at_the_end: dict[str, float], seeds: int = 2) -> StudyRecord:
    """The loss study, whose variants go in a line from ``L1`` to what they have ``at_the_end``."""
    store = Store(root / "runs")
    for cell in loss_study(store, list(range(seeds))).cells:
        first, last = L1[cell.variant], at_the_end.get(cell.variant, L1[cell.variant])
        rows = [
            f"{i + 1},{step},{step / 10 * (1 + cell.seed)},{first + (last - first) * i / 5 + 0.001 * cell.seed},"
            for i, step in enumerate(STEPS)
        ]
        store.run(str(cell.run_id)).curve_file.write_text("\n".join(["epoch,step,seconds,l1,lpips", *rows]) + "\n")
    return read_study(store, "loss")


def test_a_single_reading_is_drawn(tmp_path: Path) -> None:
    study = with_curves(tmp_path, {})
    for cell in study.cells:
        head, first, *_ = cell.run.curve_file.read_text().splitlines()
        cell.run.curve_file.write_text(f"{head}\n{first}\n")
    figure = draw_curves(read_study(Store(tmp_path / "runs"), "loss"))
    assert figure is not None
    lines = figure.axes[0].get_lines()
    assert [line.get_markevery() for line in lines] == [None] * 5
    assert all(line.get_marker() not in ("", "None", None) for line in lines)


def test_curves_are_by_step_and_by_time_with_the_seeds_apart(tmp_path: Path) -> None:
    study = with_curves(tmp_path, {"l1": 0.05})
    assert curve_metrics(study) == ["l1"]  # of LPIPS there is no reading
    curve = curve_of(study, "l1", "l1")
    assert curve is not None
    assert list(curve.values.index) == list(STEPS)
    assert curve.values.iloc[-1].tolist() == pytest.approx([0.05, 0.051])
    assert curve.minutes.iloc[-1] == pytest.approx((60 + 120) / 2 / 60)
    figure = draw_curves(study)
    assert figure is not None
    by_step, by_time = figure.axes
    assert len(by_step.lines) == len(by_time.lines) == len(L1)
    for axis, last in ((by_step, 600), (by_time, 1.5)):
        line = axis.lines[0]
        assert float(np.asarray(line.get_xdata())[-1]) == pytest.approx(last)
        assert float(np.asarray(line.get_ydata())[-1]) == pytest.approx(0.0505)
    plt.close(figure)


def test_minutes_of_several_machines_are_not_set_side_by_side(tmp_path: Path) -> None:
    with_curves(tmp_path, {})
    store = Store(tmp_path / "runs")
    read_study(store, "loss").cells[0].run.set_status("finished", machine={"processor": "another"})
    figure = draw_curves(read_study(store, "loss"))
    assert figure is not None
    assert [axis.get_xlabel() for axis in figure.axes] == ["step"]
    assert "times are of several machines" in " ".join(figure.texts[0].get_text().split())
    plt.close(figure)


def test_an_order_that_still_moves_is_said_to(tmp_path: Path) -> None:
    (still,) = curve_sentences(with_curves(tmp_path / "still", {}))
    assert still.startswith("By L1 on validation pairs no two variants changed places over the last third of training")
    (moving,) = curve_sentences(with_curves(tmp_path / "moving", {"l1": 0.27, "gan": 0.312}))
    assert "the order was still moving over the last third of training: l1 and l1+cgan changed places" in moving
    assert "gan and cgan" not in moving  # they stayed within L1's margin of each other
    assert "left out" in moving


def test_finished_runs_without_a_curve_are_named_and_not_trained_again(tmp_path: Path) -> None:
    study = with_curves(tmp_path, {})
    assert len(curve_sentences(study)) == 1
    study.cells[0].run.curve_file.unlink()
    _, without = curve_sentences(read_study(Store(tmp_path / "runs"), "loss"))
    assert without.startswith("1 of 10 finished trainings have no scores while training")
    assert without.endswith("A finished run is not trained again for them.")
    store = Store(tmp_path / "none")
    loss_study(store, [0])
    plain = read_study(store, "loss")
    assert curve_sentences(plain) == []
    assert draw_curves(plain) is None
