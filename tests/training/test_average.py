"""The moving average of G: its formula, what it leaves alone, and that it is what a training keeps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from p2pbench.config.run_id import run_id
from p2pbench.config.schema import RunConfig
from p2pbench.errors import Interrupted
from p2pbench.training.average import Average
from p2pbench.training.engine import build_networks, build_optimisers, prepare_engine
from p2pbench.training.loop import Reporter, TrainingResult, train
from p2pbench.training.step import train_step

Tiny = Callable[..., RunConfig]


def weight_of(average: Average) -> torch.Tensor:
    return next(average.network.parameters())


def test_the_first_update_copies_the_generator(tiny: Tiny) -> None:
    networks = build_networks(tiny(training__ema=1000.0))
    assert isinstance(networks.average, Average)
    with torch.no_grad():
        for parameter in networks.generator.parameters():
            parameter.add_(1.0)
    networks.average.update(networks.generator, 4)
    for mine, given in zip(networks.kept.parameters(), networks.generator.parameters(), strict=True):
        torch.testing.assert_close(mine, given, rtol=0, atol=1e-6)
    assert int(networks.average.images) == 4


@pytest.mark.parametrize("batch", [1, 4, 10])
def test_of_constant_weights_the_average_comes_half_as_near_every_half_life(batch: int) -> None:
    network = nn.Linear(1, 1, bias=False).double()
    average = Average(network, half_life=20.0)
    average.images.fill_(10_000)  # past the ramp
    with torch.no_grad():
        network.weight.fill_(1.0)
        weight_of(average).fill_(0.0)
    gaps = []
    for _ in range(3 * 20 // batch):
        average.update(network, batch)
        gaps.append(1.0 - weight_of(average).item())
    assert gaps[20 // batch - 1 :: 20 // batch] == pytest.approx([0.5, 0.25, 0.125], rel=1e-6)


def test_until_then_the_half_life_is_a_twentieth_of_the_images_seen() -> None:
    network = nn.Linear(1, 1, bias=False).double()
    average = Average(network, half_life=1e6)
    average.images.fill_(1000)
    with torch.no_grad():
        weight_of(average).add_(1.0)
    for _ in range(9):
        average.update(network, 1)
    left = np.prod([2.0 ** -(1 / (0.05 * images)) for images in range(1000, 1009)])
    assert float(weight_of(average).detach() - network.weight.detach()) == pytest.approx(left, rel=1e-5)


def test_running_statistics_are_those_of_the_generator() -> None:
    network = nn.BatchNorm2d(2)
    average = Average(network, half_life=20.0)
    average.images.fill_(10_000)
    network(torch.rand(3, 2, 4, 4))
    average.update(network, 1)
    assert all(torch.equal(*pair) for pair in zip(average.network.buffers(), network.buffers(), strict=True))
    assert int(average.network.get_buffer("num_batches_tracked")) == 1


def test_the_average_changes_no_update(tiny: Tiny) -> None:
    random = torch.Generator().manual_seed(3)
    x, y = (torch.rand(2, 3, 16, 16, generator=random) * 2 - 1 for _ in range(2))
    found = []
    for half_life in (None, 5.0):
        config = tiny(training__ema=half_life, training__batch_size=2)
        networks = build_networks(config)
        start = copy.deepcopy(networks.kept.state_dict())
        optimisers = build_optimisers(networks, config)
        torch.manual_seed(1)
        losses = [train_step(networks, optimisers, x, y, config) for _ in range(3)]
        found.append((torch.stack(losses), networks.generator.state_dict()))
    assert torch.equal(found[0][0], found[1][0])
    assert all(torch.equal(found[0][1][name], tensor) for name, tensor in found[1][1].items())
    kept = networks.kept.state_dict()
    assert not torch.equal(kept["encoder.0.0.weight"], found[1][1]["encoder.0.0.weight"])
    assert not torch.equal(kept["encoder.0.0.weight"], start["encoder.0.0.weight"])
    assert all(parameter.grad is None for parameter in networks.kept.parameters())


def run(config: RunConfig, folder: Path, stop_at: int | None = None) -> tuple[TrainingResult, list[nn.Module]]:
    blocks = np.random.default_rng(0).integers(0, 256, (6, 3, 3, 3), dtype=np.uint8).repeat(6, 1).repeat(6, 2)
    steps, sampled = 0, []

    def progress(_done: int, _total: int) -> None:
        nonlocal steps
        steps += 1

    reporter = Reporter(
        progress, lambda _, generator: sampled.append(generator), lambda: stop_at is not None and steps + 1 >= stop_at
    )
    pairs = np.concatenate([blocks, 255 - blocks], axis=3)
    return train(config, pairs, folder, "id", prepare_engine(config.training, threads=1), reporter), sampled


def test_a_training_keeps_and_samples_the_average_and_resumes_to_its_bits(tiny: Tiny, tmp_path: Path) -> None:
    plain, _ = run(tiny(), tmp_path / "plain")
    config = tiny(training__ema=30.0)
    whole, sampled = run(config, tmp_path / "whole")
    assert (tmp_path / "plain/losses.csv").read_bytes() == (tmp_path / "whole/losses.csv").read_bytes()
    assert all(generator is whole.generator for generator in sampled)
    ours, others = whole.generator.state_dict(), plain.generator.state_dict()
    assert not torch.equal(ours["encoder.0.0.weight"], others["encoder.0.0.weight"])
    for stop in (1, 6):
        with pytest.raises(Interrupted):
            run(config, tmp_path / "parts", stop_at=stop)
        torch.manual_seed(99)
    parts, _ = run(config, tmp_path / "parts")
    assert all(torch.equal(ours[name], tensor) for name, tensor in parts.generator.state_dict().items())


def test_an_average_is_another_run_and_none_is_the_run_of_before(tiny: Tiny) -> None:
    assert run_id(tiny(training__ema=None), "data") == run_id(tiny(), "data")
    assert run_id(tiny(training__ema=30.0), "data") != run_id(tiny(), "data")
