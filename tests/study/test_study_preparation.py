"""What a study prepares, and what it says where something cannot be had."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from p2pbench.config.schema import RunConfig
from p2pbench.errors import WeightsError
from p2pbench.scoring import weights
from p2pbench.study.prepare import decode_data, fetch_weights

Tiny = Callable[..., RunConfig]


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=80)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_networks_that_cannot_be_fetched_are_one_line(
    tiny: Tiny, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def obtain(name: str, *_: object, **__: object) -> Path:
        raise WeightsError(f"no {name} here (its host did not answer); put it into a folder")

    monkeypatch.setattr(weights, "obtain", obtain)
    assert not fetch_weights([tiny(scoring__metrics=["l1", "lpips-squeeze", "fid", "kid"])], None, console)
    (line,) = said(console).splitlines()
    assert line.startswith(
        "not measured: lpips-squeeze: no squeeze here (its host did not answer); "
        "fid, kid: no inception here (its host did not answer). `p2pbench weights list` says"
    )


@pytest.mark.parametrize(
    "settings", [{"objective__perceptual": "squeeze"}, {"discriminator__name": "projected", "data__load_size": 64}]
)
def test_networks_that_trainings_look_through_are_fetched_before_them_or_said_to_be_missing(
    settings: dict[str, Any], tiny: Tiny, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def obtain(name: str, *_: object, **__: object) -> Path:
        asked.append(name)
        raise WeightsError(
            f"the weights of {name} are not here; put x.pth into a folder and name it with --weights-dir"
        )

    monkeypatch.setattr(weights, "obtain", obtain)
    config = tiny(data__crop_size=32, scoring__metrics=["l1"], **{"data__load_size": 36, **settings})
    assert not fetch_weights([config], None, console)
    assert asked == ["squeeze"]
    (line,) = said(console).splitlines()
    assert line.startswith("missing for training: the weights of squeeze are not here; put")
    assert line.endswith("name it with --weights-dir")
    fetch_weights([config.changed("objective", name="l1", perceptual=None)], None, console)
    assert asked == ["squeeze"]


def test_data_without_a_validation_split_have_no_curve_and_that_is_said(
    tiny: Tiny, pairs_folder: Path, console: Console
) -> None:
    decode_data([tiny(data__source=str(pairs_folder), scoring__every=1)], console)
    assert "has no validation split for scoring.every" in said(console)
