"""``bench score``: the documented rows, without and with a network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from p2pbench.bench import suite
from p2pbench.bench.score import build_bare, build_ours
from p2pbench.config.resolve import Layer, Resolved, resolve
from p2pbench.errors import ConfigError
from p2pbench.scoring import weights
from p2pbench.system.files import sha256_of


def small(source: object, **more: Any) -> Resolved:
    settings: dict[str, Any] = {"data.source": str(source), "data.load_size": 36, "data.crop_size": 32, **more}
    return resolve([Layer("--set", settings)])


def test_bench_score_reports_the_documented_rows(pairs_folder: Path) -> None:
    document = suite.measure(["score"], [("", small(pairs_folder))], rounds=1, round_seconds=0.01)
    assert [row["engine"] for row in document["rows"]] == ["bare", "bare, channels last", "one pass"]
    for row in document["rows"]:
        assert (row["workload"], row["size"], row["batch_size"]) == ("score", [32, 32], 3)
        assert row["images_per_second"] > 0
        assert row["time_of_bare"] == pytest.approx(1 / row["ratio_to_plain"])
    assert "no network" in document["rows"][0]["name"]
    json.dumps(document, allow_nan=False)


def test_the_networks_that_are_here_run_on_both_sides(
    pairs_folder: Path, alexnet_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = replace(weights.NETS["alex"], files={alexnet_file.name: sha256_of(alexnet_file)})
    monkeypatch.setitem(weights.NETS, "alex", known)
    monkeypatch.setenv("P2PBENCH_WEIGHTS", str(alexnet_file.parent))
    config = small(pairs_folder).config
    for step, images in (
        build_bare(config, ["alex"], channels_last=True),
        build_ours(config, ["alex"]),
    ):
        assert images == 3
        step()


def test_it_is_of_colour_images(pairs_folder: Path) -> None:
    with pytest.raises(ConfigError, match="RGB"):
        suite.measure(["score"], [("", small(pairs_folder, **{"data.channels": [1, 1]}))])
