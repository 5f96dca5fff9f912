"""Each fault of a data set is planted in a small set, in every layout, and found by name through the command line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from program import error_of, invoke
from tiny_runs import write_pairs

from p2pbench.curation.check import alignment, duplicates, fingerprint
from p2pbench.curation.check.problems import KINDS
from p2pbench.system.cache_dir import home

SIZE = 64


def photo(seed: int, size: int = SIZE) -> np.ndarray:
    """Overlapping rectangles of random colours: edges that are nowhere else, (size, size, 3), uint8."""
    random = np.random.default_rng(seed)
    image = np.full((size, size, 3), random.integers(0, 256, 3), np.uint8)
    for _ in range(size // 2):
        top, left = random.integers(-size // 8, size, 2)
        height, width = random.integers(size // 10, size // 3, 2)
        image[max(top, 0) : top + height, max(left, 0) : left + width] = random.integers(0, 256, 3)
    return image


def grey(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).convert("L").convert("RGB"))


@dataclass(frozen=True)
class Set:
    """A data set of one layout: grey photographs as A, the photographs as B."""

    root: Path
    layout: str

    def file(self, split: str, name: str, side: str = "A") -> Path:
        """The file that holds ``side`` of a pair."""
        parts = {"joined": (split,), "split first": (split, side), "side first": (side, split)}[self.layout]
        return self.root.joinpath(*parts) / f"{name}.png"

    def put(self, split: str, name: str, a: np.ndarray, b: np.ndarray) -> None:
        files = [self.file(split, name)] if self.layout == "joined" else [self.file(split, name, s) for s in "AB"]
        images = [np.concatenate([a, b], axis=1)] if self.layout == "joined" else [a, b]
        for file, image in zip(files, images, strict=True):
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(file)

    def put_photo(self, split: str, name: str, image: np.ndarray) -> None:
        self.put(split, name, grey(image), image)

    def fill(self) -> Set:
        for split, count, first in (("train", 9, 0), ("val", 4, 100), ("test", 5, 200)):
            for index in range(count):
                self.put_photo(split, f"{index:02d}", photo(first + index))
        return self


LAYOUTS = ("joined", "split first", "side first")


@pytest.fixture(params=LAYOUTS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Set:
    return Set(tmp_path / "set", request.param).fill()


@pytest.fixture
def joined(tmp_path: Path) -> Set:
    return Set(tmp_path / "set", "joined").fill()


@pytest.fixture
def folders(tmp_path: Path) -> Set:
    return Set(tmp_path / "set", "split first").fill()


def check(source: str | Path, code: int) -> Any:
    document = json.loads(invoke("data", "check", source, "--json", code=code).stdout)
    for problem in document["problems"]:
        assert problem.keys() == {"kind", "severity", "file", "detail"}
        assert problem["severity"] == KINDS[problem["kind"]].severity
    severities = [problem["severity"] for problem in document["problems"]]
    assert (severities.count("error"), severities.count("warning")) == (document["errors"], document["warnings"])
    assert code == (3 if document["errors"] else 0)
    # The sets of this file are small; one test is about that.
    document["problems"] = [problem for problem in document["problems"] if problem["kind"] != "small-split"]
    return document


def found(source: str | Path, code: int) -> set[tuple[str, str]]:
    """Kind and file of every problem."""
    return {(problem["kind"], problem["file"]) for problem in check(source, code)["problems"]}


def text(source: str | Path, code: int = 0) -> str:
    return str(invoke("data", "check", source, code=code).stdout)


# ---- sets without a fault


def test_a_clean_set_has_no_problem(made: Set) -> None:
    document = check(made.root, code=0)
    assert document["splits"] == {"train": 9, "val": 4, "test": 5}
    assert document["problems"] == []
    assert f"{made.root}: train 9, val 4, test 5 pairs" in text(made.root)


def test_tiny_noise_says_nothing_and_is_not_accused(tmp_path: Path) -> None:
    assert found(write_pairs(tmp_path / "noise", {"train": 8, "test": 4}), code=0) == set()


def test_test_pairs_too_few_to_show_anything_are_named(tmp_path: Path) -> None:
    for name, count in (("few", 5), ("enough", 6)):
        said = text(write_pairs(tmp_path / name, {"train": 4, "test": count}))
        assert ("holds 5 pairs" in said) == (count == 5)
        assert ("p = 0.062" in said) == (count == 5)


def test_the_built_in_photos_have_no_problem() -> None:
    document = check("photos", code=0)
    assert document["splits"] == {"train": 400, "val": 30, "test": 30}
    assert (document["folder"], document["problems"]) == (None, [])


def test_a_set_kept_at_home_goes_by_its_name(joined: Set) -> None:
    shutil.copytree(joined.root, home() / "data" / "mine")
    assert check("mine", code=0)["folder"] == str(home() / "data" / "mine")


@pytest.mark.shared
def test_the_real_facades_pass(shared: Path) -> None:
    document = check(shared / "data" / "facades", code=0)
    assert document["splits"] == {"train": 400, "val": 100, "test": 106}
    assert document["problems"] == []


# ---- faults of files


def test_all_missing_mates_are_named(folders: Set) -> None:
    for split, name, side in (("train", "00", "A"), ("train", "04", "B"), ("test", "01", "B")):
        folders.file(split, name, side).unlink()
    document = check(folders.root, code=3)
    assert document["splits"] == {"train": 7, "val": 4, "test": 4}
    assert {(p["kind"], p["file"]) for p in document["problems"]} == {
        ("missing-mate", "train/B/00.png"), ("missing-mate", "train/A/04.png"), ("missing-mate", "test/A/01.png"),
    }  # fmt: skip
    assert all("has no mate" in p["detail"] and str(folders.root) not in p["detail"] for p in document["problems"])


def test_images_of_one_name_and_dead_links_are_named(folders: Set) -> None:
    Image.fromarray(photo(3)).save(folders.file("train", "03").with_suffix(".webp"))
    folders.file("test", "02", "B").unlink()
    folders.file("test", "02", "B").symlink_to("nowhere.png")
    assert found(folders.root, code=3) == {
        ("same-name", "train/A/03.webp"), ("dead-link", "test/B/02.png"), ("missing-mate", "test/A/02.png"),
    }  # fmt: skip


def within(made: Set, file: Path) -> str:
    return file.relative_to(made.root).as_posix()


def test_every_file_that_cannot_be_read_is_named(made: Set) -> None:
    whole = made.file("train", "01", "B").read_bytes()
    broken = {
        made.file("train", "01", "B"): whole[: len(whole) // 2],
        made.file("train", "02", "A"): b"",
        made.file("test", "03", "B"): b"<html>404</html>",
    }
    for file, content in broken.items():
        file.write_bytes(content)
    assert found(made.root, code=3) == {("unreadable", within(made, file)) for file in broken}


@given(cut=st.floats(0.0, 0.98))
def test_a_truncated_jpeg_is_named_wherever_it_is_cut(cut: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    made = Set(tmp_path_factory.mktemp("cut"), "joined")
    for split in ("train", "test"):
        made.put_photo(split, "0", photo(len(split)))
    file = made.file("train", "0")
    stream = BytesIO()
    Image.open(file).save(stream, "JPEG", quality=95)
    file.unlink()
    file.with_suffix(".jpg").write_bytes(stream.getvalue()[: int(cut * len(stream.getvalue()))])
    assert found(made.root, code=3) == {("unreadable", "train/0.jpg")}


@pytest.mark.parametrize(
    ("convert", "said"),
    [
        (lambda image: image.convert("CMYK"), "is CMYK"),
        (lambda image: image.convert("LAB"), "is a TIFF of mode CIELAB"),
    ],
)
def test_kinds_that_are_not_read_as_they_are(
    convert: Callable[[Image.Image], Image.Image], said: str, made: Set
) -> None:
    file = made.file("val", "02", "B")
    image = convert(Image.open(file))
    file.unlink()
    image.save(file.with_suffix(".tif"))
    (problem,) = check(made.root, code=3)["problems"]
    assert (problem["kind"], problem["file"]) == ("unsupported", within(made, file.with_suffix(".tif")))
    assert said in problem["detail"]
    assert "convert them, to 8-bit RGB say" in text(made.root, code=3)


def test_kinds_that_need_a_setting_are_looked_at_all_the_same(folders: Set) -> None:
    for split, name in (("train", "01"), ("test", "02")):
        file = folders.file(split, name, "A")
        image = Image.open(file).convert("RGBA")
        image.putalpha(Image.linear_gradient("L").resize(image.size))
        image.save(file)
    (folders.root / "train" / "A" / "00.png").unlink()
    np.save(folders.root / "train" / "A" / "00.npy", np.random.default_rng(0).normal(size=(SIZE, SIZE, 3)))
    problems = check(folders.root, code=0)["problems"]
    said = {p["file"]: p["detail"] for p in problems if p["kind"] == "needs-setting"}
    assert said.keys() == {"train/A/01.png", "test/A/02.png", "train/A/00.npy"}
    assert "data.background=white" in said["train/A/01.png"]
    assert "float64 values: say with data.range" in said["train/A/00.npy"]


def test_sixteen_bits_are_no_problem(folders: Set) -> None:
    for file in folders.root.glob("*/B/*.png"):
        with Image.open(file) as image:
            Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(file)
    assert found(folders.root, code=0) == set()


def test_a_pair_of_two_sizes_and_one_of_another_size(folders: Set) -> None:
    Image.fromarray(photo(1, 72)).save(folders.file("train", "01", "B"))
    folders.put_photo("test", "02", photo(2, 48))
    document = check(folders.root, code=3)
    assert {(p["kind"], p["file"]) for p in document["problems"]} == {
        ("size-mismatch", "train/A/01.png"), ("unusual-size", "test/A/02.png"),
    }  # fmt: skip
    details = [problem["detail"] for problem in document["problems"]]
    assert "(64x64 and 72x72)" in details[0]
    assert details[1] == "A and B are 48x48, in most pairs 64x64"


def test_a_pair_stored_in_other_modes_than_most(folders: Set) -> None:
    Image.fromarray(photo(1)).convert("L").save(folders.file("train", "01", "A"))
    assert found(folders.root, code=0) == {("mode-mismatch", "train/A/01.png")}
    for file in folders.root.glob("*/A/*.png"):
        Image.open(file).convert("L").save(file)
    assert found(folders.root, code=0) == set()  # grey to colour is what the set is about


def test_side_by_side_images_without_a_middle(joined: Set) -> None:
    Image.fromarray(photo(1, 2 * SIZE - 1)).save(joined.file("train", "01"))
    joined.put_photo("test", "02", photo(2, 48))
    assert found(joined.root, code=3) == {("odd-width", "train/01.png"), ("unusual-size", "test/02.png")}


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_that_is_missing_or_empty(split: str, made: Set) -> None:
    folder = [folder for folder in made.root.rglob(split) if folder.is_dir()]
    for file in [file for parent in folder for file in parent.rglob("*.png")]:
        file.unlink()
    assert found(made.root, code=3) == {("empty-split", split)}
    for parent in folder:
        shutil.rmtree(parent)
    if split == "train":
        assert found(made.root, code=3) == {("no-train", "train")}
    else:
        assert found(made.root, code=0) == set()  # tested on val
        for parent in [folder for folder in made.root.rglob("val") if folder.is_dir()]:
            shutil.rmtree(parent)
        assert found(made.root, code=3) == {("no-test", "test")}


def test_a_folder_without_a_readable_pair(tmp_path: Path) -> None:
    assert found(tmp_path, code=3) == {("no-train", "train"), ("no-test", "test")}
    assert "no pairs" in text(tmp_path, code=3)
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "0.png").write_bytes(b"")
    assert found(tmp_path, code=3) == {("unreadable", "train/0.png"), ("unreadable", "test/0.png")}


# ---- duplicates


def test_the_same_pair_in_one_split_and_in_two(made: Set) -> None:
    made.put_photo("train", "copy", photo(3))
    made.put_photo("test", "copy", photo(4))
    document = check(made.root, code=3)
    assert {(p["kind"], p["file"], p["detail"].split("/")[-1]) for p in document["problems"]} == {
        ("duplicate", within(made, made.file("train", "copy")), "03.png"),
        ("leak", within(made, made.file("test", "copy")), "04.png"),
    }
    assert "leakage" in text(made.root, code=3)


def test_nearly_the_same_pair_in_one_split_and_in_two(made: Set) -> None:
    for split, seed in (("train", 3), ("test", 4)):
        stream = BytesIO()
        Image.fromarray(photo(seed)).save(stream, "JPEG", quality=60)
        made.put_photo(split, "again", np.asarray(Image.open(stream)))
    assert found(made.root, code=0) == {
        ("near-duplicate", within(made, made.file("train", "again"))),
        ("near-leak", within(made, made.file("test", "again"))),
    }


def test_one_image_with_two_mates(made: Set) -> None:
    made.put("train", "two", grey(photo(50)), photo(3))
    problems = check(made.root, code=0)["problems"]
    (repeated,) = [problem for problem in problems if problem["kind"] == "repeated-image"]
    assert repeated["file"] == within(made, made.file("train", "two"))
    assert "its B is also the B of" in repeated["detail"]


# ---- pairs unlike the others


def test_exchanged_halves(made: Set) -> None:
    for split, name, seed in (("train", "02", 2), ("train", "05", 5), ("test", "01", 201)):
        made.put(split, name, photo(seed), grey(photo(seed)))
    assert found(made.root, code=0) == {
        ("swapped", within(made, made.file(*pair))) for pair in (("train", "02"), ("train", "05"), ("test", "01"))
    }


def test_blank_images(made: Set) -> None:
    made.put("train", "03", grey(photo(3)), np.full((SIZE, SIZE, 3), 17, np.uint8))
    noise = np.random.default_rng(0).integers(250, 253, (SIZE, SIZE, 3), dtype=np.uint8)
    made.put("test", "03", noise, photo(203))
    problems = {(p["kind"], p["file"]): p["detail"] for p in check(made.root, code=0)["problems"]}
    assert problems == {
        ("blank", within(made, made.file("train", "03"))): "B is blank",
        ("blank", within(made, made.file("test", "03"))): "A is blank",
    }


def test_a_shifted_pair(made: Set) -> None:
    large = photo(60, SIZE + 9)
    made.put("train", "07", grey(large)[9:, 9:], large[:-9, 4:-5])
    (problem,) = check(made.root, code=0)["problems"]
    assert (problem["kind"], problem["file"]) == ("misaligned", within(made, made.file("train", "07")))
    assert problem["detail"] == "B lies 9 px down and 5 px right of where it should"


def test_a_set_that_is_shifted_as_a_whole(made: Set) -> None:
    for split, count in (("train", 9), ("val", 4), ("test", 5)):
        for index in range(count):
            large = photo(300 + 20 * len(split) + index, SIZE + 6)
            made.put(split, f"{index:02d}", grey(large)[6:, 6:], large[6:, :-6])
    (problem,) = check(made.root, code=0)["problems"]
    assert (problem["kind"], problem["file"]) == ("misaligned", ".")
    assert "most pairs: B lies 6 px right" in problem["detail"]


def test_mates_that_were_mistaken_for_each_other(made: Set) -> None:
    made.put("train", "02", grey(photo(2)), photo(6))
    made.put("train", "06", grey(photo(6)), photo(2))
    problems = {(p["kind"], p["file"]): p["detail"] for p in check(made.root, code=0)["problems"]}
    second, sixth = (within(made, made.file("train", name)) for name in ("02", "06"))
    assert problems == {
        ("mispaired", second): f"its A fits the B of {sixth}",
        ("mispaired", sixth): f"its A fits the B of {second}",
    }


def test_a_mate_from_elsewhere(made: Set) -> None:
    made.put("train", "08", grey(photo(8)), photo(80))
    (problem,) = check(made.root, code=0)["problems"]
    assert (problem["kind"], problem["file"]) == ("mispaired", within(made, made.file("train", "08")))
    assert "no edges in common" in problem["detail"]


def test_mates_that_are_all_one_file_off(made: Set) -> None:
    for index in range(9):
        made.put("train", f"{index:02d}", grey(photo(index)), photo((index + 1) % 9))
    problems = found(made.root, code=0)
    assert ("unrelated", "train") in problems
    assert {("mispaired", within(made, made.file("train", f"{index:02d}"))) for index in range(9)} <= problems


def test_plain_photos_taken_for_pairs(joined: Set) -> None:
    for index in range(9):
        Image.fromarray(photo(400 + index, 2 * SIZE)[:SIZE]).save(joined.file("train", f"{index:02d}"))
    assert found(joined.root, code=0) == {("plain-photos", "train")}


# ---- what is printed


def test_the_text_names_some_and_counts_the_others(folders: Set) -> None:
    for index in range(13):
        Image.fromarray(photo(index)).save(folders.file("train", f"extra{index:02d}"))
    said = text(folders.root, code=3)
    assert "error missing-mate: 13, images without a mate" in said
    assert said.count("has no mate") == 10
    assert "and 3 more, all named with --json" in said
    assert "-> add the mate or remove the image" in said
    assert "13 errors, 1 warning\n" in said
    assert len(check(folders.root, code=3)["problems"]) == 13


def test_a_source_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert error_of("data", "check", tmp_path / "nowhere", code=3).startswith("error: data source")


def test_a_folder_named_as_the_current_one(joined: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    joined.file("train", "01").write_bytes(b"")
    monkeypatch.chdir(joined.root)
    assert found(".", code=3) == {("unreadable", "train/01.png")}


# ---- the laws behind it


@given(dy=st.integers(-12, 12), dx=st.integers(-12, 12), seed=st.integers(0, 10**6), size=st.integers(64, 130))
def test_a_known_shift_is_estimated_exactly(dy: int, dx: int, seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    large = np.repeat(random.integers(0, 256, (size + 24, size + 24, 1), dtype=np.uint8), 3, axis=2)
    a, b = large[12 : 12 + size, 12 : 12 + size], large[12 - dy : 12 - dy + size, 12 - dx : 12 - dx + size]
    shift, unshifted = alignment.align(a, b)
    assert (shift.dy, shift.dx) == (dy, dx)
    assert shift.score > 6.5
    back, _ = alignment.align(b, a)
    assert (back.dy, back.dx) == (-dy, -dx)
    assert alignment.score_at(a, b, dy, dx) == pytest.approx(shift.score)
    assert unshifted == pytest.approx(alignment.score_at(a, b, 0, 0))


@given(factor=st.integers(2, 4), dy=st.integers(-9, 9), dx=st.integers(-9, 9))
def test_the_shift_of_large_images_is_in_their_pixels(factor: int, dy: int, dx: int) -> None:
    texture = np.random.default_rng(0).integers(0, 256, (256, 256, 1), dtype=np.uint8)
    a = np.repeat(texture, 3, axis=2).repeat(factor, 0).repeat(factor, 1)
    shift, _ = alignment.align(a, np.roll(a, (dy * factor, dx * factor), (0, 1)))
    assert (shift.dy, shift.dx) == (dy * factor, dx * factor)


def test_strangers_and_blank_images_have_no_alignment() -> None:
    assert alignment.align(photo(1), photo(2))[0].score < 6.5
    blank = np.zeros((SIZE, SIZE, 3), np.uint8)
    assert alignment.align(blank, photo(1)) == ((0, 0, 0.0), 0.0)
    assert alignment.align(blank[:1, :1], blank[:1, :1])[1] == 0.0


@given(seed=st.integers(0, 10**6), quality=st.integers(75, 95), size=st.integers(64, 200))
def test_the_difference_hash_is_the_images_and_survives_jpeg(seed: int, quality: int, size: int) -> None:
    image = photo(seed, size)
    stream = BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    its, jpegs = fingerprint.difference_hash(image), fingerprint.difference_hash(np.asarray(Image.open(stream)))
    assert np.bitwise_count(its ^ fingerprint.difference_hash(image.copy())) == 0
    assert np.bitwise_count(its ^ jpegs) <= duplicates.MAX_BITS


def test_the_bits_of_the_difference_hash() -> None:
    """Golden: eight rows from left to right; a bit is set where the next cell is brighter."""
    ramp = np.repeat(np.arange(9, dtype=np.uint8)[None, :, None] * 20, 8, axis=0).repeat(3, axis=2)
    assert fingerprint.difference_hash(ramp) == np.uint64(2**64 - 1)
    assert fingerprint.difference_hash(ramp[:, ::-1]) == 0
    step = np.zeros((8, 9, 3), np.uint8)
    step[:, 1:] = 200
    assert fingerprint.difference_hash(step) == np.uint64(0x8080808080808080)


def test_looks_by_hand() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[2:] = (255, 0, 0)
    luma = 76  # of pure red, Rec. 601
    assert fingerprint.look_of(image) == pytest.approx([1.0, 127.5, luma / 3, luma / 2])


@given(st.lists(st.integers(0, 5), min_size=2, max_size=300))
def test_near_duplicates_are_those_of_the_double_loop(seeds: list[int]) -> None:
    """The search in blocks names each pair that a comparison of all with all finds near to one before it."""
    prints = [replace(print_of(seed), file=f"train/{index}") for index, seed in enumerate(seeds)]
    named = [problem.file for problem in duplicates.near_duplicates(prints)]
    assert named == [f"train/{index}" for index, seed in enumerate(seeds) if seed in seeds[:index]]


def print_of(seed: int) -> fingerprint.Fingerprint:
    image = photo(seed)
    return fingerprint.take("train", "", "RGB+RGB", (grey(image), image), lambda: (grey(image), image), joined=False)


def test_a_name_in_another_encoding_is_read_as_it_is(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs", {"train": 2, "test": 2})
    try:
        (pairs / "test" / "000.png").rename(pairs / "test" / os.fsdecode(b"\xff\xfe.png"))
    except OSError:
        pytest.skip("this file system takes no such name")
    text(pairs)
    check(pairs, code=0)
