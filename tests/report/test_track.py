"""Trackers in their offline modes: a run a cell and one for the verdict, each once."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from report_records import fill

from p2pbench.errors import ConfigError
from p2pbench.inference.samples import save_png
from p2pbench.report.records import read_study
from p2pbench.report.track import TRACKERS, Tracking
from p2pbench.runs.store import Store
from p2pbench.study.plan import build_study
from p2pbench.study.study_file import write_study


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A study of two finished cells, of which one left a sheet of samples."""
    monkeypatch.chdir(tmp_path)
    Path("two.yaml").write_text("factors: {objective: [l1, l1+cgan]}\nscoring: {metrics: [l1, lpips, fid]}\n")
    store = Store(tmp_path / "runs")
    study = build_study("two.yaml", None, {}, [0])
    write_study(study, store)
    for rank, cell in enumerate(study.cells):
        fill(store, str(cell.run_id), rank, 0)
        store.run(str(cell.run_id)).set_status("finished", finished="2026-01-01T00:00:00+00:00")
    run = store.run(str(study.cells[0].run_id))
    save_png(run.samples / "epoch-0002.png", np.full((4, 4, 3), 100, np.uint8))
    return store


def test_a_tracker_that_is_not_there_is_refused_with_what_there_is(store: Store) -> None:
    with pytest.raises(ConfigError, match="wandb"):
        Tracking(store, "two", "wand")
    for name in TRACKERS:
        if importlib.util.find_spec(name) is None:
            with pytest.raises(ConfigError, match=rf"pip install 'p2pbench\[{name}\]'"):
                Tracking(store, "two", name)


@pytest.mark.filterwarnings("default")  # theirs
def test_wandb_gets_each_cell_and_the_verdict_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="needs the extra wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    tracking = Tracking(store, "two", "wandb")
    tracking.end()
    folders = sorted(Path("wandb").glob("offline-run-*"))
    assert len(folders) == 3
    contents = [next(folder.glob("*.wandb")).read_bytes() for folder in folders]
    for said in (b"objective.name", b"loss/g_l1", b"test/l1", b" seed 0"):
        assert sum(said in content for content in contents) == 2, said
    assert b"No verdict yet: one training a variant" in contents[2]
    assert len(list(folders[0].glob("files/media/images/samples*.png"))) == 1
    tracking.end()
    Tracking(store, "two", "wandb").end()
    assert len(list(Path("wandb").glob("offline-run-*"))) == 3
    read_study(store, "two").cells[0].run.set_status("finished", finished="2026-01-02T00:00:00+00:00")
    tracking.end()
    assert len(list(Path("wandb").glob("offline-run-*"))) == 4  # it was trained or scored anew


@pytest.mark.filterwarnings("default")
def test_mlflow_gets_each_cell_and_the_verdict_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(Path("mlruns").absolute().as_uri())
    for _ in range(2):
        Tracking(store, "two", "mlflow").end()
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("two")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert runs.keys() == {"l1 seed 0", "l1+cgan seed 0", "verdict"}
    assert len(client.search_runs([experiment.experiment_id])) == 3
    cell = runs["l1 seed 0"]
    assert cell.data.params["objective.name"] == "l1"
    assert cell.data.tags["variant"] == "l1"
    measured = read_study(store, "two").cells[0].scores["l1"].value
    assert cell.data.metrics["test/l1"] == pytest.approx(measured)
    history = client.get_metric_history(cell.info.run_id, "loss/g_l1")
    assert [(point.step, point.value) for point in history] == [(10, 0.4), (20, 0.3)]
    assert [one.path for one in client.list_artifacts(cell.info.run_id, "samples")] == ["samples/epoch-0002.png"]
    text = mlflow.artifacts.load_text(f"runs:/{runs['verdict'].info.run_id}/verdict.txt")
    assert text.startswith("No verdict yet: one training a variant")


@pytest.mark.filterwarnings("default")
def test_a_tracker_that_fails_stops_nothing_and_is_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    Path("file").write_text("no folder")
    mlflow.set_tracking_uri((Path("file").absolute() / "mlruns").as_uri())
    Tracking(store, "two", "mlflow").end()
    assert "l1 seed 0 was not logged to mlflow, and will be by the next ablate" in caplog.text
    mlflow.set_tracking_uri(Path("mlruns").absolute().as_uri())
    Tracking(store, "two", "mlflow").end()
    client = mlflow.MlflowClient()
    assert len(client.search_runs([client.get_experiment_by_name("two").experiment_id])) == 3
