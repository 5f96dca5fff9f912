"""What tests share: a home of their own, a tiny configuration, tiny pairs on disk, the real files where present."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import neutral_environment  # noqa: F401
import pytest
from hypothesis import settings
from ray_cluster import TwoNodes, two_nodes
from study_workplace import Workplace, make_workplace
from tiny_runs import TINY, write_pairs

from p2pbench.config.resolve import Layer, resolve
from p2pbench.config.schema import RunConfig
from p2pbench.system.hardware import available_cores

if TYPE_CHECKING:
    from p2pbench.report.page import Report

# The same examples in every run, so that CI does not fail by luck; P2PBENCH_HYPOTHESIS=explore (or fuzz) looks for
# new ones.
settings.register_profile("default", deadline=None, max_examples=30, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=500)
settings.register_profile("fuzz", deadline=None, max_examples=3000)
settings.load_profile(os.environ.get("P2PBENCH_HYPOTHESIS", "default"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """``-n auto`` is the cores that the tests may use: xdist does not know of a container's limit."""
    return available_cores()


@pytest.fixture(autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or changes the user's caches and weights."""
    monkeypatch.setenv("P2PBENCH_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch")))
    monkeypatch.delenv("P2PBENCH_WEIGHTS", raising=False)


@pytest.fixture
def tiny() -> Callable[..., RunConfig]:
    """Builds a tiny configuration; keyword arguments are settings with ``__`` for the dot."""

    def build(**changes: Any) -> RunConfig:
        return resolve(
            [Layer("tiny", TINY), Layer("test", {k.replace("__", "."): v for k, v in changes.items()})]
        ).config

    return build


@pytest.fixture
def pairs_folder(tmp_path: Path) -> Path:
    """Six training and three test pairs, side by side, 20x20: B is A's negative, so there is something to learn."""
    return write_pairs(tmp_path / "pairs", {"train": 6, "test": 3})


@pytest.fixture
def shared() -> Path:
    """The folder with the real facades and LPIPS backbones; skips where it is not."""
    folder = Path(os.environ.get("P2PBENCH_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip("needs the shared data and weights: set P2PBENCH_SHARED")
    return folder


@pytest.fixture(scope="session")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """torch-fidelity's Inception with random weights."""
    from random_weights import write_inception

    return write_inception(tmp_path_factory.mktemp("inception"))


@pytest.fixture(scope="session")
def alexnet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AlexNet's convolutions with random weights."""
    from random_weights import write_alexnet

    return write_alexnet(tmp_path_factory.mktemp("alexnet"))


@pytest.fixture(scope="session")
def loss_report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of the loss grid with two seeds, for all that only look at it; its records lie in ../runs."""
    from report_records import loss_study

    from p2pbench.report.page import write_report
    from p2pbench.runs.store import Store

    folder = tmp_path_factory.mktemp("report")
    store = Store(folder / "runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("P2PBENCH_HOME", str(folder / "home"))
        loss_study(store, [0, 1])
    return write_report(store, "loss", folder / "out")


@pytest.fixture
def workplace(tmp_path: Path, pairs_folder: Path) -> Workplace:
    return make_workplace(tmp_path, pairs_folder)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workplace where the study ``two`` was trained, two cells at once, for all that only look at it; what
    ``ablate --json`` said lies there as ``said.json``."""
    from program import invoke

    folder = tmp_path_factory.mktemp("trained")
    make_workplace(folder, write_pairs(folder / "pairs", {"train": 6, "test": 3}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("P2PBENCH_HOME", str(folder / "home"))
        (folder / "said.json").write_text(invoke("ablate", "--grid", "two.yaml", "--jobs", "2", "--json").stdout)
    return folder


@pytest.fixture
def with_two(workplace: Workplace, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """A workplace whose store holds the study ``two`` finished, to be changed; it is the current folder."""
    monkeypatch.chdir(workplace.folder)
    shutil.copytree(trained / "runs", workplace.folder / "runs")
    return workplace


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    """A Ray cluster of two nodes, whose home is none of a test's; it takes seconds to start, so all tests share it."""
    with two_nodes(tmp_path_factory.mktemp("nodes")) as nodes:
        yield nodes
