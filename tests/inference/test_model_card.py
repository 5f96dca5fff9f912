"""The card says whose the data are, and never where they lay."""

from __future__ import annotations

import pytest

from p2pbench.config.resolve import Layer, resolve
from p2pbench.inference.model_card import _data


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
    text = "\n".join(_data(resolve([Layer("test", {"data.source": source})]).config))
    assert said in text
    assert unsaid not in text
