"""A Ray cluster of two raylets on this machine, which tests join and whose working node they may kill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class TwoNodes:
    """A head that carries out nothing, and a node that does."""

    cluster: Any
    node: Any
    killed: int = 0

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def kill_node(self) -> None:
        """As a machine goes: without a word."""
        self.cluster.remove_node(self.node, allow_graceful=False)
        self.killed += 1

    def new_node(self) -> None:
        self.node = self.cluster.add_node(num_cpus=2)


@contextmanager
def two_nodes(home: Path) -> Iterator[TwoNodes]:
    """The cluster while the block runs; its nodes keep what they are sent under ``home``."""
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        patch.setenv("P2PBENCH_HOME", str(home))
        from ray.cluster_utils import Cluster

        quiet = {"include_dashboard": False, "no_monitor": True, "include_log_monitor": False}
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **quiet})
        nodes = TwoNodes(cluster, None)
        nodes.new_node()
    try:
        yield nodes
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
