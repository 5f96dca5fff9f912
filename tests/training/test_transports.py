"""Flows and the bridge: fixed ends, known velocities, what the network is asked, and how a training of one is run."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from p2pbench.config.run_id import identity, run_id
from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError, Interrupted
from p2pbench.inference.euler import EulerSampler
from p2pbench.inference.modes import inference, noise
from p2pbench.models.build import build_generator
from p2pbench.models.timed import TimedGenerator
from p2pbench.models.transport import Bridge, Flow, Transport
from p2pbench.training.engine import build_networks, build_optimisers, prepare_engine
from p2pbench.training.loop import Reporter, train
from p2pbench.training.objectives import objective_of
from p2pbench.training.objectives.transported import Transported
from p2pbench.training.step import train_step

Tiny = Callable[..., RunConfig]
PATHS: list[Transport] = [
    Flow(False, 1.0), Flow(True, 0.5), Bridge(1.0), Bridge(0.3), Flow(False, 1.0, True), Flow(True, 0.5, True),
    Bridge(1.0, True),
]  # fmt: skip
GROUP: dict[str, Any] = {"generator__norm": "group", "scoring__inference": "euler-4"}


def draws(seed: int = 0) -> Callable[[], torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(4, 3, 8, 8, generator=random)


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return draws(1)(), draws(2)()


@pytest.mark.parametrize("path", PATHS)
def test_both_ends_of_a_path_are_fixed(path: Transport) -> None:
    x, y = pair()
    draw = draws()
    start = path.start(x, draw)
    zero, one = torch.zeros(4, 1, 1, 1), torch.ones(4, 1, 1, 1)
    assert torch.equal(path.point(start, y, zero, draw), start)
    torch.testing.assert_close(path.point(start, y, one, draw), y)


def test_where_paths_start() -> None:
    x, _ = pair()
    assert torch.equal(Flow(False, 1.0).start(x, draws()), draws()())
    torch.testing.assert_close(Flow(True, 0.5).start(x, draws()), x + 0.5 * draws()())
    assert Bridge(1.0).start(x, draws()) is x
    assert Flow(True, 0.0).start(x, draws()) is x


def test_the_bridges_variance_is_bbdms() -> None:
    """δ = 2 (m - m²): 0.5 in the middle, times the square of the factor."""
    random = torch.Generator().manual_seed(0)
    x = y = torch.zeros(1, 1, 400, 400)
    for factor in (1.0, 0.5):
        for m in (0.1, 0.5):
            time = torch.full((1, 1, 1, 1), 1 - m)
            points = Bridge(factor).point(x, y, time, lambda: torch.randn(1, 1, 400, 400, generator=random))
            assert float(points.var()) == pytest.approx(factor**2 * 2 * (m - m**2), rel=0.02)


@pytest.mark.parametrize("steps", [1, 4, 16])
@pytest.mark.parametrize("path", PATHS)
def test_a_network_that_knows_the_target_gets_there_in_any_number_of_steps(path: Transport, steps: int) -> None:
    x, y = pair()
    draw = draws()
    start = point = path.start(x, draw)
    for step in range(steps):
        said = path.goal(start, y, point)
        point = path.step(point, said, step / steps, (step + 1) / steps, draw)
    torch.testing.assert_close(point, y, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("said", "target"), [(Flow(False, 1.0), Flow(False, 1.0, True)), (Bridge(1.0), Bridge(1.0, True))]
)
def test_a_network_that_says_the_target_moves_as_one_that_says_the_difference(
    said: Transport, target: Transport
) -> None:
    """Both are told from one belief of where the path ends."""
    x, y = pair()
    start, belief = said.start(x, draws()), 0.7 * y
    time = torch.full((4, 1, 1, 1), 0.3)
    point = said.point(start, y, time, draws(3))
    difference = (belief - point) / (1 - 0.3) if isinstance(said, Flow) else belief - point
    moved = [path.step(point, word, 0.3, 0.6, draws(4)) for path, word in ((said, difference), (target, belief))]
    torch.testing.assert_close(*moved)
    assert target.goal(start, y, point) is y


def test_a_flow_between_gaussians_moves_by_its_known_velocity() -> None:
    """From N(0, 1) to N(2, 1/4), by Euler's steps, to its mean and its spread.

    With x_t ~ N(2t, (1-t)² + t²/4), E[y - z | x_t] = 2 + (t/4 - (1 - t)) / ((1-t)² + t²/4) (x_t - 2t).
    """
    point = torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(0))
    path, steps = Flow(False, 1.0), 200
    for step in range(steps):
        t = step / steps
        variance = (1 - t) ** 2 + t**2 / 4
        velocity = 2 + (t / 4 - (1 - t)) / variance * (point - 2 * t)
        point = path.step(point, velocity, t, (step + 1) / steps, draws())
    assert float(point.mean()) == pytest.approx(2.0, abs=0.02)
    assert float(point.std()) == pytest.approx(0.5, rel=0.02)


def test_a_bridge_whose_network_says_the_mean_keeps_its_variance_on_the_way() -> None:
    """Stepping the exact bridge between 0 and 0 has at time t the variance 2 t (1 - t), in however many steps."""
    random = torch.Generator().manual_seed(0)

    def draw() -> torch.Tensor:
        return torch.randn(1, 1, 300, 300, generator=random)

    path, point = Bridge(1.0), torch.zeros(1, 1, 300, 300)
    for time, then in ((0.0, 0.2), (0.2, 0.5), (0.5, 0.75)):
        point = path.step(point, -point, time, then, draw)
        assert float(point.var()) == pytest.approx(2 * then * (1 - then), rel=0.03)


@pytest.mark.parametrize("prediction", ["difference", "target"])
@pytest.mark.parametrize("name", ["flow", "condition-flow", "bridge"])
def test_the_generator_is_asked_on_the_path_and_the_loss_is_at_its_goal(name: str, prediction: str, tiny: Tiny) -> None:
    config = tiny(objective__name=name, objective__prediction=prediction, **GROUP)
    generator = build_generator(config)
    assert isinstance(generator, TimedGenerator)
    objective = Transported(generator.transport)
    x, y = (image[:, :, :1].expand(-1, -1, 16, -1).repeat(1, 1, 1, 2) for image in pair())
    torch.manual_seed(0)
    (condition, point, time), goal = objective.question(x, y)
    assert condition is x
    assert time.shape == (4,)
    assert len(time.unique()) == 4  # a time for each image
    t = time[:, None, None, None]
    reached = goal
    if prediction == "difference":
        reached = point + (1 - t) * goal if name != "bridge" else point + goal
    torch.testing.assert_close(reached, y, rtol=0, atol=1e-5)
    loss = objective.generator_loss(goal + 2.0, goal, None)
    assert float(loss.total) == pytest.approx(2.0 if name == "bridge" else 4.0)
    assert float(loss.l1) == pytest.approx(2.0)


def test_a_fresh_network_is_the_plain_one_and_then_is_told_the_time(tiny: Tiny) -> None:
    config = tiny(objective__name="flow", **GROUP)
    timed = build_generator(config).eval()
    assert isinstance(timed, TimedGenerator)
    x, y = (torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(k)) for k in (0, 1))
    early, late = (timed(x, y, torch.full((2,), time)) for time in (0.1, 0.9))
    assert torch.equal(early, late)
    assert not any(isinstance(module, nn.Tanh) for module in timed.modules())
    names = [name for name, _ in timed.named_parameters()]
    assert len(names) == len(set(names))
    with torch.no_grad():
        for name, parameter in timed.named_parameters():
            if name.endswith("linear.weight"):
                parameter.add_(0.1)
    early, late = (timed(x, y, torch.full((2,), time)) for time in (0.1, 0.9))
    assert not torch.allclose(early, late)
    first, second = timed(x, y, torch.tensor([0.1, 0.9]))
    torch.testing.assert_close(first, early[0])
    torch.testing.assert_close(second, late[1])


@pytest.mark.parametrize("generator", ["unet", "resnet6", "nafnet", "convnext_unet"])
@pytest.mark.parametrize("name", ["flow", "bridge"])
def test_any_generator_learns_one(name: str, generator: str, tiny: Tiny) -> None:
    norm = {"generator__norm": "group"} if generator in ("unet", "resnet6") else {}
    config = tiny(
        objective__name=name,
        scoring__inference="euler-1",
        generator__name=generator,
        training__learning_rate=1e-2,
        **norm,
    )
    networks = build_networks(config)
    optimisers = build_optimisers(networks, config)
    x = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    objective = objective_of(config, None)

    def loss() -> float:
        torch.manual_seed(7)
        found = []
        for _ in range(6):
            question, goal = objective.question(x, -x)
            with torch.no_grad():
                found.append(objective.generator_loss(networks.generator(*question), goal, None).total)
        return float(torch.stack(found).mean())

    before = loss()
    torch.manual_seed(0)
    moved = set()  # in any step: some scales begin at zero
    for _ in range(26):
        train_step(networks, optimisers, x, -x, config)
        moved |= {
            n for n, p in networks.generator.named_parameters() if p.grad is not None and bool((p.grad != 0).any())
        }
    assert len(moved) > 0.8 * len(list(networks.generator.parameters()))
    assert loss() < 0.98 * before


def test_the_modes_of_a_flow_draw_their_noise_by_image_and_leave_it_alone(tiny: Tiny) -> None:
    config = tiny(objective__name="flow", **GROUP)
    generator = build_generator(config)
    start = copy.deepcopy(generator.state_dict())
    x = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = {}
    for mode in ("euler-1", "euler-8"):
        with inference(generator, mode) as (network, random):
            assert isinstance(network, EulerSampler)
            random[:] = [noise(0, key) for key in range(3)]
            whole = network(x)
            random[:] = [noise(0, 2)]
            torch.testing.assert_close(network(x[2:]), whole[2:], rtol=0, atol=1e-5)
            random[:] = [noise(1, key) for key in range(3)]
            assert not torch.allclose(network(x), whole)
            found[mode] = whole
            assert float(whole.abs().max()) <= 1.0
    assert not torch.allclose(found["euler-1"], found["euler-8"])
    assert all(torch.equal(start[name], tensor) for name, tensor in generator.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"objective__name": "flow", "generator__norm": "group"},
            "is run in euler-1 or euler-4 or euler-8 or euler-16",
        ),
        ({"scoring__inference": "euler-4"}, "which is run in paper or instance-stats or eval"),
        ({"objective__name": "flow", "scoring__inference": "euler-4"}, "use generator.norm group"),
        ({"objective__name": "flow", **GROUP, "generator__name": "mine:build"}, "is not told the time"),
        ({"objective__name": "flow", **GROUP, "objective__perceptual": "vgg"}, "what the network says is no image"),
        ({"objective__name": "flow", **GROUP, "generator__spade": "labels"}, "the time takes its place"),
        ({"objective__name": "bridge", **GROUP, "data__channels": [1, 3]}, "it moves the condition itself"),
        ({"objective__name": "flow+cgan", **GROUP}, "flow has one loss of its own, and no discriminator"),
        ({"objective__name": "l1+l2"}, "l2 has one loss of its own"),
        ({"objective__name": "l1+flw"}, "unknown objective"),
    ],
)
def test_combinations_that_mean_nothing_are_refused(settings: dict[str, Any], message: str, tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny(**settings)


def test_what_the_network_says_decides_where_there_is_a_path(tiny: Tiny) -> None:
    for name in ("flow", "condition-flow", "bridge"):
        known, target = (
            tiny(objective__name=name, objective__prediction=word, **GROUP) for word in ("difference", "target")
        )
        assert run_id(known, "data") != run_id(target, "data")
        assert "prediction" not in identity(known, "data")["objective"]  # trainings of before there was a choice
    assert run_id(tiny(objective__prediction="target"), "data") == run_id(tiny(), "data")


def test_noise_decides_where_a_path_has_it(tiny: Tiny) -> None:
    for name, decides in (("flow", False), ("condition-flow", True), ("bridge", True)):
        ids = {run_id(tiny(objective__name=name, objective__noise=noise, **GROUP), "data") for noise in (1.0, 0.5)}
        assert len(ids) == 1 + decides
    assert run_id(tiny(objective__noise=0.5), "data") == run_id(tiny(), "data")


def test_a_flow_that_is_interrupted_ends_with_the_same_bits(tiny: Tiny, tmp_path: Path) -> None:
    """Times and noise come from the recorded random state; the average and the clock are in the checkpoint."""
    config = tiny(objective__name="flow", training__ema=20.0, **GROUP)
    blocks = np.random.default_rng(0).integers(0, 256, (6, 3, 3, 3), dtype=np.uint8).repeat(6, 1).repeat(6, 2)
    pairs = np.concatenate([blocks, 255 - blocks], axis=3)

    def run(folder: Path, stop_at: int) -> dict[str, torch.Tensor]:
        steps = iter(range(1, 100))
        reporter = Reporter(lambda *_: None, lambda *_: None, lambda: next(steps) >= stop_at)
        found = train(config, pairs, folder, "id", prepare_engine(config.training, threads=1), reporter)
        return found.generator.state_dict()

    whole = run(tmp_path / "whole", 99)
    with pytest.raises(Interrupted):
        run(tmp_path / "parts", 5)
    torch.manual_seed(99)
    parts = run(tmp_path / "parts", 99)
    assert whole.keys() == parts.keys()
    assert any("clock" in name for name in whole)
    assert all(torch.equal(whole[name], tensor) for name, tensor in parts.items())
