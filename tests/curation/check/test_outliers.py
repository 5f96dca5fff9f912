"""What the rules say of kinds of pairs that their thresholds were not set on."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from curation.check.false_alarms import KINDS, prints
from PIL import Image
from program import document

from p2pbench.curation.check import outliers
from p2pbench.curation.check.alignment import edge_map, is_smooth
from p2pbench.data.image_files import ORIENTATION


@pytest.mark.parametrize("kind", ["grey -> colour", "photo -> smooth depth"])
def test_pairs_that_are_right_are_not_accused(kind: str) -> None:
    """Of smooth depth, which shares no edges with its photograph, every set was called unrelated."""
    few = list(islice(prints(KINDS[kind], seed=0), 8))
    assert list(outliers.all_of(few)) == []
    assert all(found.smooth == (False, kind.endswith("depth")) for found in few)


def test_the_scale_of_edges_does_not_matter() -> None:
    image = np.random.default_rng(0).integers(0, 100, (64, 64), dtype=np.uint8)
    assert np.abs(edge_map(image) - edge_map(2 * image)).max() < 1e-4
    assert is_smooth(edge_map(np.arange(64, dtype=np.uint8)[:, None].repeat(64, 1)))
    assert not is_smooth(edge_map(image))


def test_a_side_by_side_file_with_an_orientation_is_named(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        pixels = np.random.default_rng(len(split)).integers(0, 256, (16, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / split / "1.jpg", exif=exif)
    problems = document("data", "check", tmp_path)["problems"]
    said = [problem["detail"] for problem in problems if problem["kind"] == "turned-pair"]
    assert said == ["has EXIF orientation 6: its halves are split as stored, then turned"] * 2
