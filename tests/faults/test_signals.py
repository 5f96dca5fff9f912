"""What a scheduler sends, and what sends nothing: SIGTERM to a training, a cell that hangs, clocks that are set."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from program import invoke
from study_workplace import PROTOCOL, make_workplace
from tiny_runs import write_pairs

from p2pbench.errors import Interrupted
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.store import Store
from p2pbench.study import local
from p2pbench.study.job import start_worker
from p2pbench.study.local import LocalExecutor
from p2pbench.study.plan import build_study
from p2pbench.study.runner import cell_job
from p2pbench.study.worker import IMPATIENCE_SECONDS, Stop

SETTINGS = ("training.epochs=60", "training.log_every=1", "training.checkpoint_seconds=0", "training.sample_every=100",
            "scoring.metrics=[l1]")  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_training_that_is_told_to_end_leaves_a_checkpoint_and_goes_on(number: int, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(
        PROTOCOL.format(source=write_pairs(tmp_path / "pairs", {"train": 2, "test": 2}))
    )
    command = ["train", "--protocol", str(tmp_path / "tiny.yaml"), *(f"--set={setting}" for setting in SETTINGS)]
    run, whole = tmp_path / "run", tmp_path / "whole"

    def tell() -> None:
        deadline = time.monotonic() + 200
        while not list(run.glob("checkpoint/step-*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=tell)
    thread.start()
    result = invoke(*command, "--out", run, code=130)
    thread.join()
    assert f"go on with: p2pbench train --resume --out {run}" in result.stderr
    status = json.loads((run / "status.json").read_text())
    assert status["state"] == "interrupted"
    step = status["reason"].split()[3]  # stopped at step 17 of 120
    assert (run / "checkpoint" / f"step-{int(step):08d}.safetensors").is_file()

    invoke(*command, "--out", run, "--resume")
    invoke(*command, "--out", whole)
    for name in ("generator.safetensors", "losses.csv", "scores.json", "per_image.csv"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    log = (run / "log.txt").read_text()
    assert log.count("training ") == 2
    assert "trained 120 steps" in log


def test_a_second_signal_at_once_is_the_first_again_also_while_the_end_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.yaml").write_text(
        PROTOCOL.format(source=write_pairs(tmp_path / "pairs", {"train": 2, "test": 2}))
    )
    set_status = RunFolder.set_status

    def told_again(run: RunFolder, state: str, *about: Any, **more: Any) -> None:
        if state == "interrupted":
            os.kill(os.getpid(), signal.SIGINT)
        set_status(run, state, *about, **more)

    monkeypatch.setattr(RunFolder, "set_status", told_again)
    monkeypatch.setattr("p2pbench.runs.cell.engine_for", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
    result = invoke("train", "--protocol", tmp_path / "tiny.yaml", "--out", tmp_path / "run", code=130)
    assert "stopped; nothing was trained" in result.stderr
    assert json.loads((tmp_path / "run/status.json").read_text())["state"] == "interrupted"


@pytest.mark.parametrize("stage", ["data", "train", "score"])
def test_who_insists_is_heard_after_a_moment(stage: str) -> None:
    stop = Stop()
    stop.enter(stage)
    with contextlib.nullcontext() if stage == "train" else pytest.raises(KeyboardInterrupt):
        stop.handle()
    stop.handle()
    assert stop.asked_at is not None
    stop.asked_at -= 2 * IMPATIENCE_SECONDS
    with pytest.raises(KeyboardInterrupt):
        stop.handle()
    with pytest.raises(Interrupted):
        stop.enter("score")


def test_a_cell_that_makes_no_progress_is_ended_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a lock that nobody gives back."""
    (tmp_path / "tiny.yaml").write_text(
        PROTOCOL.format(source=write_pairs(tmp_path / "pairs", {"train": 2, "test": 2}))
    )
    (tmp_path / "one.yaml").write_text("protocol: tiny.yaml\nfactors: {objective: [l1]}\n")
    monkeypatch.chdir(tmp_path)
    study = build_study("one.yaml", None, {}, [0])
    store = Store(tmp_path / "runs")
    (cell,) = study.cells
    executor = LocalExecutor(store, jobs=1, weights_dir=None, silence_seconds=1.0)
    with store.run(str(cell.run_id)).lock():
        events = list(executor.run([cell_job([cell], store)]))
    assert events[-1].kind == "failed"
    assert "made no progress for 1" in events[-1].about["reason"]
    assert "--timeout" in events[-1].about["reason"]


def test_a_worker_that_is_being_started_hears_of_the_end_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may take the signal, and the main one act on it, before the worker is known."""
    make_workplace(tmp_path, write_pairs(tmp_path / "pairs", {"train": 2, "test": 2}))
    monkeypatch.chdir(tmp_path)
    study = build_study("two.yaml", None, {}, [0])
    store = Store(tmp_path / "runs")
    executor = LocalExecutor(store, jobs=1, weights_dir=None)

    def start_and_stop(*asked: Any) -> Any:
        worker = start_worker(*asked)
        executor.stop()
        return worker

    monkeypatch.setattr(local, "start_worker", start_and_stop)
    events = list(executor.run([cell_job([cell], store) for cell in study.cells]))
    assert [(event.kind, event.about) for event in events] == [("started", {}), ("interrupted", {"reason": "stopped"})]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["ablate --grid loss", "report", "describe"])
def test_a_signal_at_any_moment_ends_the_program_in_a_word(number: int, command: str, tmp_path: Path) -> None:
    """Also while it is only being read, from when Python itself has begun; or it was done before."""
    environment = {**os.environ, "P2PBENCH_HOME": str(tmp_path / "home"), "PYTHONUNBUFFERED": "1"}
    for after in (0.15, 0.3, 0.6, 1.2):
        program = subprocess.Popen(
            # Whoever started the tests may have SIGINT ignored, as a shell does for what runs in its background.
            [sys.executable, "-c", "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); print(); "
             f"import sys; sys.argv[1:] = {command.split()}; from p2pbench.__main__ import main; main()"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment,
        )  # fmt: skip
        assert program.stdout is not None
        program.stdout.readline()
        time.sleep(after)
        program.send_signal(number)
        _, errors = program.communicate(timeout=60)
        # Outside the program itself, before it and after it, a signal does what it does to any Python. A slow machine
        # still imports the package when it comes.
        outside = program.returncode == -number and ", in main" not in errors
        assert outside or "Traceback" not in errors, errors
        if program.returncode not in (0, 2):  # there is nothing to report
            assert program.returncode in (130, -number), errors


SWALLOWS = """
import contextlib, os, signal, sys, time

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != "{module}" or "{process}" not in sys.orig_argv:
            return None
        sys.meta_path.remove(self)
        with contextlib.suppress(BaseException):
            os.kill(os.{told}(), signal.{signal})
            time.sleep(10)
        return None

sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(("process", "module", "told"), [
    ("p2pbench", "p2pbench.study.runner", "getpid"), ("p2pbench.study.worker", "p2pbench.runs.cell", "getppid"),
])  # fmt: skip
def test_a_signal_that_an_import_swallows_is_not_lost(
    name: str, process: str, module: str, told: str, tmp_path: Path
) -> None:
    place = make_workplace(tmp_path, write_pairs(tmp_path / "pairs", {"train": 4, "test": 4}))
    (tmp_path / "sitecustomize.py").write_text(SWALLOWS.format(process=process, module=module, told=told, signal=name))
    place.environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), *sys.path])
    done = place.run("ablate", "--grid", "two.yaml", code=130)
    assert ("interrupted" if process == "p2pbench" else "stopped; the same command goes on") in done.stderr
    assert not list(tmp_path.glob("runs/cells/*/generator.safetensors"))
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/cells/*/status.json")]
    assert [(r["state"], r["reason"]) for r in records] == [("interrupted", "stopped")] * (process != "p2pbench")
