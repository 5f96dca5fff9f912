"""What trackers get of a run, and what TensorBoard shows of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from report_records import fill

from p2pbench.inference.samples import save_png
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.logged import log_to_tensorboard, logged
from p2pbench.runs.store import Store


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    store = Store(tmp_path)
    fill(store, "0" * 12, 0, 0)
    run = store.run("0" * 12)
    run.losses_file.write_text("step,epoch,d_loss,g_l1\n10,0.5,,0.4\n20,1.0,nan,0.3\n30,1.5,1,0.")
    run.curve_file.write_text("epoch,step,seconds,lpips\n1,20,3.5,0.6\n")
    save_png(run.samples / "epoch-0002.png", np.full((4, 6, 3), 100, np.uint8))
    return run


def test_losses_curves_scores_and_sheets_are_logged(run: RunFolder) -> None:
    found = logged(run)
    assert found.points == [
        ("loss/g_l1", 10, 0.4), ("loss/g_l1", 20, 0.3), ("loss/d_loss", 30, 1.0), ("loss/g_l1", 30, 0.0),
        ("val/lpips", 20, 0.6),
    ]  # fmt: skip
    assert set(found.scores) == {"l1", "fid"}  # LPIPS was not measured
    assert found.scores["fid"] == 100.0
    assert found.sheets == {2: run.samples / "epoch-0002.png"}


@pytest.mark.filterwarnings("default")  # of TensorBoard's own
def test_tensorboard_shows_losses_scores_and_samples(run: RunFolder) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):  # the second takes the place of the first
        log_to_tensorboard(run)
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) == {"loss/g_l1", "loss/d_loss", "val/lpips", "test/l1", "test/fid"}
    assert [(event.step, round(event.value, 3)) for event in events.Scalars("loss/g_l1")] == [
        (10, 0.4), (20, 0.3), (30, 0.0),
    ]  # fmt: skip
    (score,) = events.Scalars("test/fid")
    assert (score.step, score.value) == (600, 100.0)
    (image,) = events.Images("samples")
    assert (image.step, image.height, image.width) == (2, 4, 6)
