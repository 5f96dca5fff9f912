"""What both processes of a shared training do in tests: ``python -m training.two_processes FOLDER`` is the second."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from rich.console import Console
from torch import Tensor
from torch.nn.functional import one_hot

from p2pbench.config import yaml12
from p2pbench.config.resolve import from_mapping
from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError, Interrupted
from p2pbench.models import convolution
from p2pbench.study.one_run import train_one
from p2pbench.training.adaptive import Adaptive
from p2pbench.training.distributed import Group, process_group
from p2pbench.training.engine import prepare_engine
from p2pbench.training.loop import Reporter, train
from p2pbench.training.objectives import cutmix
from p2pbench.training.objectives.cutmix import CutMix
from p2pbench.training.objectives.oasis import class_weights
from p2pbench.training.step import Networks, Optimisers

STOP_AT = 7


def images() -> np.ndarray:
    """Ten pairs, (10, 18, 18, 6), uint8: B is A's negative."""
    a = np.random.default_rng(1).integers(0, 256, (10, 6, 6, 3), dtype=np.uint8).repeat(3, 1).repeat(3, 2)
    return np.concatenate([a, 255 - a], axis=3)


def train_in(folder: Path, config: RunConfig, group: Group, stop_at: int | None = None) -> None:
    """Train in ``folder``, which is the first process's own; the last process asks to stop.

    With the library's convolutions: whether a layer trains as a matrix product depends on the images that one process
    has, and 50 steps enlarge what the two ways differ by in their last bits.
    """
    with patch.object(convolution, "as_product", lambda *_: False):
        _train_in(folder, config, group, stop_at)


def _train_in(folder: Path, config: RunConfig, group: Group, stop_at: int | None) -> None:
    steps = 0

    def progress(done: int, _total: int) -> None:
        nonlocal steps
        steps = done

    def stop() -> bool:
        return group.rank == group.size - 1 and stop_at is not None and steps + 1 >= stop_at

    reporter = Reporter(progress, lambda _epochs, _generator: None, stop)
    train(config, images(), folder / str(group.rank), "id", prepare_engine(config.training, 1), reporter, group)


def check_start(folder: Path, group: Group) -> None:
    """All begin with the networks of the first, buffers of any type included."""
    network = torch.nn.Linear(1, 1)
    network.register_buffer("codes", torch.full((2,), group.rank, dtype=torch.int16))
    optimisers = Optimisers(torch.optim.SGD(network.parameters()), None)
    assert group.resume(folder / "nothing", "id", Networks(network, None), optimisers, 1) is None
    assert network.state_dict()["codes"].tolist() == [0, 0]


def check_whole_batch(group: Group) -> None:
    """Where a loss is no mean over images, all have the whole batch: how rare a class is, how sure D is, and whether
    the step mixes."""
    labels = one_hot(torch.tensor([[[0, 0, 0, 1]], [[1, 1, 2, 2]]])).movedim(3, 1).float()  # (2, 3, 1, 4)
    assert torch.equal(class_weights(labels[[group.rank]]), class_weights_of_one(labels))
    adaptive = Adaptive(images=100.0)
    for _ in range(4):  # the first is surer than the target, the second is not, both are in the mean
        adaptive.update([torch.tensor([1.0, 1.0, 1.0, (1.0, -1.0)[group.rank]])], n_images=2)
    assert abs(float(adaptive.p) - 0.08) < 1e-6
    mixture, plain, mixed = CutMix(1.0), torch.tensor(1.0), torch.tensor(0.0)
    mixture.update(10)
    judged: Any = SimpleNamespace(target=torch.zeros(1, 1, 2, 2))
    shares = []
    for step in range(12):
        group.seed(0, step)
        with patch.object(cutmix, "cutmix_loss", lambda *_: mixed):
            shares.append(float(group.mean(mixture.in_place_of(plain, judged, weight=1.0))))
    assert set(shares) == {0.0, 1.0}  # each step is of one kind in both, and there are both kinds


def class_weights_of_one(labels: Tensor) -> Tensor:
    with patch("torch.distributed.is_initialized", lambda: False):
        return class_weights(labels)


def both(folder: Path, rank: int) -> None:
    """The same in both processes: a run as ``p2pbench train`` has it, then trainings that are stopped and go on."""
    configs = {path.stem: from_mapping(yaml12.read(path), path.name) for path in sorted(folder.glob("*.yaml"))}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank),
                   "LOCAL_WORLD_SIZE": "2"}  # fmt: skip
    first, second = (folder / "ports").read_text().split()
    os.environ["MASTER_PORT"] = first
    train_one(
        config=folder / "command.yaml", protocol=None, assignments=[], folder=folder / "run", resume=False,
        runs=folder / "runs", weights_dir=None, console=Console(quiet=True),
    )  # fmt: skip
    os.environ["MASTER_PORT"] = second
    with process_group("cpu") as group:
        check_start(folder, group)
        check_whole_batch(group)
        train_in(folder / "curve", configs["curve"], group)
        for name in ("whole", "parts"):
            try:
                train_in(folder / name, configs["noisy"], group, STOP_AT if name == "parts" else None)
            except Interrupted:
                train_in(folder / name, configs["noisy"], group)
        try:
            group.check(from_mapping({"training": {"batch_size": 3}}, "test"), "cpu")
        except ConfigError:
            pass
        else:
            raise AssertionError("three pairs cannot be shared by two processes")


if __name__ == "__main__":
    torch.manual_seed(9)
    both(Path(sys.argv[1]), 1)
