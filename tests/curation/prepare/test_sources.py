"""Pairs from the folders that people have: sides side by side, names with endings, sizes that differ, any bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from program import document, error_of, invoke
from reading import read_array, read_pair

from p2pbench.curation.prepare.sources import sides_of
from p2pbench.data.images import Wanted
from p2pbench.data.pairs import find_pairs, read_wanted


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def save(path: str, colour: int, size: tuple[int, int] = (16, 12)) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (colour, 0, 255 - colour)).save(path)


def reds(folder: str, split: str) -> list[tuple[int, int]]:
    """The red of A and of B of every pair."""
    pairs = find_pairs(Path(folder))[split]
    return [(int(a[0, 0, 0]), int(b[0, 0, 0])) for a, b in map(read_pair, pairs)]


@pytest.mark.parametrize(
    "layout",
    ["{split}{side}", "{split}/{side}", "{side}/{split}", "{split}/{word}", "{word}/{split}", "{split}{word}"],
)
def test_layouts_of_two_sides_are_kept_as_they_are_split(layout: str) -> None:
    """They were taken for photographs, of which grey conditions were made."""
    for split, start in (("train", 0), ("test", 100)):
        for side, word, add in (("A", "input", 0), ("B", "target", 50)):
            for index in range(2):
                folder = layout.format(split=split, side=side, word=word)
                save(f"in/{folder}/{index}.png", start + add + index)
    made = document("data", "prepare", "in", "--out", "out")
    assert (made["splits"], made["split"]) == ({"train": 2, "val": 0, "test": 2}, "kept")
    assert reds("out", "train") == [(0, 50), (1, 51)]
    assert reds("out", "test") == [(100, 150), (101, 151)]
    first = sides_of(Path("in"))[0][1]
    message = error_of("data", "prepare", "in", "--out", "other", "--condition", "edges", code=2)
    assert "name one side's folder" in message
    assert document("data", "prepare", first, "--out", "photos", "--split", "0.5,0,0.5", "--seed", "1")["state"]


def test_names_with_endings_are_matched_as_the_option_says() -> None:
    for index in range(12):
        save(f"in/{index}_A.png", index)
        save(f"in/{index}_B.png", 100 + index)
    save("in/notes_C.png", 1)
    made = document("data", "prepare", "in", "--out", "out", "--names", "*_A,*_B", "--split", "0.5,0,0.5")
    assert made["ignored"] == {"named as neither *_A nor *_B": 1}
    assert all(b == a + 100 for split in ("train", "test") for a, b in reds("out", split))
    for index in range(12):
        save(f"a/{index}_real_A.png", index)
        save(f"b/{index}_fake_B.png", 100 + index)
    two = ("data", "prepare", "a", "--with", "b", "--out", "two", "--split", "0.5,0,0.5")
    assert "--names" in error_of(*two, code=3)
    document(*two, "--names", "*_real_A,*_fake_B")
    assert all(b == a + 100 for a, b in reds("two", "train"))
    assert "--names is 'x'" in error_of(*two, "--names", "x", code=2)
    assert "no image is named as *_X" in error_of("data", "prepare", "in", "--out", "o", "--names", "*_A,*_X", code=3)


def test_folders_of_different_sizes_become_equal_where_a_size_is_asked_for() -> None:
    for index in range(6):
        save(f"a/{index}.png", index, (40, 30))
        save(f"b/{index}.png", 100 + index, (16, 12))
    ask = ("data", "prepare", "a", "--with", "b", "--out", "out", "--split", "0.5,0,0.5")
    assert "--size makes them equal" in invoke(*ask, code=3).stderr
    document(*ask, "--size", "12x16")
    a, b = read_pair(find_pairs(Path("out"))["train"][0])
    assert a.shape == b.shape == (12, 16, 3)


@pytest.mark.parametrize("kind", ["uint16", "float32", "five"])
def test_bits_and_channels_are_kept(kind: str) -> None:
    random, held = np.random.default_rng(0), {}
    for index in range(6):
        for side in "ab":
            shape = (12, 16, 5) if kind == "five" else (12, 16)
            values = random.normal(size=shape) if kind == "float32" else random.integers(0, 65536, shape)
            held[side, index] = values.astype(np.float32 if kind == "float32" else np.uint16)
            Path(side).mkdir(exist_ok=True)
            tifffile.imwrite(
                f"{side}/{index}.tif", held[side, index], photometric="minisblack",
                planarconfig="contig" if kind == "five" else None,
            )  # fmt: skip
    ask = ("data", "prepare", "a", "--with", "b", "--out", "out", "--split", "0.5,0,0.5")
    if kind != "uint16":
        assert "use --format tif" in invoke(*ask, code=3).stderr
    document(*ask, *(() if kind == "uint16" else ("--format", "tif")))
    wanted = Wanted(5 if kind == "five" else 1, (-5.0, 5.0) if kind == "float32" else None)
    for pair in find_pairs(Path("out"))["train"]:
        sources = [held[side, int(pair.name)] for side in "ab"]
        if kind == "float32":
            kept = [read_array(path, None)[..., 0] for path in pair.files]
            assert all(np.array_equal(found, source) for found, source in zip(kept, sources, strict=True))
        else:
            both = read_wanted(pair, (wanted, wanted))
            assert all(np.array_equal(found.squeeze(), source) for found, source in zip(both, sources, strict=True))
    document(*ask[:6], "small", *ask[7:], "--size", "6x8", *(() if kind == "uint16" else ("--format", "tif")))
    a = read_array(find_pairs(Path("small"))["train"][0].files[0], None)
    assert a.dtype == (np.float32 if kind == "float32" else np.uint16)
    assert a.shape[0] == 6
