"""Checkpoints written behind the training's back: in order, whole, of the step they name, and never in silence."""

from __future__ import annotations

import contextlib
import copy
import json
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from p2pbench.config.schema import RunConfig
from p2pbench.errors import StorageError, TrainingError, WeightsError
from p2pbench.models.build import build_discriminator, build_generator
from p2pbench.training import checkpoint, tensorfile
from p2pbench.training.checkpoint import Writer
from p2pbench.training.engine import build_optimisers, place_networks, prepare_engine
from p2pbench.training.step import Networks, Optimisers, train_step

Tiny = Callable[..., RunConfig]
Made = tuple[RunConfig, Networks, Optimisers]


@pytest.fixture
def made(tiny: Tiny) -> Made:
    config = tiny()
    networks = place_networks(
        Networks(build_generator(config), build_discriminator(config)), prepare_engine(config.training, threads=1)
    )
    return config, networks, build_optimisers(networks, config)


def progress(step: int) -> checkpoint.Progress:
    return checkpoint.Progress(step, [], torch.zeros(0, 4), 0.0)


def take_a_step(made: Made) -> None:
    config, networks, optimisers = made
    x = torch.rand(1, 3, 16, 16) * 2 - 1
    train_step(networks, optimisers, x, -x, config)


def weights(networks: Networks) -> Tensor:
    return torch.cat([tensor.flatten().double() for tensor in networks.generator.state_dict().values()])


def test_a_checkpoint_holds_its_own_step_whatever_training_does_meanwhile(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, networks, optimisers = made
    go_on = threading.Event()
    write = checkpoint.write

    def late(folder: Path, run_id: str, done: checkpoint.Progress, tensors: Mapping[str, Tensor], **keep: Any) -> None:
        assert go_on.wait(60)
        write(folder, run_id, done, tensors, **keep)

    monkeypatch.setattr(checkpoint, "write", late)
    take_a_step(made)
    then = weights(networks)
    called = []
    with Writer(tmp_path, "id", keep=2) as writer:
        writer.save(networks, optimisers, progress(1), lambda: called.append(list(tmp_path.iterdir())))
        take_a_step(made)  # while nothing is written yet
        assert not torch.equal(weights(networks), then)
        assert list(tmp_path.iterdir()) == []
        go_on.set()
        writer.save(networks, optimisers, progress(2), lambda: None)
        later = weights(networks)
    first, second = sorted(tmp_path.iterdir())
    assert called == [[first]]  # what is to follow a checkpoint does
    for path, wanted in ((second, later), (first, then)):
        restored = checkpoint.load(tmp_path, "id", networks, optimisers, steps=9)
        assert restored is not None
        assert f"{restored.step:08d}" in path.name
        assert torch.equal(weights(networks), wanted)
        path.unlink()


def test_what_goes_wrong_is_raised_by_the_next_call(
    made: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, networks, optimisers = made
    take_a_step(made)
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    with Writer(blocked, "id", keep=1) as writer:
        writer.save(networks, optimisers, progress(1), lambda: None)
        with pytest.raises(StorageError, match="cannot be written"):
            writer.save(networks, optimisers, progress(2), lambda: None)

    def fail(with_another: Exception | None) -> None:
        with Writer(blocked, "id", keep=1) as writer:
            writer.save(networks, optimisers, progress(1), lambda: None)
            if with_another is not None:
                raise with_another

    with pytest.raises(StorageError, match="cannot be written"):
        fail(None)
    assert caplog.text == ""
    # Of two misfortunes the first is raised, the other only told.
    with pytest.raises(TrainingError, match="diverged"):
        fail(TrainingError("diverged"))
    assert "cannot be written" in caplog.text


def dtypes_of_buffers() -> list[torch.dtype]:
    """All that a network's buffer can have; the others (int4, quantised) cannot even be copied."""
    found = []
    for dtype in {value for value in vars(torch).values() if isinstance(value, torch.dtype)}:
        with contextlib.suppress(RuntimeError, NotImplementedError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # complex32 is experimental
            copy.deepcopy(torch.zeros(2, dtype=dtype)).copy_(torch.zeros(2, dtype=dtype))
            found.append(dtype)
    return sorted(found, key=str)


@pytest.mark.parametrize("dtype", dtypes_of_buffers(), ids=str)
def test_buffers_of_any_type_come_back_to_the_bit(made: Made, tmp_path: Path, dtype: torch.dtype) -> None:
    _, networks, optimisers = made
    n = 6 * dtype.itemsize
    content = torch.arange(n, dtype=torch.uint8) % 2 if dtype == torch.bool else 7 * torch.arange(n, dtype=torch.uint8)
    vector, scalar = content.view(dtype).reshape(3, 2), content[: dtype.itemsize].view(dtype).reshape(())
    networks.generator.register_buffer("vector", vector.clone())
    networks.generator.register_buffer("scalar", scalar.clone())

    def check(generator: nn.Module) -> None:
        for name, wanted in (("vector", vector), ("scalar", scalar)):
            found = generator.state_dict()[name]
            assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
            assert torch.equal(as_bytes(found), as_bytes(wanted))
            found.copy_(torch.zeros_like(found))

    best = checkpoint.Best(1, 0.5, {k: v.clone() for k, v in networks.generator.state_dict().items()})
    done = checkpoint.Progress(1, [], torch.zeros(0, 4), 0.0, best)
    with Writer(tmp_path, "id", keep=1) as writer:
        writer.save(networks, optimisers, done, lambda: None)
    checkpoint.save_generator(tmp_path / "generator", networks.generator, {})
    check(networks.generator)
    restored = checkpoint.load(tmp_path, "id", networks, optimisers, steps=9)
    check(networks.generator)
    assert restored is not None
    assert restored.best is not None
    networks.generator.load_state_dict(restored.best.generator)
    check(networks.generator)
    checkpoint.load_generator(tmp_path / "generator", networks.generator)
    check(networks.generator)


def as_bytes(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1).view(torch.uint8)


@pytest.mark.parametrize("wrong", ["step", "missing", "shape", "no checksum"])
def test_a_checkpoint_that_holds_another_state_gives_way_to_the_one_before(
    made: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: str
) -> None:
    """Whole to its last bit, but not what this training wrote."""
    _, networks, optimisers = made
    take_a_step(made)
    state = checkpoint.state_of(networks, optimisers, progress(1))
    checkpoint.write(tmp_path, "id", progress(1), state, keep=2)
    wanted = weights(networks)
    take_a_step(made)
    state = checkpoint.state_of(networks, optimisers, progress(2))
    if wrong == "missing":
        del state["random.cpu"]
    if wrong == "shape":
        state |= {name: tensor[:1] for name, tensor in state.items() if tensor.ndim}
    checkpoint.write(tmp_path, "id", progress(99 if wrong == "step" else 2), state, keep=2)
    newest = max(tmp_path.iterdir())
    if wrong == "no checksum":
        tensors = {name: tensor.contiguous() for name, tensor in state.items()}
        about = {"schema": "1", "run_id": "id", "step": 2, "seconds": 0.0}
        tensorfile.write(newest, tensors, {"p2pbench": json.dumps(about)})
    restored = checkpoint.load(tmp_path, "id", networks, optimisers, steps=9)
    assert restored is not None
    assert restored.step == 1
    assert torch.equal(weights(networks), wanted)
    assert newest.name in caplog.text
    min(tmp_path.iterdir()).unlink()
    with pytest.raises(WeightsError, match="to train from the beginning"):
        checkpoint.load(tmp_path, "id", networks, optimisers, steps=9)


@pytest.mark.parametrize(
    "error",
    [torch.AcceleratorError("CUDA error: unspecified launch failure"), RuntimeError("CUDNN_STATUS_ALLOC_FAILED")],
)
def test_a_gpu_that_fails_is_no_fault_of_the_checkpoint(
    error: RuntimeError, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, networks, optimisers = made
    checkpoint.write(tmp_path, "id", progress(1), checkpoint.state_of(networks, optimisers, progress(1)), keep=2)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(checkpoint, "restore", fail)
    with pytest.raises(type(error), match=str(error)):
        checkpoint.load(tmp_path, "id", networks, optimisers, steps=9)
