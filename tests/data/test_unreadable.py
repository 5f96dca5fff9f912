"""An image that cannot be read is one line with exit code 3, whichever command meets it: the images are to blame."""

from __future__ import annotations

import json
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from program import error_of, invoke
from reading import read_image
from tiny_runs import TINY

from p2pbench.config.schema import DataConfig
from p2pbench.data.dataset import open_dataset
from p2pbench.data.image_files import preview
from p2pbench.data.pairs import find_pairs
from p2pbench.errors import DataError, StorageError

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a file that even root cannot read")


def unreadable(path: Path) -> Path:
    """Put a file at ``path`` that is there, and that nobody can read: the first page of a process's memory."""
    path.unlink(missing_ok=True)
    path.symlink_to("/proc/self/mem")
    return path


@linux
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "npy", "webp"])
@pytest.mark.parametrize("read", [read_image, preview])
def test_a_file_that_cannot_be_read_is_named(read: Callable[[Path], object], suffix: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"x\.{suffix} cannot be read as an image"):
        read(unreadable(tmp_path / f"x.{suffix}"))


@linux
def test_a_data_set_with_a_file_that_cannot_be_read_is_not_opened(pairs_folder: Path) -> None:
    unreadable(pairs_folder / "train" / "002.png")
    with pytest.raises(DataError, match=r"002\.png cannot be read"):
        open_dataset(DataConfig(source=str(pairs_folder)))


def test_a_folder_that_cannot_be_read_is_named(pairs_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(StorageError, match="train cannot be read: Permission denied"):
        find_pairs(pairs_folder)


@pytest.mark.parametrize("error", [struct.error("unpack requires 4 bytes"), IndexError("index out of range")])
def test_whatever_pillow_raises_for_a_damaged_image_names_it(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(image: Image.Image) -> None:
        raise error

    Image.new("RGB", (4, 4)).save(path := tmp_path / "x.png")
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", damaged)
    with pytest.raises(DataError, match=r"x\.png cannot be read as an image"):
        read_image(path)


@linux
@pytest.mark.parametrize("command", ["train", "ablate", "check", "explore"])
def test_commands_on_pairs_name_the_image_and_end_with_3(command: str, pairs_folder: Path, tmp_path: Path) -> None:
    unreadable(pairs_folder / "train" / "002.png")
    arguments: dict[str, list[str | Path]] = {
        "train": ["train", *settings(pairs_folder), "--out", tmp_path / "run"],
        "ablate": ["ablate", "--grid", "lambda", *settings(pairs_folder), "--runs", tmp_path / "runs"],
        "check": ["data", "check", pairs_folder],
        "explore": ["data", "explore", pairs_folder, "--out", tmp_path / "page"],
    }
    result = invoke(*arguments[command], code=3)
    assert "002.png" in result.stdout + result.stderr


@linux
@pytest.mark.parametrize("command", ["prepare", "score"])
def test_commands_on_images_name_the_image_and_end_with_3(command: str, images: Path, tmp_path: Path) -> None:
    arguments: dict[str, list[str | Path]] = {
        "prepare": ["data", "prepare", images, "--out", tmp_path / "pairs", "--split", "0.5,0.25,0.25"],
        "score": ["score", "--fake", images, "--target", tmp_path / "targets", "--metrics", "l1"],
    }
    shutil.copytree(images, tmp_path / "targets", symlinks=True)
    assert "2.png cannot be read" in error_of(*arguments[command], code=3)


@linux
def test_translate_names_the_image_and_writes_the_others(pairs_folder: Path, images: Path, tmp_path: Path) -> None:
    invoke("train", *settings(pairs_folder), "--out", tmp_path / "run")
    result = invoke("translate", "--model", tmp_path / "run", images, "--out", tmp_path / "out", code=3)
    assert "2.png cannot be read" in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == [f"{n}.png" for n in (0, 1, 3, 4, 5)]


def settings(source: Path) -> list[str]:
    values = {**TINY, "training.epochs": 1, "scoring.metrics": ["l1"], "data.source": str(source)}
    return [part for key, value in values.items() for part in ("--set", f"{key}={json.dumps(value)}")]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Six images, of which the third cannot be read."""
    (folder := tmp_path / "images").mkdir()
    for number in range(6):
        Image.new("RGB", (16, 16), (40 * number, 0, 0)).save(folder / f"{number}.png")
    unreadable(folder / "2.png")
    return folder
