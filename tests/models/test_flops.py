"""Operations are counted as PyTorch's own counter counts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from p2pbench.config.schema import RunConfig
from p2pbench.models.build import build_discriminator, build_generator, discriminator_in_channels
from p2pbench.models.flops import Flops


@pytest.mark.parametrize(
    "settings",
    [
        {"generator__attention": True, "discriminator__spectral_norm": True},
        {"generator__name": "resnet6"},
        {"generator__name": "nafnet", "discriminator__scales": 2},
        {"generator__name": "convnext_unet", "discriminator__name": "unet"},
    ],
)
def test_operations_are_those_of_pytorchs_counter(settings: dict[str, Any], tiny: Callable[..., RunConfig]) -> None:
    config = tiny(data__crop_size=32, data__load_size=32, **settings)
    discriminator = build_discriminator(config)
    assert discriminator is not None
    networks = {build_generator(config): config.data.channels[0], discriminator: discriminator_in_channels(config)}
    for network, channels in networks.items():
        image = torch.zeros(1, channels, 32, 32)
        ours, theirs = Flops(), FlopCounterMode(display=False)
        with torch.no_grad():
            for counter in (ours, theirs):
                with counter:
                    network.eval()(image)
        assert ours.total == theirs.get_total_flops() > 0
