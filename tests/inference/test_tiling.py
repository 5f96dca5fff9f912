"""Large pictures: tiles cover them, blend into what a whole translation gives, and have a limit that is kept."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from p2pbench.config.resolve import Layer, resolve
from p2pbench.inference import tiling
from p2pbench.inference.generator import Model
from p2pbench.inference.tiling import OVERLAP, TILE, fade, starts, translate_picture
from p2pbench.models.build import build_generator


class Negative(nn.Module):
    """Sees one pixel at a time, so that tiles of its output fit together exactly."""

    def __init__(self) -> None:
        super().__init__()
        self.sign = nn.Parameter(-torch.ones(1))
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.shapes.append(tuple(x.shape[2:]))
        return self.sign * x

    def __deepcopy__(self, memo: object) -> Negative:
        return self


@given(length=st.integers(TILE, 20 * TILE))
def test_tiles_cover_every_pixel_and_overlap(length: int) -> None:
    places = starts(length, TILE)
    assert places[0] == 0
    assert places[-1] + TILE == length
    assert all(after - before <= TILE - OVERLAP for before, after in itertools.pairwise(places))


def test_weights_fade_over_the_overlap() -> None:
    weights = fade(TILE)
    assert np.array_equal(weights, weights[::-1])
    assert (weights > 0).all()
    assert (weights[OVERLAP - 1 : -OVERLAP + 1] == 1).all()


@pytest.mark.parametrize(
    ("shape", "tiles"), [((64, 64), 1), ((40, 102), 1), ((65, 64), 2), ((100, 150), 6), ((30, 200), 4)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiles_make_the_whole(shape: tuple[int, int], tiles: int, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiling, "TILE", 64)
    monkeypatch.setattr(tiling, "OVERLAP", 8)
    network, calls = Negative(), []
    most = np.iinfo(dtype).max
    picture = np.random.default_rng(0).integers(0, most + 1, (*shape, 3), dtype=dtype)
    model = Model("negative", resolve([]).config, network)
    output = translate_picture(model, picture, before_each=lambda: calls.append(1))
    assert output.dtype == dtype
    assert np.array_equal(output, most - picture)
    assert len(calls) == len(network.shapes) == tiles
    assert all(height * width <= 64**2 for height, width in network.shapes)


def test_seams_are_faintest_where_no_tile_is_normalised_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiling, "OVERLAP", 32)
    torch.manual_seed(0)
    settings = {"data.crop_size": 16, "data.load_size": 16, "generator.ngf": 8, "objective.name": "l1"}
    config = resolve([Layer("test", settings)]).config
    model = Model("untrained", config, build_generator(config))
    model.generator.train()
    for _ in range(20):  # running statistics
        model.generator(torch.rand(8, 3, 32, 32) * 2 - 1)
    # Its left is dark and its right bright, so that tiles have statistics of their own.
    picture = np.random.default_rng(0).integers(0, 128, (96, 160, 3)) + np.linspace(0, 127, 160)[None, :, None]
    differences = {}
    for mode in ("instance-stats", "eval"):
        monkeypatch.setattr(tiling, "TILE", 1024)
        whole = translate_picture(model, picture.astype(np.uint8), mode=mode).astype(int)
        monkeypatch.setattr(tiling, "TILE", 96)
        tiled = translate_picture(model, picture.astype(np.uint8), mode=mode).astype(int)
        differences[mode] = np.abs(tiled - whole).mean()
    assert differences["eval"] < differences["instance-stats"] / 2


@pytest.mark.parametrize(
    ("mode", "norm", "offered"), [("paper", "batch", True), ("eval", "batch", False), ("paper", "none", False)]
)
def test_the_mode_that_avoids_seams_is_offered_where_it_does(mode: str, norm: str, offered: bool) -> None:
    settings = {"data.crop_size": 16, "data.load_size": 16, "generator.ngf": 4, "objective.name": "l1",
                "scoring.inference": mode, "generator.norm": norm}  # fmt: skip
    config = resolve([Layer("test", settings)]).config
    said = tiling.seams(Model("untrained", config, build_generator(config)))
    assert "tiles of 1024x1024 pixels, which overlap by 128" in said
    assert ("--inference eval" in said) == offered


def test_a_network_that_looks_at_all_of_a_tile_offers_no_mode() -> None:
    for settings in ({"generator.attention": True}, {"generator.name": "nafnet"}):
        layer = {"data.crop_size": 16, "data.load_size": 16, "generator.ngf": 4, "objective.name": "l1"}
        config = resolve([Layer("test", {**layer, **settings})]).config
        assert "so that they differ in every mode" in tiling.seams(Model("untrained", config, build_generator(config)))
