"""A training that two processes share: the updates of one process, exact resumption, another number refused."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributed import DistBackendError
from training.two_processes import both, images, train_in

from p2pbench.config.run_id import run_id
from p2pbench.config.schema import RunConfig
from p2pbench.data.batches import open_batches
from p2pbench.errors import ConfigError, TrainingError
from p2pbench.runs.folder import RunFolder
from p2pbench.training.distributed import ALONE, Group, process_group

Tiny = Callable[..., RunConfig]
CPU = torch.device("cpu")
PLAIN: dict[str, Any] = {
    "generator__norm": "instance", "discriminator__norm": "instance", "generator__dropout": "none",
}  # fmt: skip
"""Nothing that depends on how a batch is shared."""


@given(size=st.integers(1, 9), each=st.integers(1, 5))
def test_shares_of_a_batch_are_disjoint_and_all_of_it(size: int, each: int) -> None:
    positions = [p for rank in range(size) for p in range(size * each)[Group(rank, size).share_of(size * each)]]
    assert positions == list(range(size * each))


@pytest.mark.parametrize("stream", [False, True])
def test_processes_cut_their_shares_out_of_the_same_batches(stream: bool, tiny: Tiny) -> None:
    config = tiny(training__batch_size=4)
    whole = open_batches(images(), config, CPU, stream=False)
    shares = [open_batches(images(), config, CPU, share=Group(r, 2).share_of(4), stream=stream) for r in range(2)]
    for step in (0, 1, 2, 3):  # two epochs
        for image, *halves in zip(whole[step], *(batches[step] for batches in shares), strict=True):
            torch.testing.assert_close(torch.cat(halves), image, rtol=0, atol=0)


def test_no_two_of_seeds_steps_and_processes_draw_the_same_masks() -> None:
    """The CPU's generator reads the lower 32 bits of its seed: 0 and 4 gave one mask when the seed was shifted up."""
    masks = set()
    for seed, step, rank in product((0, 1, 2, 4, 8, 2**31 - 1), (0, 1, 2**20, 2**22), (0, 1)):
        Group(rank, 2).seed(seed, step)
        masks.add(tuple(torch.rand(4).tolist()))
    assert len(masks) == 6 * 4 * 2
    Group(1, 2).seed(2**31 - 1, 2**22)
    assert tuple(torch.rand(4).tolist()) in masks  # the same again after a resume


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [taken.getsockname()[1] for taken in sockets]
    finally:
        for taken in sockets:
            taken.close()


def rows(folder: Path) -> list[dict[str, float]]:
    with (folder / "losses.csv").open() as stream:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]


def test_two_processes_train_as_one_does(
    tiny: Tiny, pairs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over gloo, this process the first of two: the same losses, exact resumption, a run by the command.

    The losses of ten steps: later ones show how two orders of summation drift apart, which differs among processors.
    The text of losses.csv has six digits; without averaging losses differ by 0.3 to 4 percent from the first step on.
    """
    configs = {
        "command": tiny(data__source=str(pairs_folder), training__batch_size=2, training__device="cpu"),
        "curve": tiny(training__batch_size=4, training__epochs=25, training__log_every=1, **PLAIN),
        "noisy": tiny(training__batch_size=2, training__log_every=4),  # batch norm, dropout; stopped between two rows
    }
    for name, config in configs.items():
        RunFolder(tmp_path / name).write_config(config)
        (tmp_path / name / "config.yaml").rename(tmp_path / f"{name}.yaml")
    (tmp_path / "ports").write_text("{} {}".format(*free_ports(2)))
    for name in ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "1")  # restored when the test ends
    with subprocess.Popen(
        [sys.executable, "-m", "training.two_processes", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        try:
            both(tmp_path, 0)
            _, errors = other.communicate(timeout=60)
        finally:
            other.kill()
    assert other.returncode == 0, errors
    monkeypatch.undo()

    train_in(tmp_path / "alone", configs["curve"], ALONE)
    ours, alone = rows(tmp_path / "curve" / "0"), rows(tmp_path / "alone" / "0")
    assert len(ours) == len(alone) == 50
    for shared, single in islice(zip(ours, alone, strict=True), 10):
        assert shared == pytest.approx(single, rel=1e-4)
    assert not (tmp_path / "curve" / "1").exists()  # the first process alone writes

    whole, parts = ((tmp_path / name / "0" / "losses.csv").read_bytes() for name in ("whole", "parts"))
    assert whole == parts
    with pytest.raises(ConfigError, match=r"of a training in 2 processes, and this one is in 1.*--nproc-per-node"):
        train_in(tmp_path / "parts", configs["noisy"], ALONE)

    run = RunFolder(tmp_path / "run")
    assert run.finished()
    status = run.status()
    assert status is not None
    assert status.processes == 2
    assert run.scores().keys() == {"l1", "psnr", "ssim"}


def test_an_error_of_ones_own_is_not_anothers_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_with(error: RuntimeError, *, capturing: bool) -> None:
        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: capturing)
        monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: capturing)
        monkeypatch.setattr("torch.distributed.all_reduce", fail)
        Group(0, 2).average([torch.ones(2)])

    with pytest.raises(TrainingError, match=r"another process of this training has ended \(Connection closed"):
        fails_with(RuntimeError("Connection closed by peer"), capturing=False)
    with pytest.raises(TrainingError, match="another process"):
        fails_with(DistBackendError("NCCL error: remote process exited"), capturing=False)
    with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
        fails_with(RuntimeError("operation not permitted when stream is capturing"), capturing=True)
    for own in (torch.AcceleratorError("CUDA error: an illegal memory access"), torch.OutOfMemoryError("CUDA")):
        with pytest.raises(type(own)):
            fails_with(own, capturing=False)


def test_what_cannot_be_shared_is_refused(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=r"batch_size is 3, which 2 processes cannot share evenly"):
        Group(0, 2).check(tiny(training__batch_size=3), "cpu")
    with pytest.raises(ConfigError, match=r"'synchronised', which PyTorch has on CUDA alone"):
        Group(0, 2).check(tiny(training__batch_size=2, training__batch_norm="synchronised"), "cpu")
    Group(0, 2).check(tiny(training__batch_size=2, training__batch_norm="synchronised"), "cuda")
    Group(0, 1).check(tiny(training__batch_norm="synchronised"), "cpu")


def test_only_batch_norm_of_a_share_makes_another_training(tiny: Tiny) -> None:
    config = tiny(training__batch_size=4)
    assert run_id(config, "d", 2) != run_id(config, "d") != run_id(config, "d", 4)
    for other in (tiny(training__batch_size=4, training__batch_norm="synchronised"), tiny(**PLAIN)):
        assert run_id(other, "d", 2) == run_id(other, "d")


def test_a_process_alone_joins_nothing(tiny: Tiny) -> None:
    with process_group("cpu") as group:
        assert group == ALONE
    tensors = [torch.ones(2)]
    ALONE.average(tensors)
    assert ALONE.any_rank(True)
    assert ALONE.broadcast("word") == "word"
    np.testing.assert_array_equal(tensors[0], 1)


@pytest.mark.cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_synchronised_norm_on_two_gpus_trains_as_one_process_does(
    tiny: Tiny, pairs_folder: Path, tmp_path: Path
) -> None:
    """Batch norm over the whole batch: the losses of one process, as far as rounding lets them be."""
    settings = {"data__source": str(pairs_folder), "training__batch_size": 4, "training__device": "cuda"}
    config = tiny(**settings, training__batch_norm="synchronised", training__log_every=1, generator__dropout="none")
    RunFolder(tmp_path).write_config(config)
    program = ["-m", "p2pbench", "train", "--config", str(tmp_path / "config.yaml"), "--out"]
    subprocess.run([sys.executable, *program, str(tmp_path / "one")], check=True)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([sys.executable, *torchrun, *program, str(tmp_path / "two")], check=True)
    for shared, single in zip(rows(tmp_path / "two"), rows(tmp_path / "one"), strict=True):
        assert shared == pytest.approx(single, rel=1e-3)
