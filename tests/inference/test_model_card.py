"""The card says whose the data are, and never where they lay."""

from __future__ import annotations

import pytest
from torch import nn

from p2pbench.config.resolve import Layer, resolve
from p2pbench.inference.generator import Model
from p2pbench.inference.model_card import Background, model_card

EXPORTED = {
    "opset": 18, "sha256": "ab", "images": 4, "sizes": [(256, 256)], "max_difference": 1e-6, "size_multiple": 256,
    "inference": "instance-stats",
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "said", "unsaid"),
    [
        ("facades", "CMP Facade Database", "user's own"),
        ("/home/someone/facades", "It has the name of a known set", "/home/someone"),
        ("/home/someone/mine", "licence and terms are not known", "known set"),
        ("drawn:50", "MIT licence", "user's own"),
        ("photos", "scikit-image", "user's own"),
    ],
)
def test_the_terms_of_the_data(source: str, said: str, unsaid: str) -> None:
    config = resolve([Layer("test", {"data.source": source})]).config
    text = model_card(Model("test", config, nn.Identity()), Background(), EXPORTED)
    assert said in text
    assert unsaid not in text
