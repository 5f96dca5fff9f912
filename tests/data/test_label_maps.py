"""Label maps: a side that is resized to the nearest pixel keeps its colours; data check names labels and ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from program import document

from p2pbench.config.resolve import Layer, resolve
from p2pbench.config.schema import DataConfig
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import open_dataset
from p2pbench.errors import ConfigError

CLASSES = 12
COLOURS = [(i * 21, 255 - i * 21, i * 53 % 256) for i in range(CLASSES)]


def write_labels(root: Path, mode: str) -> Path:
    """Labels of 12 classes as A, in a palette PNG (mode P) or as grey ids (L); photographs as B."""
    random = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 2)):
        for side in "AB":
            (root / split / side).mkdir(parents=True)
        for index in range(count):
            ids = np.kron(random.integers(0, CLASSES, (8, 8)), np.ones((5, 5), int)).astype(np.uint8)
            image = Image.fromarray(ids)
            if mode == "P":
                image = image.convert("P")
                image.putpalette([value for colour in COLOURS for value in colour])
            image.save(root / split / "A" / f"{index}.png")
            noise = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / split / "B" / f"{index}.png")
    return root


def config_of(root: Path, resize_filter: object, direction: str = "AtoB") -> DataConfig:
    settings = {
        "data.source": str(root), "data.load_size": 30, "data.crop_size": 24, "data.resize_filter": resize_filter,
        "data.direction": direction, "discriminator.name": "patch16",
    }  # fmt: skip
    return resolve([Layer("test", settings)]).config.data


def test_the_nearest_pixel_keeps_the_colours_of_a_palette(tmp_path: Path) -> None:
    root = write_labels(tmp_path, "P")

    def colours(resize_filter: object, direction: str = "AtoB") -> tuple[set[tuple[int, ...]], ...]:
        pairs = decoded(open_dataset(config_of(root, resize_filter, direction)), "train").reshape(-1, 6)
        a, b = (pairs[:, :3], pairs[:, 3:]) if direction == "AtoB" else (pairs[:, 3:], pairs[:, :3])
        return tuple(set(map(tuple, side.tolist())) for side in (a, b))

    labels, photos = colours(["nearest", "bilinear"])
    assert labels == set(COLOURS)
    assert len(colours("bilinear")[0]) > 100
    assert photos == colours("bilinear")[1]
    assert colours(["nearest", "bilinear"], "BtoA") == (labels, photos)  # of A and of B, whichever is the condition


def test_a_filter_has_one_spelling() -> None:
    assert config_of(Path("x"), ["nearest", "nearest"]).resize_filter == "nearest"
    assert config_of(Path("x"), "bicubic").model_dump()["resize_filter"] == "bicubic"
    assert config_of(Path("x"), ["nearest", "bicubic"]).filters == ("nearest", "bicubic")
    for wrong in ("lanczos", ["nearest"], 3):
        with pytest.raises(ConfigError, match="resize_filter"):
            config_of(Path("x"), wrong)


@pytest.mark.parametrize("mode", ["P", "L"])
def test_check_names_label_maps_and_ids(mode: str, tmp_path: Path) -> None:
    problems = document("data", "check", write_labels(tmp_path, mode))["problems"]
    said = {problem["kind"]: problem["detail"] for problem in problems}
    assert "of 12 colours" in said["label-maps"]
    assert "[nearest, bilinear]" in said["label-maps"]
    assert ("label-ids" in said) == (mode == "L")
    if mode == "L":
        assert "data.range=[0, 11]" in said["label-ids"]
