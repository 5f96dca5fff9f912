"""Speed under pytest-benchmark: ``nox -s bench``. Compare with a saved run; nothing here asserts a time."""

from __future__ import annotations

import os

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from p2pbench.bench.workloads import build_ours, build_plain
from p2pbench.settings import Layer, resolve


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("loop", ["plain", "ours"])
def test_step(benchmark: BenchmarkFixture, loop: str, precision: str) -> None:
    """The update of D and G at 128x128, half the paper's channels, batch 1: the quick protocol's step."""
    if loop == "plain" and precision != "fp32":
        pytest.skip("the plain loop is float32")
    settings = {
        "data.load_size": 143, "data.crop_size": 128, "generator.ngf": 32, "discriminator.ndf": 32,
        "training.precision": precision,
    }  # fmt: skip
    config = resolve([Layer("bench", settings)]).config
    step, images = (build_plain if loop == "plain" else build_ours)(config)
    benchmark.extra_info.update(images_per_step=images, cores=os.cpu_count())
    benchmark.pedantic(step, rounds=10, warmup_rounds=2)
