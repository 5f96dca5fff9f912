"""A Ray cluster: how it is reached, and how many cells it has room for."""

import importlib.util
import logging
import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from p2pbench.config.plugins import is_reference, locate
from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError, type_and_line
from p2pbench.study.execution import cells_on_gpus
from p2pbench.system.hardware import available_cores

CONNECT_SECONDS = 30.0
"""How long a cluster is waited for."""

WAY_OUT = "start one with ray start --head, or leave --ray-address and RAY_ADDRESS out to use this machine alone"


@contextmanager
def connected(address: str | None, configs: Sequence[RunConfig] = ()) -> Iterator[None]:
    """Have a Ray cluster while the block runs: the one at ``address``, or at RAY_ADDRESS, else one of this machine.

    Args:
        address: ``host:port``, ``ray://host:port``, or ``auto`` for the one that was started here.
        configs: the user's own modules that they name are sent to the nodes.
    Raises:
        ConfigError: Ray is not installed, or there is no cluster at the address.
    """
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("--executor ray needs Ray, which is not installed; pip install 'p2pbench[ray]'")
    # Before the import: Ray tells its makers of every start, and wraps workers in uv where it finds that.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # a cell without a share of a GPU sees none
    import ray

    address = address or os.environ.get("RAY_ADDRESS")
    cluster: dict[str, Any] = {"num_cpus": available_cores(), "include_dashboard": False}
    if address:
        check_reachable(address)
        cluster = {"address": address}
    problems: list[str] = []

    def join() -> None:
        try:
            ray.init(
                **cluster, runtime_env=runtime_environment(configs), log_to_driver=False, logging_level=logging.ERROR
            )
        except Exception as error:
            problems.append(type_and_line(error))

    thread = threading.Thread(target=join, daemon=True)  # by itself Ray tries for minutes
    thread.start()
    thread.join(CONNECT_SECONDS if address else None)
    if thread.is_alive():
        raise ConfigError(f"no Ray cluster answered at {address} within {CONNECT_SECONDS:.0f} s; {WAY_OUT}")
    if problems:
        raise ConfigError(f"the Ray cluster at {address or 'this machine'} cannot be joined: {problems[0]}; {WAY_OUT}")
    try:
        yield
    finally:
        ray.shutdown()


def runtime_environment(configs: Sequence[RunConfig]) -> dict[str, Any]:
    """What the nodes have as this machine has it: where caches and weights lie, and modules of the user's own.

    A module goes with all of the package that it is in.
    """
    modules: dict[str, None] = {}
    for config in configs:
        for named in (config.generator.name, config.discriminator.name, *config.scoring.wanted):
            if is_reference(named) and "site-packages" not in (source := locate(named)).parts:
                depth = named.partition(":")[0].count(".") + (source.name == "__init__.py")
                modules[str(source.parents[depth - 1] if depth else source)] = None
    variables = {name: os.environ[name] for name in ("P2PBENCH_HOME", "P2PBENCH_WEIGHTS") if name in os.environ}
    return {"env_vars": variables, **({"py_modules": list(modules)} if modules else {})}  # Ray takes no empty list


def check_reachable(address: str) -> None:
    """Raise :class:`ConfigError` where nothing listens at ``address``."""
    if address in ("auto", "local"):
        return
    match = re.fullmatch(r"(?:ray://)?(?P<host>[^:/]+|\[[^]]+\]):(?P<port>\d{1,5})", address)
    if match is None:
        raise ConfigError(f"--ray-address is {address!r}: give host:port, ray://host:port, or auto")
    try:
        socket.create_connection((match["host"].strip("[]"), int(match["port"])), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"no Ray cluster answers at {address} ({error}); {WAY_OUT}") from None


@dataclass(frozen=True)
class Share:
    """What a job takes of its node, beside a CPU for each of its threads."""

    gpus: float
    memory_bytes: int
    """0 where Ray need not count the memory."""

    def fits(self, resources: Mapping[str, float], threads: int) -> int:
        """How many jobs of ``threads`` threads a node of these resources has room for."""
        counts = [resources.get("CPU", 0) / threads]
        if self.gpus:
            counts.append(cells_on_gpus(int(resources.get("GPU", 0)), self.gpus))
        if self.memory_bytes:
            counts.append(resources.get("memory", 0) / self.memory_bytes)
        return int(min(counts) + 1e-9)


def share_of(gpus_per_cell: float | None, memory_gib: float | None, device: str) -> Share:
    """What each job takes: of GPUs a whole one where the cluster has any, unless given.

    Raises:
        ConfigError: a share of several GPUs that is not whole, or more than any node has.
    """
    most = max((node.get("GPU", 0) for node in nodes()), default=0)
    wanted = gpus_per_cell
    if wanted is None:
        wanted = 0 if device == "cpu" else 1 if most else 0
    if wanted < 0 or (wanted > 1 and wanted != int(wanted)):
        raise ConfigError(f"--gpus-per-cell is {wanted:g}: give a part of one, as 0.25, or a whole number")
    if wanted > most:
        raise ConfigError(
            f"--gpus-per-cell is {wanted:g}, but no node of the Ray cluster has more than {most:g}: give fewer, or 0 "
            "for CPUs alone"
        )
    if device == "cuda" and not wanted:
        raise ConfigError("training.device is cuda, but a cell gets no share of a GPU here; use --gpus-per-cell")
    return Share(wanted, int((memory_gib or 0) * 2**30))


def nodes() -> list[dict[str, float]]:
    """The resources of every node that is up."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def threads_per_cell(share: Share) -> int:
    """The cores of a node divided among the cells that its GPUs have room for, on the smallest node that has room.

    It is the same for all cells, because the last bits depend on it.
    """
    counts = []
    for resources in nodes():
        if share.fits(resources, 1):
            cells = share.fits({**resources, "CPU": float("inf")}, 1) if share.gpus else 1
            counts.append(max(1, int(resources.get("CPU", 0)) // max(1, cells)))
    return min(counts, default=1)


def check_room(share: Share, threads: int) -> None:
    """Raises :class:`ConfigError` where no node has room for a job of ``threads`` threads."""
    if any(share.fits(resources, threads) for resources in nodes()):
        return
    has = "; ".join(
        f"{node.get('CPU', 0):g} CPUs, {node.get('GPU', 0):g} GPUs, {node.get('memory', 0) / 2**30:.1f} GiB"
        for node in nodes()
    )
    memory = f", {share.memory_bytes / 2**30:g} GiB" if share.memory_bytes else ""
    raise ConfigError(
        f"a cell takes {threads} CPUs (training.threads), {share.gpus:g} GPUs{memory}, which no node of the Ray "
        f"cluster has (nodes: {has or 'none'}); ask for less, or start a node that has it"
    )
