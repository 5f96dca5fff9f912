"""Speed under pytest-benchmark: ``nox -s bench``. Compare with a saved run; nothing here asserts a time."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from p2pbench.bench.clock import synchronise
from p2pbench.bench.plain_loop import build_plain
from p2pbench.bench.step import build_ours
from p2pbench.config.resolve import Layer, resolve
from p2pbench.system.hardware import describe_machine

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SHORT = bool(os.environ.get("P2PBENCH_SHORT_BENCH"))
"""Ordinary CI's form: tiny images, to know that it runs."""


def synchronised(step: Callable[[], object]) -> Callable[[], None]:
    """``step``, and the wait for the device that makes its time its own."""

    def run() -> None:
        step()
        synchronise()

    return run


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("loop", ["plain", "eager", "graph"])
def test_step(benchmark: BenchmarkFixture, loop: str, precision: str) -> None:
    """The update of D and G, batch 1: the quick protocol's on a CPU, the paper's on a GPU."""
    if loop == "plain" and precision != "fp32":
        pytest.skip("the plain loop is float32")
    if loop == "graph" and DEVICE != "cuda":
        pytest.skip("a CUDA graph needs CUDA")
    size, width = (16, 4) if SHORT else (256, 64) if DEVICE == "cuda" else (128, 32)
    settings = {
        "data.load_size": size + size // 8, "data.crop_size": size, "generator.ngf": width, "discriminator.ndf": width,
        "training.precision": precision, "training.device": DEVICE,
        "discriminator.name": "patch16" if SHORT else "patch70",
        "training.engine": "auto" if loop == "plain" else loop,
    }  # fmt: skip
    config = resolve([Layer("bench", settings)]).config
    step, images = (build_plain if loop == "plain" else build_ours)(config)
    machine = describe_machine(torch.device(DEVICE))
    benchmark.extra_info.update(images_per_step=images, torch=torch.__version__, machine=machine)
    benchmark.pedantic(synchronised(step), rounds=3 if SHORT else 20, warmup_rounds=1 if SHORT else 3)
