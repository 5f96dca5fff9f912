"""What is in a data set's folder and in no pair: hidden files are skipped, all else is counted; names as people see."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from program import document

from p2pbench.config.schema import DataConfig
from p2pbench.data.dataset import left_out, open_dataset
from p2pbench.data.pairs import find_pairs, images_by_name, natural


def save(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 8)).save(path, format="JPEG" if path.suffix == ".jfif" else None)


def test_hidden_files_are_skipped_everywhere(pairs_folder: Path) -> None:
    before = open_dataset(DataConfig(source=str(pairs_folder))).key
    for name in ("._001.png", ".DS_Store", "Thumbs.db", "._x.jpg"):
        (pairs_folder / "train" / name).write_bytes(b"\0\5\x16\7")
    save(pairs_folder / "train" / "__MACOSX" / "1.png")
    dataset = open_dataset(DataConfig(source=str(pairs_folder)))
    assert dataset.key == before
    assert left_out(dataset) == ""
    assert len(images_by_name(pairs_folder / "train")) == 6


def test_what_is_in_no_pair_is_counted_by_place_and_kind(pairs_folder: Path) -> None:
    for name in ("train/deep/1.png", "train/deep/2.jpg", "valid/1.png", "x.gif"):
        save(pairs_folder / name)
    for name in ("train/1.heic", "test/notes.txt", "test/README", "readme.txt"):
        (pairs_folder / name).write_bytes(b"x")
    said = left_out(open_dataset(DataConfig(source=str(pairs_folder))))
    counts = {
        "2 images in train/deep", "1 images in valid", "1 images in .", "1 .heic files in train",
        "1 .txt files in test", "1 other files in test",
    }  # fmt: skip
    assert set(said.removeprefix(f"{pairs_folder}: left out are ").split(", ")) == counts
    problems = document("data", "check", pairs_folder)["problems"]
    assert {problem["detail"] for problem in problems if problem["kind"] == "left-out"} == counts


def test_files_of_every_suffix_that_is_read_are_pairs(pairs_folder: Path) -> None:
    for number, suffix in enumerate(("jfif", "jpe", "gif", "jp2", "pgm", "ppm", "webp", "bmp")):
        path = pairs_folder / "train" / f"more{number}.{suffix}"
        Image.new("L" if suffix == "pgm" else "RGB", (16, 8)).save(path, format="JPEG" if suffix == "jfif" else None)
    dataset = open_dataset(DataConfig(source=str(pairs_folder)))
    assert len(dataset.names["train"]) == 6 + 8
    assert left_out(dataset) == ""


def test_a_name_in_two_normal_forms_is_one_name(tmp_path: Path) -> None:
    for split in ("train", "test"):
        save(tmp_path / split / "A" / "caf\u00e9.png")
        save(tmp_path / split / "B" / "cafe\u0301.png")
    (pair,) = find_pairs(tmp_path)["train"]
    assert pair.name == "caf\u00e9"
    assert images_by_name(tmp_path / "train" / "B").keys() == {"caf\u00e9"}


@given(numbers=st.sets(st.integers(0, 3000), min_size=2))
def test_numbers_in_names_sort_by_value(numbers: set[int]) -> None:
    names = [f"frame{number}-a" for number in numbers]
    assert sorted(names, key=natural) == [f"frame{number}-a" for number in sorted(numbers)]
