"""A network of the user's own lends what the settings need of it, or is refused with the way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError
from p2pbench.models.build import build_discriminator
from p2pbench.models.judgement import judgement

OWN = """
from torch import nn

from p2pbench.models.judgement import Judgement


def plain(config):
    return nn.Sequential(nn.Conv2d(6, 4, 4, stride=2), nn.InstanceNorm2d(4), nn.Conv2d(4, 1, 3))


def batch_normed(config):
    return nn.Sequential(nn.Conv2d(6, 4, 4, stride=2), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 3))


class Dot(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Linear(6, 1)

    def forward(self, images):
        return self.weight(images.movedim(1, 3)).movedim(3, 1)


def without_convolutions(config):
    return Dot()


class Lending(nn.Module):
    def __init__(self, lends):
        super().__init__()
        self.lends, self.first, self.last = lends, nn.Conv2d(6, 4, 4, stride=2), nn.Conv2d(4, 1, 3)

    def forward(self, images, features=False):
        inner = self.first(images).relu()
        logits = self.last(inner)
        return Judgement((logits,), (inner,) if self.lends else ()) if features else logits


def lending(config):
    return Lending(True)


def keeping(config):
    return Lending(False)
"""


@pytest.fixture
def discriminator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Callable[..., RunConfig]
) -> Callable[..., torch.nn.Module]:
    """Builds the discriminator that a function of ``OWN`` makes, under settings."""
    (tmp_path / "own_discriminators.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)

    def build(function: str, **settings: Any) -> torch.nn.Module:
        found = build_discriminator(tiny(discriminator__name=f"own_discriminators:{function}", **settings))
        assert found is not None
        return found

    return build


@pytest.mark.parametrize(
    ("function", "settings", "message"),
    [
        ("plain", {"objective__lambda_features": 10}, "or set objective.lambda_features to 0"),
        ("keeping", {"objective__lambda_features": 10}, "or set objective.lambda_features to 0"),
        ("plain", {"discriminator__scales": 3}, r"fails on \(1, 6, 4, 4\), the images of scale 3: .*use fewer scales"),
        ("batch_normed", {"objective__r1": 1, "discriminator__norm": "none"}, "build it with instance norm or none"),
        ("without_convolutions", {"discriminator__spectral_norm": True}, "has no nn.Conv2d"),
    ],
)
def test_what_a_setting_needs_and_a_network_lacks_is_said_with_the_way_out(
    discriminator: Callable[..., torch.nn.Module], function: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as found:
        discriminator(function, **settings)
    assert f"own_discriminators:{function}" in str(found.value)


def test_a_network_of_ones_own_has_scales_features_and_penalties(
    discriminator: Callable[..., torch.nn.Module],
) -> None:
    built = discriminator("lending", objective__lambda_features=10, discriminator__scales=2)
    said = judgement(built, torch.zeros(1, 6, 16, 16), features=True)
    assert [tuple(one.shape) for one in said.logits] == [(1, 1, 5, 5), (1, 1, 1, 1)]
    assert [tuple(one.shape) for one in said.features] == [(1, 4, 7, 7), (1, 4, 3, 3)]
    discriminator("plain", objective__r1=1, discriminator__norm="none", discriminator__spectral_norm=True)
