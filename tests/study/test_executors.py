"""What every executor does: the same events, the same records, whatever carries the cells out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ray_cluster import TwoNodes
from rich.console import Console
from study_workplace import PROTOCOL
from tiny_runs import write_pairs

from p2pbench.config.resolve import parse_set
from p2pbench.runs.events import ENDS, Event
from p2pbench.runs.store import Store
from p2pbench.study import runner
from p2pbench.study.execution import Execution
from p2pbench.study.local import LocalExecutor
from p2pbench.study.plan import Study, build_study
from p2pbench.study.ray import RayExecutor
from p2pbench.study.ray_cluster import connected
from p2pbench.study.runner import Executor
from p2pbench.system.cache_dir import home

RECORDS = ("config.yaml", "generator.safetensors", "losses.csv", "scores.json", "per_image.csv", "profile.json")
STEPS = 240
LONG = ("training.epochs=40", "training.checkpoint_seconds=0", "training.sample_every=200", "training.log_every=2")
OWN = """
from torch import nn


def build(config):
    return nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Tanh())
"""


def study_in(folder: Path) -> Study:
    """Two generators, one of the user's own, on pairs that are found by their name."""
    write_pairs(home() / "data" / "squares", {"train": 6, "test": 3})
    (folder / "tiny.yaml").write_text(PROTOCOL.format(source="squares"))
    (folder / "own.py").write_text(OWN)
    (folder / "two.yaml").write_text("protocol: tiny.yaml\nfactors: {generator: [unet, 'own:build']}\n")
    return build_study("./two.yaml", "./tiny.yaml", parse_set(LONG), None)


@contextmanager
def executor_of(kind: str, study: Study, store: Store, jobs: int, nodes: Callable[[], TwoNodes]) -> Iterator[Executor]:
    if kind == "local":
        yield LocalExecutor(store, jobs=jobs, weights_dir=None)
        return
    with connected(nodes().address, [cell.config for cell in study.cells]):
        yield RayExecutor(store, Execution("ray", jobs=jobs))


def carry_out(
    study: Study, store: Store, executor: Executor, watch: Callable[[Event], None] = lambda event: None
) -> tuple[list[str], list[Event]]:
    """The state of each cell, and all events of cells."""
    events: list[Event] = []

    def keep(event: Event) -> None:
        if event.job.kind == "cell":
            events.append(event)
        watch(event)

    quiet = Console(quiet=True)
    result = runner.carry_out(study, store, Execution(), console=quiet, watch=keep, executor=executor)
    return [outcome.state for outcome in result.outcomes], events


def records(store: Store) -> dict[str, bytes]:
    runs = (store.root / "cells").iterdir()
    return {f"{run.name}/{name}": (run / name).read_bytes() for run in runs for name in RECORDS}


@pytest.fixture(scope="module")
def expected() -> dict[str, bytes]:
    """The records of the study as the first test's local executor made them, without a stop."""
    return {}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: dict[str, bytes]) -> Study:
    monkeypatch.chdir(tmp_path)
    study = study_in(tmp_path)
    if not expected:
        store = Store(tmp_path / "whole")
        states, _ = carry_out(study, store, LocalExecutor(store, jobs=2, weights_dir=None))
        assert states == ["trained", "trained"]
        expected.update(records(store))
    return study


def check_finished(store: Store) -> None:
    """Every run is whole, was trained once, and nothing of the way there is left."""
    for path in (store.root / "cells").iterdir():
        run = store.run(path.name)
        assert run.finished()
        assert not run.is_held()
        assert not run.checkpoint.exists()
        assert run.log_file.read_text().count(f"trained {STEPS} steps") == 1
        assert len(list((run.samples / "test").glob("*-untrained.png"))) == 3
        assert {name.name for name in run.path.iterdir()} <= {
            *RECORDS, "status.json", "samples", "log.txt", "lock", "tensorboard",
        }  # fmt: skip


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.long) for kind in ("local", "ray")])
def test_cells_are_stopped_and_go_on_to_the_same_records(
    kind: str, study: Study, expected: dict[str, bytes], request: pytest.FixtureRequest
) -> None:
    store = Store(Path("runs"))

    def nodes() -> TwoNodes:
        found: TwoNodes = request.getfixturevalue("nodes")
        return found

    with executor_of(kind, study, store, 1, nodes) as executor:

        def stop(event: Event) -> None:
            if event.kind == "progress" and event.about["done"] > 4 and event.about["total"] == STEPS:
                executor.stop()

        states, events = carry_out(study, store, executor, stop)
        assert states == ["interrupted", "not run"]
        kinds = [event.kind for event in events]
        assert kinds[0] == "started"
        assert kinds[-1] == "interrupted"
        assert sum(kind in ENDS for kind in kinds) == 1
        assert {"stage", "progress"} <= set(kinds)
        stages = [event.about["stage"] for event in events if event.kind == "stage"]
        assert stages == ["data", "train"]
        checkpoint = max((store.root / "cells").glob("*/checkpoint/step-*.safetensors"))
        assert 4 < int(checkpoint.stem[5:]) < STEPS

    with executor_of(kind, study, store, 2, nodes) as executor:
        states, _ = carry_out(study, store, executor)
    assert states == ["trained", "trained"]
    assert records(store) == expected
    check_finished(store)


def test_a_node_that_is_lost_costs_what_it_did_since_the_last_checkpoint(
    study: Study, expected: dict[str, bytes], nodes: TwoNodes
) -> None:
    """Its cell is resumed from its checkpoint in the store; none is trained twice."""
    store = Store(Path("runs"))
    steps: list[int] = []

    def kill(event: Event) -> None:
        steps.extend(int(path.stem[5:]) for path in (store.root / "cells").glob("*/checkpoint/step-*.safetensors"))
        if steps and not nodes.killed:
            nodes.kill_node()
            nodes.new_node()

    with connected(nodes.address, [cell.config for cell in study.cells]):
        executor = RayExecutor(store, Execution("ray", jobs=1))
        states, events = carry_out(study, store, executor, kill)
    assert nodes.killed == 1
    kinds = [event.kind for event in events]
    assert [kind for kind in kinds if kind not in ("stage", "progress")] == [
        "started", "lost", "started", "finished", "started", "finished",
    ]  # fmt: skip
    assert states == ["trained", "trained"]
    again = [
        e.about["done"] for e in events[kinds.index("lost") :] if e.kind == "progress" and e.about["total"] == STEPS
    ]
    assert again[0] > steps[0]  # not from the beginning
    assert records(store) == expected
    check_finished(store)
