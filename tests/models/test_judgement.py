"""What discriminators hand out: their maps of logits, and the maps of the layers before them."""

from __future__ import annotations

import pytest
import torch

from p2pbench.models.judgement import Judgement, judgement
from p2pbench.models.patchgan import build_patchgan


@pytest.mark.parametrize(("n_layers", "widths"), [(0, [4, 8]), (1, [4, 8]), (3, [4, 8, 16, 32])])
def test_a_patchgan_lends_the_map_after_each_activation(n_layers: int, widths: list[int]) -> None:
    network = build_patchgan(6, ndf=4, n_layers=n_layers, norm="instance", bias=True)
    images = torch.rand(2, 6, 32, 32, generator=torch.Generator().manual_seed(0))
    plain, with_features = judgement(network, images), judgement(network, images, features=True)
    assert torch.equal(plain.logits[0], with_features.logits[0])
    assert plain.features == ()
    assert [maps.shape[1] for maps in with_features.features] == widths
    assert torch.equal(network[-1](with_features.features[-1]), plain.logits[0])


def test_the_number_of_an_image_is_the_sum_of_its_maps_means() -> None:
    maps = torch.arange(8.0).reshape(2, 1, 2, 2), torch.full((2, 1, 4, 4), 3.0)
    said = Judgement(maps, weight=0.5)
    assert said.of_images().tolist() == [0.5 * (1.5 + 3), 0.5 * (5.5 + 3)]
