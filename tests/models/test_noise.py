"""Noise beside the condition: the same at every pixel, drawn anew in training and by each image's key afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from levels import parameters

from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError
from p2pbench.inference.generator import Model, translate
from p2pbench.inference.tiling import translate_picture
from p2pbench.models.build import build_generator
from p2pbench.models.noise import Noise
from p2pbench.study.estimate import generator_parameters

Tiny = Callable[..., RunConfig]


def conditions(n: int, side: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def test_noise_is_a_normal_vector_for_each_image() -> None:
    torch.manual_seed(0)
    drawn = Noise(64)(torch.zeros(200, 3, 4, 5))
    assert drawn.shape == (200, 64, 4, 5)
    assert torch.equal(drawn, drawn[:, :, :1, :1].expand_as(drawn))
    assert float(drawn.mean()) == pytest.approx(0, abs=0.03)
    assert float(drawn.std()) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("settings", [{}, {"generator__spade": "labels"}, {"generator__name": "resnet6"}])
def test_every_generator_takes_noise(settings: dict[str, Any], tiny: Tiny) -> None:
    config = tiny(generator__noise=8, generator__dropout="none", **settings)
    generator = build_generator(config)
    x = torch.zeros(1, 3, 16, 16)
    assert generator(x).shape == x.shape
    assert not torch.equal(generator(x), generator(x))
    assert generator_parameters(config) in (None, parameters(generator))


def test_an_image_has_its_own_noise_in_the_mode_paper_and_none_elsewhere(tiny: Tiny) -> None:
    config = tiny(generator__noise=8, generator__dropout="none")
    generator, x = build_generator(config), np.repeat(conditions(1), 3, axis=0)
    with torch.no_grad():
        generator.network.encoder[0][0].weight.mul_(20)  # type: ignore[union-attr, index]
    found = {
        mode: translate(generator, x, config.data, seed=0, mode=mode, keys=[5, 6, 5])
        for mode in ("paper", "instance-stats", "eval")
    }
    assert np.array_equal(found["paper"][0], found["paper"][2])
    assert not np.array_equal(found["paper"][0], found["paper"][1])
    for mode in ("instance-stats", "eval"):
        assert all(np.array_equal(found[mode][0], one) for one in found[mode])
    alone = translate(generator, x[:1], config.data, seed=0, mode="paper", keys=[6])
    assert np.abs(alone[0].astype(int) - found["paper"][1]).max() <= 1  # whatever batch it is in
    assert Model("noisy", config, generator).has_noise
    assert not Model(
        "plain", tiny(generator__dropout="none"), build_generator(tiny(generator__dropout="none"))
    ).has_noise


def test_all_tiles_of_a_picture_have_one_noise(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def note(_: torch.nn.Module, given: np.ndarray, *_data: object, keys: list[int], **__: object) -> np.ndarray:
        seen.extend(keys)
        return given

    monkeypatch.setattr("p2pbench.inference.tiling.translate", note)
    for noise in (8, 0):
        config = tiny(generator__noise=noise)
        seen.clear()
        translate_picture(Model("tiled", config, build_generator(config)), conditions(1, 1100)[0])
        assert len(seen) > 1
        assert len(set(seen)) == (1 if noise else len(seen))


def test_a_flow_and_a_network_of_ones_own_have_noise_of_their_own(tiny: Tiny) -> None:
    flow = {"objective__name": "flow", "generator__norm": "group", "scoring__inference": "euler-4"}
    with pytest.raises(ConfigError, match="a flow has noise of its own"):
        tiny(generator__noise=8, **flow)
    with pytest.raises(ConfigError, match="draws noise of its own"):
        tiny(generator__noise=8, generator__name="own:build")
