"""Learning rates and betas of D's own (TTUR)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from p2pbench.config.run_id import run_id
from p2pbench.config.schema import RunConfig
from p2pbench.training.engine import build_networks, build_optimisers
from p2pbench.training.loop import learning_rate, set_learning_rates
from p2pbench.training.step import train_step

Tiny = Callable[..., RunConfig]
TTUR = {"training__learning_rate": 1e-4, "training__discriminator_learning_rate": 4e-4}


def test_adams_first_move_is_each_networks_own_rate(tiny: Tiny) -> None:
    """It is the rate times the sign of the gradient, wherever that is far above eps."""
    random = torch.Generator().manual_seed(3)
    x, y = (torch.rand(2, 3, 16, 16, generator=random) * 2 - 1 for _ in range(2))
    config = tiny(**TTUR, training__bias_rule="by-norm")
    networks = build_networks(config)
    before = {role: [p.detach().clone() for p in n.parameters()] for role, n in networks.by_name().items()}
    train_step(networks, build_optimisers(networks, config), x, y, config)
    for role, rate in (("generator", 1e-4), ("discriminator", 4e-4)):
        pairs = zip(networks.by_name()[role].parameters(), before[role], strict=True)
        moved = [(parameter.detach() - start).abs().max() for parameter, start in pairs]
        assert float(torch.stack(moved).max()) == pytest.approx(rate, rel=1e-3)


def test_betas_are_each_networks_own(tiny: Tiny) -> None:
    config = tiny(training__discriminator_beta1=0.0, training__discriminator_beta2=0.9)
    optimisers = build_optimisers(build_networks(config), config)
    betas = {name: optimiser.param_groups[0]["betas"] for name, optimiser in optimisers.by_name().items()}
    assert betas == {"generator": (0.5, 0.999), "discriminator": (0.0, 0.9)}


def test_the_schedule_multiplies_both_rates(tiny: Tiny) -> None:
    config = tiny(**TTUR, training__schedule="linear-decay", training__epochs=4)
    optimisers = build_optimisers(build_networks(config), config)
    for epoch, factor in enumerate([1.0, 1.0, 2 / 3, 1 / 3]):
        set_learning_rates(optimisers, config.training, epoch)
        found = {name: optimiser.param_groups[0]["lr"] for name, optimiser in optimisers.by_name().items()}
        assert found == pytest.approx({"generator": 1e-4 * factor, "discriminator": 4e-4 * factor})
        assert learning_rate(config.training, epoch) == found["generator"]


def test_ds_own_rate_is_another_run_where_there_is_a_d(tiny: Tiny) -> None:
    own = {"training__discriminator_learning_rate": 4e-4}
    assert run_id(tiny(**own), "data") != run_id(tiny(), "data")
    assert run_id(tiny(**own, objective__name="l1"), "data") == run_id(tiny(objective__name="l1"), "data")
