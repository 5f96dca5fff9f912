"""How a step is captured, told by a CUDA that only keeps the order of events: what is refused, and what is too late."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch

from p2pbench.config.schema import RunConfig
from p2pbench.data.batches import Batches
from p2pbench.errors import CaptureFailed
from p2pbench.models.build import build_discriminator, build_generator
from p2pbench.training import cuda_graph
from p2pbench.training.cuda_graph import Captured, NotCapturable
from p2pbench.training.engine import Engine, build_optimisers, runner
from p2pbench.training.step import Networks

Tiny = Callable[..., RunConfig]
CPU = torch.device("cpu")


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens, in order: steps on the CPU, modes in which CUDA would refuse to wait, the capture."""
    found: list[str] = []

    @contextmanager
    def graph(*_: Any, **__: Any) -> Iterator[None]:
        found.append("capture")
        try:
            yield
        except RuntimeError:  # as graph.__exit__ and cudaStreamEndCapture have it
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")  # noqa: B904
        found.append("captured")

    monkeypatch.setattr(torch.cuda, "Stream", MagicMock())
    monkeypatch.setattr(torch.cuda, "stream", MagicMock())
    monkeypatch.setattr(torch.cuda, "current_stream", MagicMock())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", MagicMock())
    monkeypatch.setattr(torch.cuda, "graph", graph)

    def set_mode(mode: str) -> None:
        warnings.warn("Synchronization debug mode is a prototype feature and does not yet detect all", stacklevel=1)
        found.append(mode)

    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", set_mode)
    real = cuda_graph.train_step

    def step(*arguments: Any) -> torch.Tensor:
        found.append("step")
        return real(*arguments)

    monkeypatch.setattr(cuda_graph, "train_step", step)
    return found


Made = tuple[Engine, Networks, Any, Batches, RunConfig]


@pytest.fixture
def made(tiny: Tiny) -> Made:
    config = tiny(training__engine="auto")
    networks = Networks(build_generator(config), build_discriminator(config))
    images = np.random.default_rng(0).integers(0, 256, (6, 18, 18, 6), dtype=np.uint8)
    optimisers = build_optimisers(networks, config)
    return Engine(CPU, torch.contiguous_format, 1, "graph"), networks, optimisers, Batches(images, config, CPU), config


def weights(networks: Networks) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in networks.generator.state_dict().items()}


def test_steps_that_wait_are_refused_before_the_capture(events: list[str], made: Made) -> None:
    before = weights(made[1])
    assert runner(*made).kind == "graph"
    assert events == ["step", "error", "step", "step", "default", "capture", "step", "captured"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(made[1]).items())


def test_norms_of_several_processes_may_wait_before_the_capture(events: list[str], made: Made) -> None:
    """As PyTorch's do outside of a capture, and not in it."""
    engine, networks, _, batches, config = made
    networks = networks.each(torch.nn.SyncBatchNorm.convert_sync_batchnorm)
    captured = runner(engine, networks, build_optimisers(networks, config), batches, config)
    assert captured.kind == "graph"
    assert "error" not in events
    assert events[-1] == "captured"


def test_the_graph_of_a_training_ends_with_it(events: list[str], made: Made) -> None:
    captured = Captured(*made[1:])
    captured.end()
    captured._graph.reset.assert_called_once_with()  # type: ignore[attr-defined]


def test_what_waits_is_trained_eagerly_from_the_same_state(
    events: list[str], made: Made, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    step = cuda_graph.train_step

    def waits(*arguments: Any) -> torch.Tensor:
        if "error" in events:
            raise RuntimeError("called a synchronizing CUDA operation")
        return step(*arguments)

    monkeypatch.setattr(cuda_graph, "train_step", waits)
    before, random = weights(made[1]), torch.get_rng_state()
    with pytest.raises(NotCapturable, match="called a synchronizing"):
        Captured(*made[1:])
    assert events[-1] == "default"
    assert "capture" not in events
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(made[1]).items())
    assert torch.equal(torch.get_rng_state(), random)
    events.clear()
    assert runner(*made).kind == "eager"
    assert "using the eager engine" in caplog.text


@pytest.mark.parametrize("memory", [False, True])
def test_a_failed_capture_is_the_end_of_the_process(
    memory: bool, events: list[str], made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing more is asked of CUDA in it: the generator of random numbers may still be capturing."""
    step = cuda_graph.train_step
    error: RuntimeError = RuntimeError("CUDA error: operation not permitted when stream is capturing")
    if memory:
        error = torch.AcceleratorError("CUDA error: out of memory")

    def fails(*arguments: Any) -> torch.Tensor:
        if events[-1:] == ["capture"]:
            monkeypatch.setattr(torch, "set_rng_state", lambda _: pytest.fail("restored"))
            raise error
        return step(*arguments)

    monkeypatch.setattr(cuda_graph, "train_step", fails)
    words = "out of memory" if memory else "operation not permitted when stream is capturing"
    with pytest.raises(torch.AcceleratorError if memory else CaptureFailed, match=words):
        runner(*made)
