"""Studies through the command line: trained, skipped, resumed, failed, killed; nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from study_workplace import Workplace

from p2pbench.errors import RunBusy
from p2pbench.runs.folder import RunFolder
from p2pbench.system.files import sha256_of

GRID = ("--grid", "two.yaml", "--jobs", "2")
ONE_BY_ONE = ("--grid", "two.yaml")


def records(folder: Path) -> dict[str, bytes]:
    """What must be equal to the bit between two stores: weights, losses, scores."""
    names = ("generator.safetensors", "losses.csv", "scores.json", "per_image.csv", "profile.json")
    return {f"{run.name}/{name}": (run / name).read_bytes() for run in (folder / "cells").iterdir() for name in names}


def test_a_study_from_grid_to_report(workplace: Workplace) -> None:
    first = workplace.json("ablate", *GRID)
    assert (first["study"], first["trained"], first["skipped"], first["failed"]) == ("two", 2, 0, 0)
    assert [cell["state"] for cell in first["cells"]] == ["trained", "trained"]
    assert "2 of 2 cells finished" in (workplace.folder / "reports" / "two" / "live.html").read_text()
    before = records(workplace.folder / "runs")

    again = workplace.json("ablate", *GRID)
    assert (again["trained"], again["skipped"]) == (0, 2)
    assert records(workplace.folder / "runs") == before
    assert "0 trained, 2 finished before" in workplace.run("ablate", *GRID).stdout

    for cell in first["cells"]:
        run = workplace.folder / "runs" / "cells" / cell["run_id"]
        assert {path.name for path in run.iterdir()} >= {
            "config.yaml", "status.json", "losses.csv", "scores.json", "per_image.csv", "samples",
            "generator.safetensors", "log.txt", "lock",
        }  # fmt: skip
        assert not (run / "checkpoint").exists()
        assert "trained 12 steps" in (run / "log.txt").read_text()
        assert (run / "samples" / "epoch-0000.png").is_file()
        assert (run / "samples" / "epoch-0002.png").is_file()

    report = workplace.json("report", "--out", "out")["studies"][0]
    assert report["finished"] == 2
    out = workplace.folder / "out" / "two"
    assert {path.name for path in out.iterdir()} >= {
        "index.html", "scores.csv", "scores_long.csv", "scores.md", "scores.tex",
        "scores.png", "losses.svg", "spectrum.png", "colours.png", "samples.jpg",
    }  # fmt: skip
    variants = [row.split(",")[0] for row in (out / "scores.csv").read_text().splitlines()[1:]]
    assert variants[:2] == ["l1", "l1+cgan"]
    assert all(variant.startswith("reference: ") for variant in variants[2:])


def test_a_score_asked_for_later_is_added_without_training(workplace: Workplace) -> None:
    less = ("--set", "scoring.metrics=[l1]")
    workplace.json("ablate", *GRID, *less)
    weights = _generators(workplace)
    found = workplace.json("ablate", *GRID)
    assert (found["trained"], found["skipped"], found["scored"]) == (0, 2, 2)
    assert _generators(workplace) == weights
    fresh = workplace.json("ablate", *GRID, "--runs", "fresh")
    assert fresh["trained"] == 2
    for name, content in records(workplace.folder / "fresh").items():
        if not name.endswith("scores.json"):  # there the order of scores may differ
            assert (workplace.folder / "runs" / "cells" / name).read_bytes() == content, name


def _make_older(run: Path) -> None:
    """As a run is that finished before reports were drawn from more than scores, and scores of sets had more."""
    status = json.loads((run / "status.json").read_text())
    del status["training"]["generator_flops"], status["files"]["profile.json"], status["files"]["samples/test"]
    scores = json.loads((run / "scores.json").read_text())
    del scores["scores"]["hist-l-set"]["settings"]["jackknife"], status["files"]["jackknife.csv"]
    (run / "scores.json").write_text(json.dumps(scores))
    (run / "jackknife.csv").unlink()
    status["files"]["scores.json"] = sha256_of(run / "scores.json")
    (run / "status.json").write_text(json.dumps(status))
    (run / "profile.json").unlink()
    for path in (run / "samples" / "test").glob("*-output.png"):
        path.unlink()


def test_what_reports_show_is_added_to_a_finished_run_without_training(workplace: Workplace) -> None:
    one_epoch = (*ONE_BY_ONE, "--set", "training.epochs=1", "--set", "scoring.metrics=[l1, hist-l-set]")
    workplace.json("ablate", *one_epoch)
    runs = sorted((workplace.folder / "runs" / "cells").iterdir())
    before, pseudo = records(workplace.folder / "runs"), [(run / "jackknife.csv").read_text() for run in runs]
    assert [line.split(",")[0] for line in pseudo[0].splitlines()] == ["unit", "000", "001", "002"]
    for run in runs:
        _make_older(run)
    found = workplace.json("ablate", *one_epoch)
    assert (found["trained"], found["scored"]) == (0, 2)
    assert records(workplace.folder / "runs") == before
    assert [(run / "jackknife.csv").read_text() for run in runs] == pseudo
    for run in runs:
        status = json.loads((run / "status.json").read_text())
        assert status["training"]["generator_flops"] > 0
        assert {"profile.json", "samples/test"} <= status["files"].keys()
        kept = {path.name for path in (run / "samples" / "test").iterdir()}
        assert kept >= {f"{k:05d}-{name}.png" for k in range(3) for name in ("condition", "output", "target", "draw3")}
    assert workplace.json("runs", "verify")["problems"] == []
    (runs[0] / "samples" / "test" / "00001-output.png").write_bytes(b"no picture")
    (problem,) = workplace.json("runs", "verify", code=3)["problems"]
    assert (problem["run_id"], problem["file"]) == (runs[0].name, "samples/test")
    assert workplace.json("ablate", *one_epoch)["scored"] == 1
    assert workplace.json("runs", "verify")["problems"] == []


def test_a_study_grows_seed_by_seed(workplace: Workplace) -> None:
    for seed in ("0", "1"):
        workplace.json("ablate", *GRID, "--seeds", seed)
    assert workplace.json("report")["studies"][0]["cells"] == 4
    workplace.json("ablate", *GRID, "--seeds", "1", "--set", "training.epochs=1")
    reports = {study["study"]: study["cells"] for study in workplace.json("report")["studies"]}
    assert reports == {"two": 4, "two,epochs=1": 2}  # another training: not mixed with those


def test_what_training_left_is_not_believed_when_it_has_changed(workplace: Workplace) -> None:
    workplace.json("ablate", *GRID)
    before = records(workplace.folder / "runs")
    first, second = sorted((workplace.folder / "runs" / "cells").iterdir())
    (first / "generator.safetensors").unlink()
    scores = (first / "scores.json").read_text()
    (first / "scores.json").write_text(scores.replace('"value": 0.', '"value": 0.9'))
    generator = (second / "generator.safetensors").read_bytes()
    (second / "generator.safetensors").write_bytes(generator[:-9] + b"123456789")
    (second / "per_image.csv").write_text("")
    (second / "scores.json").unlink()
    assert workplace.json("ablate", *GRID)["failed"] == 0
    assert records(workplace.folder / "runs") == before


def test_two_ablates_at_once_run_each_cell_once(workplace: Workplace) -> None:
    both = [
        subprocess.Popen(
            workplace.command("ablate", *GRID, "--set", "training.epochs=40", "--json"), cwd=workplace.folder,
            env=workplace.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in both:
        _, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
    for run in (workplace.folder / "runs" / "cells").iterdir():
        assert (run / "log.txt").read_text().count("trained 240 steps") == 1


def test_one_training_is_scored_under_every_inference_mode(workplace: Workplace) -> None:
    (workplace.folder / "inference.yaml").write_text(
        "protocol: tiny.yaml\nfactors: {scoring.inference: [paper, instance-stats, eval]}\n"
    )
    found = workplace.json("ablate", "--grid", "inference.yaml")
    assert len({cell["run_id"] for cell in found["cells"]}) == 1
    (run,) = (workplace.folder / "runs" / "cells").iterdir()
    assert {p.name for p in run.glob("scores*.json")} == {"scores.json", "scores-statistics.json", "scores-eval.json"}
    workplace.json("report")
    rows = (workplace.folder / "reports" / "inference" / "scores.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:4]] == ["inference=paper", "inference=instance-stats", "inference=eval"]
    assert len({row.split(",")[2] for row in rows[1:4]}) == 3
    again = workplace.json("ablate", "--grid", "inference.yaml")
    assert (again["skipped"], again["shared"]) == (1, 2)


def test_a_score_of_the_users_own_is_a_column_and_measured_anew_when_it_changes(workplace: Workplace) -> None:
    (workplace.folder / "own_metric.py").write_text("def bits(f, t):\n    return [1.0] * len(f)\n")
    grid = (workplace.folder / "two.yaml").read_text()
    (workplace.folder / "own.yaml").write_text(grid + 'scoring: {extra_metrics: ["own_metric:bits", diversity]}\n')
    assert workplace.json("ablate", "--grid", "own.yaml")["trained"] == 2
    workplace.json("report")
    text = (workplace.folder / "reports" / "own" / "scores.md").read_text()
    assert "bits not measured: 'own_metric:bits' failed: ValueError: it does not say which way is better" in text
    with (workplace.folder / "own_metric.py").open("a") as module:
        module.write("bits.better = 'lower'\n")
    found = workplace.json("ablate", "--grid", "own.yaml")
    assert (found["trained"], found["scored"]) == (0, 2)
    assert workplace.json("ablate", "--grid", "own.yaml")["scored"] == 0
    workplace.json("report")
    text = (workplace.folder / "reports" / "own" / "scores.md").read_text()
    assert "| bits ↓ |" in text
    assert "diversity ↑" in text
    message = workplace.run("ablate", "--grid", "own.yaml", "--set", "scoring.metrics=[own_metric:bit]", code=2).stderr
    assert "did you mean 'bits'" in message


def test_variants_that_share_a_training_get_the_scores_of_each(workplace: Workplace) -> None:
    (workplace.folder / "shared.yaml").write_text(
        "protocol: tiny.yaml\nfactors:\n  asked:\n    - {label: a, scoring.extra_metrics: [sharpness]}\n"
        "    - {label: b, scoring.extra_metrics: [diversity]}\n"
    )
    found = workplace.json("ablate", "--grid", "shared.yaml")
    (run,) = {cell["run_id"] for cell in found["cells"]}
    scores = json.loads((workplace.folder / "runs" / "cells" / run / "scores.json").read_text())["scores"]
    assert {"l1", "sharpness", "diversity"} <= scores.keys()


def _generators(workplace: Workplace) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in workplace.folder.glob("runs/cells/*/generator.safetensors")}


def test_jobs_at_once_give_the_same_bits(workplace: Workplace) -> None:
    workplace.json("ablate", *ONE_BY_ONE, "--runs", "one")
    workplace.json("ablate", *GRID, "--runs", "two")
    assert records(workplace.folder / "one") == records(workplace.folder / "two")


def test_a_plan_runs_nothing(workplace: Workplace) -> None:
    plan = workplace.json("ablate", *GRID, "--plan")
    assert [cell["state"] for cell in plan["cells"]] == ["to run", "to run"]
    assert plan["estimate"]["seconds"] is None
    assert plan["estimate"]["disk_bytes"] > 0
    assert not (workplace.folder / "runs").exists()
    text = workplace.run("ablate", *GRID, "--plan", "--set", "training.batch_size=2").stdout
    for word in ("l1+cgan", "protocol tiny", "--set", "preset paper", "unknown"):
        assert word in text
    assert max(len(line) for line in text.splitlines()) <= 80
    workplace.run("ablate", *GRID)
    longer = workplace.json("ablate", *GRID, "--plan", "--set", "training.epochs=4", "--budget", "0.5")
    assert longer["estimate"]["seconds"] > 0
    assert len(longer["cells"]) == 2 * 20  # as many seeds as a budget ever plans
    short = workplace.run("ablate", *GRID, "--set", "training.epochs=9000", "--budget", "0.001", code=2)
    assert "--budget 0.001: one seed of all 2 variants takes about" in short.stderr
    assert longer["estimate"]["memory_bytes"] > 0


FAILING = """
import torch
from torch import nn


def works(config):
    return nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Tanh())


def fails(config):
    raise RuntimeError("a mistake of the user's own")
"""


def test_a_cell_that_fails_is_recorded_and_the_others_go_on(workplace: Workplace) -> None:
    (workplace.folder / "own.py").write_text(FAILING)
    (workplace.folder / "mine.yaml").write_text(
        "protocol: tiny.yaml\nfactors: {generator: ['own:fails', 'own:works', unet]}\nbaseline: {generator: unet}\n"
    )
    found = workplace.json("ablate", "--grid", "mine.yaml", "--jobs", "2", code=4)
    assert (found["trained"], found["failed"]) == (2, 1)
    (bad,) = [cell for cell in found["cells"] if cell["state"] == "failed"]
    assert bad["variant"] == "own:fails"
    assert "a mistake of the user's own" in bad["reason"]
    log = (workplace.folder / "runs" / "cells" / bad["run_id"] / "log.txt").read_text()
    assert "Traceback" in log
    again = workplace.run("ablate", "--grid", "mine.yaml", "--jobs", "2", code=4).stderr
    assert again.count("a mistake of the user's own") == 1
    assert "failed, for the reasons above: own:fails seed 0" in again

    report = workplace.json("report")["studies"][0]
    assert (report["finished"], report["cells"]) == (2, 3)
    page = (workplace.folder / "reports" / "mine" / "index.html").read_text()
    assert "own:fails" in page
    assert "1 of 3 cells has no result" in page

    (workplace.folder / "own.py").write_text(
        FAILING.replace('raise RuntimeError("a mistake of the user\'s own")', "return works(config)")
    )
    # The file of both networks has changed, the trained one's too: it is another study until the user says otherwise.
    assert "the code of a network" in workplace.run("ablate", "--grid", "mine.yaml", code=2).stderr
    assert workplace.json("ablate", "--grid", "mine.yaml", "--replace")["failed"] == 0


def test_fail_fast_stops_at_the_first(workplace: Workplace) -> None:
    (workplace.folder / "own.py").write_text(FAILING)
    (workplace.folder / "mine.yaml").write_text(
        "protocol: tiny.yaml\nfactors: {generator: ['own:fails', unet]}\nbaseline: {generator: unet}\n"
    )
    found = workplace.json("ablate", "--grid", "mine.yaml", "--fail-fast", code=4)
    assert [cell["state"] for cell in found["cells"]] == ["failed", "not run"]


LONG = ("--set", "training.epochs=120", "--set", "training.checkpoint_seconds=0", "--set", "training.sample_every=200")


def start(workplace: Workplace, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        workplace.command("ablate", *ONE_BY_ONE, *LONG, *arguments), cwd=workplace.folder, env=workplace.environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for_checkpoint(workplace: Workplace, runs: str, after: int) -> None:
    """Until the first cell is finished and the second has a checkpoint past step ``after``."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        runs_seen = list((workplace.folder / runs).glob("cells/*"))
        finished = [run for run in runs_seen if '"finished"' in _text(run / "status.json")]
        steps = [int(p.stem[5:]) for run in runs_seen for p in run.glob("checkpoint/step-*") if run not in finished]
        if len(finished) == 1 and steps and max(steps) >= after:
            return
        time.sleep(0.005)
    pytest.fail("no checkpoint in two minutes")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def workers_of(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(word) for word in children.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_study_that_was_killed_and_interrupted_ends_with_the_same_bits(workplace: Workplace) -> None:
    """Its parent alone is killed with SIGKILL half-way, then it gets Ctrl-C, then SIGTERM; then it may finish."""
    workplace.run("ablate", *GRID, *LONG, "--runs", "whole")

    parent = start(workplace, "--runs", "parts")
    wait_for_checkpoint(workplace, "parts", after=20)
    if Path("/proc").is_dir():
        workers = workers_of(parent.pid)
        assert workers
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    if Path("/proc").is_dir():
        deadline = time.monotonic() + 10
        while any(map(alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(alive, workers))
    assert len(list((workplace.folder / "parts").glob("cells/*/scores.json"))) == 1  # half-way indeed

    for number, after in ((signal.SIGINT, 60), (signal.SIGTERM, 120)):
        parent = start(workplace, "--runs", "parts")
        wait_for_checkpoint(workplace, "parts", after=after)
        parent.send_signal(number)
        _, err = parent.communicate(timeout=60)
        assert parent.returncode == 130, err
        assert "same command goes on" in err
        assert "Traceback" not in err
        (unfinished,) = (workplace.folder / "parts").glob("cells/*/checkpoint")
        assert '"state": "interrupted"' in (unfinished.parent / "status.json").read_text()

    found = workplace.json("ablate", *GRID, *LONG, "--runs", "parts")
    assert (found["trained"], found["skipped"], found["failed"]) == (1, 1, 0)
    assert records(workplace.folder / "whole") == records(workplace.folder / "parts")
    for run in (workplace.folder / "parts" / "cells").iterdir():
        assert list((run / "samples" / "test").glob("*-untrained.png"))


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the workers in /proc")
def test_a_worker_that_is_killed_is_a_failed_cell_with_its_reason(workplace: Workplace) -> None:
    parent = start(workplace)
    wait_for_checkpoint(workplace, "runs", after=20)
    for worker in workers_of(parent.pid):
        os.kill(worker, signal.SIGKILL)
    _, err = parent.communicate(timeout=60)
    assert parent.returncode == 4
    assert "SIGKILL" in err
    assert workplace.json("ablate", *GRID, *LONG)["trained"] == 1


def test_two_processes_are_kept_out_of_one_run(workplace: Workplace) -> None:
    run = RunFolder(workplace.folder / "run")
    with run.lock(), pytest.raises(RunBusy, match="in use by another"), run.lock(seconds=0.1):
        pass
