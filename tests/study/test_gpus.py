"""Jobs on several GPUs, and a job that another process has to go on with; by workers that answer at once."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from study_workplace import PROTOCOL

from p2pbench.config.resolve import Layer, resolve
from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError
from p2pbench.runs.events import ENDS, Event, Job
from p2pbench.runs.store import Store
from p2pbench.study import prepare, runner
from p2pbench.study.execution import Execution
from p2pbench.study.local import LocalExecutor
from p2pbench.study.plan import build_study
from p2pbench.study.runner import carry_out
from p2pbench.training import device

WORKER = """#!{python}
import json, os, pathlib, sys, time
order = json.loads(sys.stdin.readline())
pathlib.Path(order["key"] + ".seen").touch()
print(json.dumps({{"event": "stage", "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"), "sharers": order["sharers"]}}))
sys.stdout.flush()
while not pathlib.Path(order["until"] + ".seen").exists():
    time.sleep(0.02)
print(json.dumps({{"event": "finished"}}))
"""


@pytest.fixture
def quick_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = tmp_path / "worker"
    worker.write_text(WORKER.format(python=sys.executable))
    worker.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(worker))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def jobs_of(tmp_path: Path, until: list[int], where: str = "auto") -> list[Job]:
    """Jobs of which the nth ends when that numbered ``until[n]`` has begun."""
    config = resolve([Layer("test", {"training.device": where})]).config
    seen = [str(tmp_path / str(n)) for n in range(len(until))]
    return [Job("cell", seen[n], str(n), config, tmp_path / "log", {"until": seen[u]}) for n, u in enumerate(until)]


@pytest.mark.usefixtures("quick_workers")
def test_jobs_are_spread_over_the_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "visible_gpus", lambda: ["GPU-a", "GPU-b"])
    executor = LocalExecutor(Store(tmp_path / "runs"), jobs=4, weights_dir=None)
    # The third's place is taken by the fifth, on the GPU that is then the freest. The others wait for it.
    jobs = jobs_of(tmp_path, [4, 4, 2, 4, 4])
    said = {e.job: e.about for e in executor.run(jobs) if e.kind == "stage"}
    assert [said[job]["gpu"] for job in jobs] == ["GPU-a", "GPU-b", "GPU-a", "GPU-b", "GPU-a"]
    assert {about["sharers"] for about in said.values()} == {2}


@pytest.mark.usefixtures("quick_workers")
@pytest.mark.parametrize(
    ("gpus", "jobs", "where"), [(["0", "1"], 1, "auto"), (["0"], 2, "auto"), (["0", "1"], 2, "cpu")]
)
def test_a_worker_sees_what_its_parent_sees_where_there_is_nothing_to_spread(
    gpus: list[str], jobs: int, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "visible_gpus", lambda: gpus)
    executor = LocalExecutor(Store(tmp_path / "runs"), jobs=jobs, weights_dir=None)
    said = [event.about for event in executor.run(jobs_of(tmp_path, [0, 1], where)) if event.kind == "stage"]
    assert [about["gpu"] for about in said] == [None, None]


FAILS_TO_CAPTURE = """
from p2pbench.errors import CaptureFailed
from p2pbench.training import loop
from torch import nn

real = loop.runner


def runner(engine, networks, optimisers, batches, config):
    if config.training.engine == "auto":
        raise CaptureFailed("this step cannot be captured in a CUDA graph (as told)")
    return real(engine, networks, optimisers, batches, config)


loop.runner = runner


def build(config):
    return nn.Sequential(nn.Conv2d(3, 3, 1), nn.Tanh())
"""


def test_a_cell_whose_capture_failed_is_trained_eagerly_by_another_process(
    tmp_path: Path, pairs_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(PROTOCOL.format(source=pairs_folder))
    Path("mine_capture.py").write_text(FAILS_TO_CAPTURE)
    Path("one.yaml").write_text("protocol: tiny.yaml\nfactors: {objective: [l1], generator: ['mine_capture:build']}\n")
    monkeypatch.syspath_prepend(tmp_path)
    study, store, events = build_study("one.yaml", None, {}, [0]), Store(tmp_path / "runs"), list[Event]()
    result = carry_out(study, store, Execution(), console=Console(quiet=True), watch=events.append)
    assert [outcome.state for outcome in result.outcomes] == ["trained"], result.outcomes
    of_cells = [event.kind for event in events if event.job.kind == "cell"]
    assert of_cells.count("started") == 1
    assert sum(kind in ENDS for kind in of_cells) == 1
    log = store.run(str(study.cells[0].run_id)).log_file.read_text()
    assert "as told" in log
    assert "engine eager," in log


@pytest.fixture
def config() -> RunConfig:
    settings = {
        "data.source": "drawn:4", "data.direction": "BtoA", "data.load_size": 18, "data.crop_size": 16,
        "discriminator.name": "patch16", "training.device": "cuda", "scoring.metrics": ["fcn-iou"],
    }  # fmt: skip
    return resolve([Layer("test", settings)]).config


def test_the_parent_of_trainings_on_a_gpu_has_the_segmentation_network_on_the_cpu(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CUDA context would stay in this process, and take a GiB of each GPU."""
    from p2pbench.scoring import segmenter
    from p2pbench.scoring.segmenter_training import build

    def untrained(photos: Any, _: Any, n_classes: int, test: Any, __: Any) -> Any:
        return build(n_classes, photos.shape[1:3]).state_dict(), test[..., 0] * 0

    prepare.decode_data([config], Console(quiet=True))
    monkeypatch.setattr(device, "available_device", lambda _: "cuda")
    monkeypatch.setattr(segmenter, "train_apart", untrained)
    console = Console(record=True, width=200, file=io.StringIO())
    prepare.train_segmentation([config], console)
    assert "the real photos, by the segmentation network" in console.export_text()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
@pytest.mark.parametrize("metrics", ["l1", "fcn-iou"])
def test_a_device_that_is_not_here_is_told_before_anything_is_prepared(
    metrics: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepared(*_: object) -> None:
        raise AssertionError("prepared")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "decode_data", prepared)
    Path("tiny.yaml").write_text(PROTOCOL.format(source="drawn:4"))
    settings = {"training.device": "cuda", "scoring.metrics": metrics}
    study, store = build_study("loss", "tiny.yaml", settings, [0]), Store(tmp_path / "runs")
    with pytest.raises(ConfigError, match=r"training\.device is cuda, which this machine does not have"):
        carry_out(study, store, Execution(), console=Console(quiet=True))
    # The nodes of a cluster are checked by its executor.
    remote = LocalExecutor(store, jobs=1, weights_dir=None)
    with pytest.raises(AssertionError, match="prepared"):
        carry_out(study, store, Execution("ray"), console=Console(quiet=True), executor=remote)
