"""Reaching a Ray cluster, what it has room for, and what a node must be: each mistake a clear line."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ray_cluster import TwoNodes
from study_workplace import Workplace
from tiny_runs import write_pairs

from p2pbench.config.schema import DataConfig
from p2pbench.data.dataset import open_dataset
from p2pbench.errors import ConfigError
from p2pbench.study.cluster import Share, check_room, connected, room, share_of, threads_per_cell
from p2pbench.study.cluster import nodes as nodes_of
from p2pbench.study.on_ray import _gist, check_versions
from p2pbench.study.parcels import PIECE_BYTES, Parcel, find_here, of_code, of_data, place, unpack
from p2pbench.study.slot import About, versions_here
from p2pbench.system.cache_dir import home


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
            "from p2pbench.errors import ConfigError\nfrom p2pbench.study import cluster\n"
            "cluster.CONNECT_SECONDS = 0.5\ntry:\n"
            f"    with cluster.connected('127.0.0.1:{other.getsockname()[1]}'): ...\n"
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
    assert Share(0.4, 0).fits(node, threads=1) == 4  # two to a device: none takes halves of both
    assert Share(2, 0).fits(node, threads=1) == 1
    assert Share(0.25, 20 * 2**30).fits(node, threads=1) == 3
    assert Share(1, 0).fits({"CPU": 16.0}, threads=1) == 0


def test_what_no_node_has_is_refused_by_number(nodes: TwoNodes) -> None:
    with connected(nodes.address):
        alone = Share(0, 0)
        assert sorted(node.get("CPU", 0) for node in nodes_of()) == [0, 2]
        assert room(alone, 1) == 2
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


def test_a_node_with_another_version_is_refused_by_name() -> None:
    check_versions(About("far", versions_here(), True, {}))
    other = About("far", {**versions_here(), "p2pbench": "0.0.9 (12345678)"}, True, {})
    with pytest.raises(ConfigError, match=r"the node far .* has p2pbench 0.0.9 \(12345678\), this machine "):
        check_versions(other)


def test_of_rays_account_the_telling_line_is_kept() -> None:
    account = (
        "The actor died because of an error raised in its creation task\n  x\nModuleNotFoundError: No module 'p2pbench'"
    )
    assert _gist(account) == "ModuleNotFoundError: No module 'p2pbench'"
    assert _gist("") == "it does not answer"


def test_a_parcel_is_cut_into_pieces_and_placed_once(tmp_path: Path) -> None:
    files = {"a/long.bin": bytes(range(256)) * (PIECE_BYTES // 256) * 2 + b"end", "empty": b"", "b.bin": b"b"}
    for name, content in files.items():
        path = tmp_path / "from" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    parcel = Parcel("key", tuple((name, tmp_path / "from" / name) for name in files))
    pieces = list(parcel.pieces())
    assert len(pieces) == 3
    assert max(sum(len(content) for _, content in piece) for piece in pieces) <= PIECE_BYTES
    folder = place("key", pieces)
    assert {name: (folder / name).read_bytes() for name in files} == files
    assert place("key", iter(())) == folder  # not opened again
    unpack(tmp_path / "to", pieces)
    assert (tmp_path / "to" / "a" / "long.bin").read_bytes() == files["a/long.bin"]


def test_data_are_found_by_content_wherever_they_lie(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "pairs", {"train": 3, "test": 2})
    dataset = open_dataset(DataConfig(source=str(root)))
    assert find_here(str(root), str(root), dataset.key) == root
    moved = root.rename(tmp_path / "moved")
    assert find_here(str(root), str(root), dataset.key) is None
    (home() / "data").mkdir(parents=True)
    (home() / "data" / "mine").symlink_to(moved)
    assert find_here("mine", str(root), dataset.key) == moved
    assert find_here("mine", str(root), "another key") is None
    sent = of_data(open_dataset(DataConfig(source=str(moved))))
    place(sent.key, sent.pieces())
    (home() / "data" / "mine").unlink()
    assert find_here("mine", str(root), dataset.key) == (home() / "sent" / dataset.key[:24]).resolve()


def test_code_is_sent_with_the_packages_it_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package_of_networks" / "inner"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "networks.py").write_text("def build(config): ...\n")
    (package / "__init__.py").write_text("def other(config): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    names = [f"package_of_networks.inner{end}" for end in (".networks:build", ":other")]
    assert [name for name, _ in of_code(names).files] == [
        "package_of_networks/__init__.py",
        "package_of_networks/inner/__init__.py",
        "package_of_networks/inner/networks.py",
    ]
