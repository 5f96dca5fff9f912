"""Reaching a Ray cluster, what it has room for, and what a node must be: each mistake a clear line."""

from __future__ import annotations

import importlib.util
import re
import socket
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import pytest
from ray_cluster import TwoNodes
from study_workplace import Workplace

from p2pbench.config.resolve import Layer, resolve
from p2pbench.errors import ConfigError
from p2pbench.runs.events import Job
from p2pbench.runs.store import Store
from p2pbench.study.execution import Execution
from p2pbench.study.plan import build_study
from p2pbench.study.ray import RayExecutor, RemoteJob, _Remote, telling_line, versions_here
from p2pbench.study.ray_cluster import Share, check_room, connected, runtime_environment, share_of, threads_per_cell
from p2pbench.study.ray_cluster import nodes as nodes_of
from p2pbench.study.runner import cell_job


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "ray" else find_spec(name, *a))
    with pytest.raises(ConfigError, match=r"pip install 'p2pbench\[ray\]'"), connected(None):
        pass


@pytest.mark.parametrize("address", ["here", "http://here:1", "here:port", "here:123456"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(ConfigError, match=r"give host:port, ray://host:port, or auto"), connected(address):
        pass


def test_no_cluster_at_the_address_is_said_at_once(workplace: Workplace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    start = time.monotonic()
    message = workplace.run(
        "ablate", "--grid", "two.yaml", "--executor", "ray", "--ray-address", f"127.0.0.1:{port}", code=2
    ).stderr
    assert f"no Ray cluster answers at 127.0.0.1:{port}" in message
    assert "ray start --head" in message
    assert time.monotonic() - start < 60
    assert not (workplace.folder / "runs" / "cells").exists()


def test_what_listens_there_and_is_no_cluster_is_given_up_in_time() -> None:
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as other:
        code = (
            "from p2pbench.errors import ConfigError\nfrom p2pbench.study import ray_cluster\n"
            "ray_cluster.CONNECT_SECONDS = 0.5\ntry:\n"
            f"    with ray_cluster.connected('127.0.0.1:{other.getsockname()[1]}'): ...\n"
            "except ConfigError as error:\n    print(error)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert "no Ray cluster answered at 127.0.0.1:" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--executor", "slurm"), "unknown --executor 'slurm'"),
        (("--ray-address", "a:1"), "--ray-address is of the Ray executor; add --executor ray"),
        (("--gpus-per-cell", "0.5"), "--gpus-per-cell is of the Ray executor"),
        (("--gpus", "2"), "--gpus says what --plan is for"),
        (("--shard", "0/4"), "--shard is '0/4': give I/N with I from 1 to N"),
        (("--shard", "5/4"), "--shard is '5/4'"),
        (("--plan", "--gpus", "1", "--gpus-per-cell", "2"), "there is no room for a single cell"),
    ],
)
def test_options_that_do_not_go_together(options: tuple[str, ...], message: str, workplace: Workplace) -> None:
    assert message in workplace.run("ablate", "--grid", "two.yaml", *options, code=2).stderr


def test_room_on_a_node() -> None:
    node = {"CPU": 16.0, "GPU": 2.0, "memory": 64.0 * 2**30}
    assert Share(0, 0).fits(node, threads=4) == 4
    assert Share(0.25, 0).fits(node, threads=1) == 8
    assert Share(0.2, 0).fits(node, threads=1) == 10
    assert Share(0.4, 0).fits(node, threads=1) == 4  # two to a device: none takes halves of both
    assert Share(2, 0).fits(node, threads=1) == 1
    assert Share(0.25, 20 * 2**30).fits(node, threads=1) == 3
    assert Share(1, 0).fits({"CPU": 16.0}, threads=1) == 0


def test_what_no_node_has_is_refused_by_number(nodes: TwoNodes) -> None:
    with connected(nodes.address):
        alone = Share(0, 0)
        assert sorted(node.get("CPU", 0) for node in nodes_of()) == [0, 2]
        assert sum(alone.fits(node, 1) for node in nodes_of()) == 2
        assert threads_per_cell(alone) == 2
        assert share_of(None, None, "auto") == alone
        for wanted in (0.25, 1.0, 3.0):
            with pytest.raises(ConfigError, match=rf"--gpus-per-cell is {wanted:g}, but no node .* has more than 0"):
                share_of(wanted, None, "auto")
        with pytest.raises(ConfigError, match=r"--gpus-per-cell is 1.5: give a part of one"):
            share_of(1.5, None, "auto")
        with pytest.raises(ConfigError, match=r"training.device is cuda, but a cell gets no share of a GPU"):
            share_of(None, None, "cuda")
        with pytest.raises(ConfigError, match=r"a cell takes 8 CPUs .*no node .*has \(nodes: [02] CPUs, 0 GPUs"):
            check_room(alone, 8)


def test_a_node_that_is_not_fit_is_refused_by_name(tmp_path: Path, pairs_folder: Path) -> None:
    config = resolve([Layer("test", {"data.source": str(pairs_folder)})]).config
    job = Job("cell", "0123456789ab", "l1 seed 0", config, tmp_path / "log.txt", {})
    node = RemoteJob(tmp_path, 1, tmp_path, Execution("ray"))
    host = socket.gethostname()
    other = {**versions_here(), "p2pbench": "0.0.9 (12345678)"}
    said = node.begin(job, tmp_path, other)
    assert said is not None
    assert re.match(rf"the node {host} .* has p2pbench .*, this machine 0.0.9 \(12345678\)", said)
    absent = tmp_path / "elsewhere" / "probe"
    said = node.begin(job, absent, versions_here())
    assert said == (
        f"the node {host} of the Ray cluster does not see {absent.parent}; give --runs a folder on storage that all "
        "nodes share"
    )


def test_a_store_that_a_node_does_not_see_is_a_mistake_of_the_configuration(
    workplace: Workplace, nodes: TwoNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nodes are of this machine and see all its files, but for the one that is not written."""
    monkeypatch.chdir(workplace.folder)
    study = build_study("two.yaml", None, {}, [0])
    store = Store(workplace.folder / "runs")
    monkeypatch.setattr(Path, "touch", lambda _path: None)
    with (
        connected(nodes.address),
        pytest.raises(ConfigError, match=f"does not see {store.root}; give --runs a folder on storage that all nodes"),
    ):
        list(RayExecutor(store, Execution("ray")).run([cell_job([cell], store) for cell in study.cells]))
    assert ConfigError.exit_code == 2
    assert not (store.root / "cells").exists()


@pytest.mark.parametrize(("begun", "told"), [(False, []), (True, ["lost"])])
def test_a_job_is_lost_only_where_it_had_begun(
    begun: bool, told: list[str], workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray may hand a job to a node that is dead already: nothing of it was told, so nothing is taken back."""
    pytest.importorskip("ray")
    store = Store(workplace.folder / "runs")
    config = resolve([Layer("test", {})]).config
    job = Job("cell", "0123456789ab", "one seed 0", config, workplace.folder / "log.txt", {})
    executor = RayExecutor(store, Execution("ray"))
    # There is no actor to end: Ray would start a cluster to look for it.
    monkeypatch.setattr(RayExecutor, "_close", lambda self, answer: self._running.pop(answer))
    executor._running["answer"] = _Remote(None, job, begun)
    waiting: deque[Job] = deque()
    assert [event.kind for event in executor._lose("answer", "The actor died: its node has died.", waiting)] == told
    assert list(waiting) == [job]
    assert not executor._running


def test_of_rays_account_the_telling_line_is_kept() -> None:
    account = (
        "The actor died because of an error raised in its creation task\n  x\nModuleNotFoundError: No module 'p2pbench'"
    )
    assert telling_line(account) == "ModuleNotFoundError: No module 'p2pbench'"
    assert telling_line("") == "it does not answer"


def test_code_is_sent_with_the_packages_it_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package_of_networks" / "inner"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "networks.py").write_text("def build(config): ...\n")
    (package / "__init__.py").write_text("def other(config): ...\n")
    (tmp_path / "alone_network.py").write_text("def build(config): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    names = [f"package_of_networks.inner{end}" for end in (".networks:build", ":other")]
    configs = [
        resolve([Layer("test", {"generator.name": name})]).config
        for name in ("unet", *names, "alone_network:build", "torchvision.models:resnet18")
    ]
    assert runtime_environment(configs)["py_modules"] == [str(package.parent), str(tmp_path / "alone_network.py")]
