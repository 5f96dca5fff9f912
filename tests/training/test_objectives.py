"""The contract of objectives in the step: discriminators with several maps, each counted as it says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from p2pbench.config.schema import RunConfig
from p2pbench.models.build import build_discriminator, build_generator
from p2pbench.models.judgement import Judgement
from p2pbench.training.engine import build_optimisers
from p2pbench.training.step import Networks, train_step

Tiny = Callable[..., RunConfig]


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    x, y = (torch.rand(2, 3, 16, 16, generator=random) * 2 - 1 for _ in range(2))
    return x, y


class Twice(nn.Module):
    """A discriminator that says the same twice."""

    def __init__(self, network: nn.Module, weight: float) -> None:
        super().__init__()
        self.network, self.weight = network, weight

    def forward(self, images: torch.Tensor) -> Judgement:
        logits = self.network(images)
        return Judgement((logits, logits), weight=self.weight)


@pytest.mark.parametrize("how", ["stale", "fresh"])
@pytest.mark.parametrize("kind", ["bce", "wgan-gp"])
def test_the_losses_of_several_maps_are_summed_by_their_weight(kind: str, how: str, tiny: Tiny) -> None:
    config = tiny(
        objective__adversarial=kind, objective__generator_gradient=how, discriminator__norm="instance",
        generator__dropout="none",
    )  # fmt: skip
    found = {}
    for weight in (0.0, 0.5, 1.0):
        generator, discriminator = build_generator(config), build_discriminator(config)
        assert discriminator is not None
        networks = Networks(generator, Twice(discriminator, weight) if weight else discriminator)
        torch.manual_seed(0)  # the penalty's points
        found[weight] = train_step(networks, build_optimisers(networks, config), *batch(), config)
    torch.testing.assert_close(found[0.5], found[0.0])
    if kind == "bce" and how == "stale":  # a penalty is no multiple of the logits; D's first update depends on both
        torch.testing.assert_close(found[1.0][[0, 2]], 2 * found[0.0][[0, 2]])
