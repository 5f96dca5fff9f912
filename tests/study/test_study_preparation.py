"""What a study prepares, and what it says where something cannot be had."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

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


def test_data_without_a_validation_split_have_no_curve_and_that_is_said(
    tiny: Tiny, pairs_folder: Path, console: Console
) -> None:
    decode_data([tiny(data__source=str(pairs_folder), scoring__every=1)], console)
    assert "has no validation split for scoring.every" in said(console)
