"""``bench translate``: the documented rows, and that ours goes from files to files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from p2pbench.bench import suite
from p2pbench.bench.translate import N_PICTURES, build_ours, write_pictures
from p2pbench.config.resolve import Layer, Resolved, resolve


@pytest.fixture
def small(pairs_folder: Path) -> Resolved:
    settings = {
        "data.source": str(pairs_folder),
        "data.load_size": 18,
        "data.crop_size": 16,
        "generator.ngf": 4,
        "objective.name": "l1",
    }
    return resolve([Layer("--set", settings)])


def test_bench_translate_reports_the_documented_rows(small: Resolved) -> None:
    document = suite.measure(["translate"], [("", small)], rounds=1, round_seconds=0.01)
    assert [row["engine"] for row in document["rows"]] == ["bare", "files"]
    for row in document["rows"]:
        assert (row["workload"], row["name"], row["size"], row["batch_size"]) == (
            "translate", "unet, paper, generator.ngf=4", [16, 16], 16,
        )  # fmt: skip
        assert row["images_per_second"] > 0
        assert row["peak_memory_bytes"] > 0
    assert document["rows"][0]["ratio_to_plain"] == 1
    assert document["machine"]["threads"] >= 1
    json.dumps(document, allow_nan=False)


def test_ours_writes_a_picture_for_each_that_it_reads(small: Resolved, tmp_path: Path) -> None:
    files = write_pictures(small.config, tmp_path / "in")
    assert len(files) == N_PICTURES
    step, images = build_ours(small.config, files, tmp_path / "out")
    step()
    assert images == N_PICTURES
    written = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in written] == [path.name for path in files]
    assert np.asarray(Image.open(written[0])).shape == (16, 16, 3)
