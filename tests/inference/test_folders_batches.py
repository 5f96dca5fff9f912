"""Batches of files: each picture as it would be alone, whatever is wrong with its neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from p2pbench.config.resolve import Layer, resolve
from p2pbench.data.image_files import read
from p2pbench.data.images import Stored
from p2pbench.errors import DataError
from p2pbench.inference import folders
from p2pbench.inference.folders import BATCH, batch_size, translate_files
from p2pbench.inference.generator import Model, translate
from p2pbench.inference.tiling import output_of
from p2pbench.models.build import build_generator

SIZES = [(16, 16), (16, 16), (20, 30), (48, 64), (16, 16), (20, 30), (20, 30), (16, 16)]


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    settings = {"data.crop_size": 16, "data.load_size": 16, "generator.ngf": 4, "objective.name": "l1"}
    config = resolve([Layer("test", settings)]).config
    return Model("untrained", config, build_generator(config), None)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    random = np.random.default_rng(0)
    paths = [tmp_path / "in" / f"{number}.png" for number in range(len(SIZES))]
    paths[0].parent.mkdir()
    for path, size in zip(paths, SIZES, strict=True):
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    return paths


def test_each_picture_is_what_it_would_be_alone(
    model: Model, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("inference.folders", "inference.tiling"):
        monkeypatch.setattr(f"p2pbench.{module}.TILE", 40)  # so that 48x64 goes in tiles
    monkeypatch.setattr("p2pbench.inference.tiling.OVERLAP", 8)
    seen: list[int] = []

    def recorded(network: nn.Module, images: np.ndarray, *arguments: Any, **options: Any) -> np.ndarray:
        seen.append(len(images))
        return translate(network, images, *arguments, **options)

    monkeypatch.setattr(folders, "translate", recorded)
    made = dict(translate_files(model, files, tmp_path / "out"))
    assert sorted(made) == list(range(len(SIZES)))
    assert seen == [2, 2]  # the neighbours of one size
    for position, file in enumerate(files):
        expected = output_of(model, read(file))
        written = made[position]
        assert isinstance(written, Path)
        assert written.name == file.name
        assert np.abs(np.asarray(Image.open(written)).astype(int) - expected).max() <= 1  # sums of another order


def test_what_cannot_be_read_stops_none_of_the_others(model: Model, files: list[Path], tmp_path: Path) -> None:
    files[1].write_bytes(b"no picture")
    Image.new("CMYK", (16, 16)).save(tmp_path / "in" / "3.tif")
    files[3] = tmp_path / "in" / "3.tif"
    made = dict(translate_files(model, files, tmp_path / "out"))
    failed = {position: str(error) for position, error in made.items() if isinstance(error, DataError)}
    assert "1.png cannot be read" in failed.pop(1)
    assert "is CMYK" in failed.pop(3)
    assert failed == {}
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == ["0", "2", "4", "5", "6", "7"]


@given(sides=st.lists(st.integers(1, 3), max_size=60))
def test_batches_are_neighbours_of_one_size_in_their_order(sides: list[int]) -> None:
    pictures = ((position, np.zeros((side, 4, 3), np.uint8)) for position, side in enumerate(sides))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folders, "TILE", 6)  # batches of 9, 4 and 3
        given_out = []
        for batch in folders._batches(pictures):
            assert isinstance(batch, list)
            assert len({image.shape for _, image in batch}) == 1
            assert len(batch) <= batch_size(batch[0][1])
            given_out += [position for position, _ in batch]
        assert given_out == list(range(len(sides)))


def test_a_batch_has_no_more_pixels_than_a_tile() -> None:
    assert batch_size(np.empty((256, 256, 3))) == BATCH
    assert batch_size(np.empty((512, 512, 3))) == 4
    assert batch_size(np.empty((1024, 1025, 3))) == 1
    assert batch_size(np.empty((1, 1, 3))) == BATCH


def test_files_are_read_no_further_ahead_than_a_batch(
    model: Model, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "available_cores", lambda: 2)
    monkeypatch.setattr(folders, "TILE", 16)  # batches of one
    seen = []

    def recorded(path: Path) -> Stored:
        seen.append(path)
        return read(path)

    monkeypatch.setattr(folders, "read", recorded)
    for done, (_, made) in enumerate(translate_files(model, files, tmp_path / "out"), start=1):
        assert isinstance(made, Path)
        assert len(seen) <= done + 1 + 2  # what is written behind, and two ahead
