"""``p2pbench data prepare``: pairs that training reads, the same every time, whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import program
import pytest
import skimage
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from reading import read_image, read_pair

from p2pbench.config.resolve import Layer, resolve
from p2pbench.curation.prepare.prepare import prepare_pairs
from p2pbench.curation.prepare.recipe import build_recipe
from p2pbench.curation.prepare.splits import split_of
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import open_dataset
from p2pbench.data.image_files import ORIENTATION, read
from p2pbench.data.images import scaled
from p2pbench.data.pairs import SPLITS, find_pairs
from p2pbench.data.photos import condition_of
from p2pbench.errors import DataError

PHOTOGRAPHS = ("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "ihc.png", "rocket.jpg")
SOME = ("--split", "0.6,0.2,0.2")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven real photographs, 48 pixels high, of different widths and kinds."""
    folder = tmp_path_factory.mktemp("photographs")
    for name in PHOTOGRAPHS:
        with Image.open(Path(skimage.__file__).parent / "data" / name) as image:
            image.resize((round(48 * image.width / image.height), 48)).save(folder / name)
    return folder


@pytest.fixture
def photos(photographs: Path, tmp_path: Path) -> Path:
    return shutil.copytree(photographs, tmp_path / "photos")


def run(*arguments: str | Path, code: int = 0) -> Any:
    return program.invoke("data", "prepare", *arguments, code=code)


def error_of(*arguments: str | Path, code: int) -> str:
    """The one line on standard error of a command that fails."""
    result = run(*arguments, code=code)
    (line,) = [line for line in result.stderr.splitlines() if line.strip()]
    assert result.stdout == ""
    assert line.startswith("error: ")
    return str(line)


def document(*arguments: str | Path) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def noise(path: Path, height: int = 12, width: int = 16, seed: int = 0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(image).save(path)
    return image


# ---- from photos


def test_photos_become_pairs_that_training_reads(photos: Path) -> None:
    result = run(photos, "--out", "pairs", "--size", "32", *SOME)
    assert result.stdout.splitlines()[-1] == "next: p2pbench train --set data.source=./pairs"
    record = json.loads(Path("pairs/prepared.json").read_text())
    assert sum(record["splits"].values()) == len(PHOTOGRAPHS)
    assert record["settings"] | {"condition": "gray", "size": [32, 32], "seed": 0} == record["settings"]
    assert record["split"] == "3/5,1/5,1/5"
    assert {"p2pbench", "pillow", "numpy", "scikit-image"} <= record["versions"].keys()
    found = find_pairs(Path("pairs"))
    assert {split: len(pairs) for split, pairs in found.items()} == record["splits"]
    for pair in (pair for pairs in found.values() for pair in pairs):
        condition, photo = read_pair(pair)
        assert photo.shape == (32, 32, 3)
        assert np.array_equal(condition, condition_of(photo, "gray"))
    settings = {"data.source": "pairs", "data.load_size": 32, "data.crop_size": 32, "discriminator.name": "patch16"}
    dataset = open_dataset(resolve([Layer("test", settings)]).config.data)
    array = decoded(dataset, "train")
    assert array.shape == (record["splits"]["train"], 32, 32, 6)


def test_files_that_look_like_pairs_come_with_a_caution(pairs_folder: Path, photos: Path) -> None:
    asked = ("data", "prepare", pairs_folder, "--size", "16", "--out", "made")
    said = program.invoke(*asked).stderr
    assert "each file is taken as one photo" in said
    assert "use --halves" in said
    assert "caution" not in program.invoke(*asked[:-1], "halves", "--halves").stderr  # followed
    assert "caution" not in program.invoke("data", "prepare", photos, "--size", "16", "--out", "photos16").stderr


def test_without_a_size_photos_stay_as_they_are(photos: Path) -> None:
    run(photos, "--out", "pairs", *SOME)
    for pairs in find_pairs(Path("pairs")).values():
        for pair in pairs:
            source = next(photos.glob(f"{pair.name}.*"))
            assert np.array_equal(read_pair(pair)[1], read_image(source))


@pytest.mark.parametrize(
    "options", [("edges", "--sigma", "1"), ("blur",), ("mask", "--hole", "strokes"), ("downscale",)]
)
def test_every_condition_through_the_command_line(options: tuple[str, ...], photos: Path) -> None:
    found = document(photos, "--out", "pairs", "--condition", *options, *SOME)
    assert found["state"] == "prepared"
    assert found["settings"]["condition"] == options[0]
    condition, photo = read_pair(find_pairs(Path("pairs"))["train"][0])
    assert condition.shape == photo.shape
    assert not np.array_equal(condition, photo)


def test_a_hole_depends_on_the_name_and_the_seed_alone(photos: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        run(photos, "--out", name, "--condition", "mask", "--size", "32", "--seed", str(seed), *SOME)
        (photos / f"another-{name}.png").write_bytes((photos / "brick.png").read_bytes())

    def image(folder: str, name: str) -> np.ndarray:
        (path,) = Path(folder).rglob(f"{name}.png")
        return read_image(path)

    assert np.array_equal(image("one", "brick"), image("two", "brick"))
    assert not np.array_equal(image("one", "brick"), image("three", "brick"))
    assert not np.array_equal(image("two", "brick"), image("two", "another-one"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_stand_as_the_camera_was_held(orientation: int, tmp_path: Path) -> None:
    upright = noise(tmp_path / "upright.png", 8, 12)
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.swapaxes(0, 1),
        6: np.rot90(upright), 7: upright.swapaxes(0, 1)[::-1, ::-1], 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    for split in ("train", "test"):
        (tmp_path / "photos" / split).mkdir(parents=True)
        Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "photos" / split / "x.png", exif=exif)
    run("photos", "--out", "pairs")
    assert np.array_equal(read_pair(find_pairs(Path("pairs"))["test"][0])[1], upright)


def test_odd_exif_data_stand_in_no_photos_way(tmp_path: Path) -> None:
    """Pillow's own turning writes all EXIF data back, and fails on values that are not of their tag's kind."""
    exif = Image.Exif()
    exif[ORIENTATION], exif[0x0100] = 6, 12
    Image.new("RGB", (12, 8)).save(tmp_path / "x.jpg", exif=exif)
    data = (tmp_path / "x.jpg").read_bytes()
    width = data.index(
        b"\x01\x00\x00\x04\x00\x00\x00\x01"
    )  # tag, kind LONG, one value: now a RATIONAL, out of the file
    (tmp_path / "x.jpg").write_bytes(data[: width + 3] + b"\x05" + data[width + 4 :])
    assert read_image(tmp_path / "x.jpg").shape == (12, 8, 3)


def test_sub_folders_are_searched_and_what_is_no_image_is_counted(tmp_path: Path) -> None:
    for name in ("a/x.png", "b/x.PNG", "b/c/y.bmp", ".hidden/z.png", "b/._x.png"):
        noise(tmp_path / "photos" / name)
    (tmp_path / "photos" / "a" / "notes.txt").write_text("")
    (tmp_path / "elsewhere").mkdir()
    noise(tmp_path / "elsewhere" / "linked.png")
    (tmp_path / "photos" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "b" / "up").symlink_to(tmp_path / "photos")
    found = document("photos", "--out", "pairs", "--split", "0.5,0,0.5", "--seed", "1")
    assert found["ignored"] == {".txt": 1}
    assert {path.stem for path in Path("pairs").rglob("*.png")} == {"a-x", "b-x", "b-c-y", "link-linked"}


def test_the_sources_own_splits_are_kept(tmp_path: Path) -> None:
    for name in ("train/x.png", "train/deep/x.png", "val/x.png", "test/x.png"):
        noise(tmp_path / "photos" / name)
    found = document("photos", "--out", "pairs")
    assert (found["splits"], found["split"]) == ({"train": 2, "val": 1, "test": 1}, "kept")
    assert Path("pairs/train/deep-x.png").is_file()
    assert "which are kept" in error_of("photos", "--out", "other", "--split", "0.8,0.1,0.1", code=2)
    noise(tmp_path / "photos" / "stray.png")
    assert "stray.png is in none of the folders train, val, test" in error_of("photos", "--out", "other", code=3)


def test_a_table_decides_the_splits(photos: Path) -> None:
    names = [path.name for path in sorted(photos.iterdir())]
    with Path("table.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("name", "split"), *((n, SPLITS[i % 3]) for i, n in enumerate(names))])
    run(photos, "--out", "pairs", "--split-file", "table.csv")
    for index, name in enumerate(names):
        assert Path("pairs", SPLITS[index % 3], f"{Path(name).stem}.png").is_file()
    shutil.copy(photos / names[0], photos / "new.png")
    assert "has no line for new" in error_of(photos, "--out", "other", "--split-file", "table.csv", code=2)
    (photos / "new.png").unlink()
    (photos / names[0]).unlink()
    assert "names astronaut, but there is no" in error_of(photos, "--out", "x", "--split-file", "table.csv", code=2)


@settings(max_examples=10)
@given(names=st.sets(st.text("abcdefghij0123456789_", min_size=1, max_size=6), min_size=4, max_size=12))
def test_adding_photos_moves_no_other(names: set[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("splits")
    recipe = build_recipe(split="0.5,0.25,0.25")
    assert recipe.shares is not None
    there = {split_of(f"A{index}", recipe.shares, 0): f"A{index}" for index in range(50)}  # one in each split
    seen: dict[str, str] = {}
    for out, some in (("few", [*there.values()]), ("more", sorted(names)[:4]), ("many", sorted(names)[4:])):
        for name in some:
            noise(root / "photos" / f"{name}.png", 2, 2)
        prepare_pairs(str(root / "photos"), root / out, recipe)
        found = {path.stem: path.parent.name for path in (root / out).rglob("*.png")}
        assert seen.items() <= found.items()
        seen = found
    assert len(seen) == len(names) + 3


# ---- from two folders, and from side-by-side images


def test_combining_and_halving_are_each_others_inverse(pairs_folder: Path) -> None:
    run(pairs_folder, "--out", "apart", "--halves")
    assert {path.name for path in Path("apart").iterdir()} == {"A", "B", "prepared.json"}
    run("apart/A", "--with", "apart/B", "--out", "together")
    for path in pairs_folder.rglob("*.png"):
        assert np.array_equal(read_image(Path("together") / path.relative_to(pairs_folder)), read_image(path))
    apart, together = (find_pairs(Path(folder)) for folder in ("apart", "together"))
    assert {split: len(pairs) for split, pairs in apart.items()} == {"train": 6, "test": 3}
    for one, other in zip(apart["train"], together["train"], strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(read_pair(one), read_pair(other), strict=True))


def test_mates_are_matched_by_name_whatever_their_kind(tmp_path: Path) -> None:
    images = {}
    for index, name in enumerate(("train/1", "test/2")):
        images[name] = noise(tmp_path / "a" / f"{name}.bmp", seed=index), noise(tmp_path / "b" / f"{name}.png", seed=9)
    run("a", "--with", "b", "--out", "pairs")
    for name, halves in images.items():
        assert np.array_equal(read_image(Path("pairs", f"{name}.png")), np.concatenate(halves, axis=1))
    noise(tmp_path / "a" / "train" / "lonely.png")
    (tmp_path / "a" / "test" / "2.bmp").unlink()
    message = error_of("a", "--with", "b", "--out", "other", code=3)
    assert "a/train/lonely.png (not in b)" in message
    assert "b/test/2.png (not in a)" in message


@given(
    height=st.integers(2, 40), width=st.integers(2, 40), size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    fit=st.sampled_from(["crop", "stretch"]),
)  # fmt: skip
def test_resized_labels_have_no_new_colours_and_lie_where_the_photo_does(
    height: int, width: int, size: tuple[int, int], fit: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("labels")
    palette = np.array([[0, 0, 170], [255, 85, 0], [0, 255, 255]], np.uint8)
    labels = palette[np.random.default_rng(height * 41 + width).integers(0, 3, (height, width))]
    for split in ("train", "test"):
        for side in "ab":
            (root / side / split).mkdir(parents=True)
            Image.fromarray(labels).save(root / side / split / "x.png")
    recipe = build_recipe(combine=True, size=f"{size[0]}x{size[1]}", fit=fit, labels="b")
    prepare_pairs(str(root / "a"), root / "out", recipe, mates=str(root / "b"))
    photo, found = read_pair(find_pairs(root / "out")["train"][0])
    assert found.shape == photo.shape == (*size, 3)
    colours = {tuple(colour) for colour in found.reshape(-1, 3).tolist()}
    assert colours <= {tuple(colour) for colour in labels.reshape(-1, 3).tolist()}
    if size == (height, width):
        assert np.array_equal(photo, found)


def test_crop_keeps_shapes_and_stretch_keeps_all(tmp_path: Path) -> None:
    """An image twice as wide as high, its left and right quarters red: a square crop is what lies between them."""
    image = np.zeros((16, 32, 3), np.uint8)
    image[:, :8] = image[:, 24:] = (255, 0, 0)
    for split in ("train", "test"):
        (tmp_path / "photos" / split).mkdir(parents=True)
        Image.fromarray(image).save(tmp_path / "photos" / split / "x.png")
    for fit, red_columns in (("crop", []), ("stretch", [0, 1, 2, 3, 12, 13, 14, 15])):
        run("photos", "--out", fit, "--size", "16", "--fit", fit)
        photo = read_pair(find_pairs(Path(fit))["train"][0])[1]
        assert np.flatnonzero((photo[..., 0] > 127).all(axis=0)).tolist() == red_columns


def test_jpeg_is_smaller_and_nearly_the_same(photos: Path) -> None:
    run(photos, "--out", "png", "--size", "64", *SOME)
    run(photos, "--out", "jpg", "--size", "64", "--format", "jpg", "--quality", "90", *SOME)
    exact, near = (find_pairs(Path(kind))["train"] for kind in ("png", "jpg"))
    for one, other in zip(exact, near, strict=True):
        assert other.a.suffix == ".jpg"
        assert other.a.stat().st_size < one.a.stat().st_size
        for a, b in zip(read_pair(one), read_pair(other), strict=True):
            assert np.abs(a.astype(int) - b).mean() < 6


# ---- whole or not at all


def test_the_same_preparation_is_not_made_again(photos: Path) -> None:
    arguments = (photos, "--out", "pairs", "--size", "16", *SOME)
    assert document(*arguments)["state"] == "prepared"
    before = content(Path("pairs"))
    again = document(*arguments)
    assert again["state"] == "already there"
    assert "already there" in run(*arguments).stdout
    assert {key: again[key] for key in json.loads(before["prepared.json"])} == json.loads(before["prepared.json"])
    run(photos, "--out", "copy", "--size", "16", *SOME)
    assert {k: v for k, v in content(Path("copy")).items() if k != "prepared.json"} == {
        k: v for k, v in before.items() if k != "prepared.json"
    }
    assert "size [16, 16], now [17, 17]" in error_of(photos, "--out", "pairs", "--size", "17", *SOME, code=2)
    message = error_of(*arguments, "--condition", "edges", code=2)
    assert "holds another preparation (condition gray, now edges; sigma None, now 1.5)" in message
    noise(photos / "brick.png")
    assert "from other images" in error_of(*arguments, code=2)
    assert content(Path("pairs")) == before


def test_a_preparation_that_was_changed_is_said(photos: Path) -> None:
    arguments = (photos, "--out", "pairs", *SOME)
    run(*arguments)
    removed = next(Path("pairs").rglob("brick.png"))
    removed.unlink()
    message = error_of(*arguments, code=2)
    assert f"{removed.relative_to('pairs')} added or removed" in message


def test_a_folder_with_something_else_is_left_alone(photos: Path) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    assert "holds no preparation" in error_of(photos, "--out", "mine", code=2)
    for record in ("[]", "{}", '{"settings": 1, "content": ""}', "not JSON"):
        Path("mine/prepared.json").write_text(record)
        assert "holds no preparation" in error_of(photos, "--out", "mine", code=2)
    Path("empty").mkdir()
    run(photos, "--out", "empty", *SOME)
    assert Path("mine/thesis.txt").read_text() == "years of work"


def test_all_unreadable_images_are_named_and_nothing_is_written(photos: Path) -> None:
    (photos / "brick.png").write_bytes(b"no image")
    message = error_of(photos, "--out", "deep/pairs", *SOME, code=3)
    assert "brick.png cannot be read" in message
    Image.new("RGBA", (8, 8)).save(photos / "coffee.png")
    (photos / "dead.png").symlink_to("nowhere.png")
    result = run(photos, "--out", "pairs", *SOME, code=3)
    assert "3 of 8 images cannot be used; nothing was written" in result.stderr
    for name in ("brick.png", "coffee.png has transparency: say what lies behind it", "dead.png"):
        assert name in result.stderr
    assert not Path("pairs").exists()
    assert [path.name for path in Path.cwd().iterdir() if path.name.startswith(".")] == []


def test_pairs_of_different_sizes_are_named(tmp_path: Path) -> None:
    for split in ("train", "test"):
        noise(tmp_path / "a" / split / "x.png", 8, 8)
        noise(tmp_path / "b" / split / "x.png", 8, 10)
    with pytest.raises(DataError, match="2 of 2 images cannot be used") as caught:
        prepare_pairs("a", tmp_path / "out", build_recipe(combine=True), mates="b")
    assert str(caught.value).count("differ in size (8x8 and 10x8)") == 2


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_preparation_leaves_nothing(how: signal.Signals, tmp_path: Path) -> None:
    n_photos = 40
    for index in range(n_photos):
        noise(tmp_path / "photos" / f"{index}.png", 160, 160, seed=index)
    arguments = ["data", "prepare", "photos", "--out", "deep/pairs", "--condition", "edges"]
    with subprocess.Popen(
        [sys.executable, "-m", "p2pbench", *arguments], cwd=tmp_path, env=dict(os.environ),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        wait_for(lambda: len(list((tmp_path / "deep").rglob("*.png"))) >= 3)
        process.send_signal(how)
        _, messages = process.communicate(timeout=60)
    assert not (tmp_path / "deep" / "pairs").exists()
    assert "Traceback" not in messages
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert list((tmp_path / "deep").iterdir()) == []
    assert document(*arguments[2:])["state"] == "prepared"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["pairs"]
    assert len(list(Path("deep/pairs").rglob("*.png"))) == n_photos


def test_a_full_or_closed_disk_is_one_clear_line(photos: Path) -> None:
    Path("file").write_text("")
    assert "cannot be written" in error_of(photos, "--out", "file/pairs", *SOME, code=3)


# ---- mistakes on the command line


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--condition", "edge"), 2, "unknown condition 'edge'; did you mean 'edges'"),
        (("--condition", "gray", "--halves"), 2, "exclude each other"),
        (("--halves", "--with", "photos"), 2, "exclude each other"),
        (("--halves", "--radius", "3"), 2, "--radius belongs to --condition blur"),
        (("--sigma", "3"), 2, "--sigma belongs to --condition edges, not gray"),
        (("--condition", "blur", "--radius", "-1"), 2, "--radius is -1.0"),
        (("--size", "0"), 2, "--size is '0'"),
        (("--size", "256,256"), 2, "as in 256, or 256x512 (HxW)"),
        (("--fit", "crop"), 2, "give --size too"),
        (("--fit", "pad", "--size", "8"), 2, "unknown fit 'pad'"),
        (("--labels", "a"), 2, "--labels is for --with and --halves"),
        (("--halves", "--labels", "c"), 2, "unknown half for --labels 'c'"),
        (("--halves", "--labels", "b", "--format", "jpg"), 2, "use png"),
        (("--format", "jpeg"), 2, "unknown format 'jpeg'; did you mean 'jpg'"),
        (("--quality", "80"), 2, "only --format jpg has it"),
        (("--format", "jpg", "--quality", "0"), 2, "--quality is 0"),
        (("--split", "0.8,0.2"), 2, "as in 0.8,0.1,0.1"),
        (("--split", "1,0,0"), 2, "7 would be for training and 0 to test on"),
        (("--split", "0.8,0.1,0.1", "--split-file", "x.csv"), 2, "exclude each other"),
        (("--split-file", "x.csv"), 2, "x.csv cannot be read: No such file"),
        (("--with", "nowhere"), 3, "'nowhere' is no folder here"),
    ],
)
def test_mistakes_are_one_line_with_the_way_out(
    options: tuple[str, ...], code: int, message: str, photos: Path
) -> None:
    assert message in error_of("photos", "--out", "pairs", *options, code=code)
    assert not Path("pairs").exists()


def test_an_image_that_cannot_be_halved_is_named(tmp_path: Path) -> None:
    noise(tmp_path / "pairs" / "train" / "odd.png", 8, 9)
    noise(tmp_path / "pairs" / "test" / "even.png", 8, 8)
    message = error_of("pairs", "--out", "apart", "--halves", code=3)
    assert "odd.png is 9 pixels wide: a side-by-side pair has an even width" in message


def test_places_that_are_no_good_are_refused(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").write_text("")
    assert "lies in the source" in error_of("photos", "--out", "photos/pairs", code=2)
    assert "lies in the source" in error_of("photos", "--out", "photos", code=2)
    assert "is a file" in error_of("photos", "--out", "file", code=2)
    assert "is no folder here" in error_of("file", "--out", "pairs", code=3)
    Path("here").mkdir()
    assert "holds no images" in error_of("here", "--out", "pairs", code=3)
    monkeypatch.chdir("here")
    assert "the folder you are in" in error_of(photos, "--out", ".", code=2)


def test_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    noise(tmp_path / "photos" / "a" / "x.png")
    noise(tmp_path / "photos" / "a-x.bmp")
    message = error_of("photos", "--out", "pairs", code=3)
    assert "a-x.bmp and photos/a/x.png would both become 'a-x'" in message
    (tmp_path / "photos" / "a-x.bmp").unlink()
    noise(tmp_path / "photos" / "a" / "X.bmp")
    assert "would both become" in error_of("photos", "--out", "pairs", code=3)


# ---- the real data


@pytest.mark.shared
def test_the_real_facades_come_back_from_their_halves(shared: Path, tmp_path: Path) -> None:
    for split in SPLITS:
        (tmp_path / "few" / split).mkdir(parents=True)
        for path in sorted((shared / "data" / "facades" / split).iterdir())[:5]:
            shutil.copy(path, tmp_path / "few" / split)
    run("few", "--out", "apart", "--halves", "--labels", "b")
    run("apart/A", "--with", "apart/B", "--out", "together", "--labels", "b")
    for path in (tmp_path / "few").rglob("*.jpg"):
        again = Path("together") / path.relative_to(tmp_path / "few").with_suffix(".png")
        assert np.array_equal(read_image(again), read_image(path))


def test_photos_of_16_bits_of_numbers_and_with_transparency_are_read_as_training_reads_them(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    deep = random.integers(0, 65536, (8, 12), dtype=np.uint16)
    for split in ("train", "test"):
        Path("deep", split).mkdir(parents=True)
        Image.fromarray(deep).save(Path("deep", split, "x.png"))
    run("deep", "--out", "pairs")
    condition, photo = read(Path("pairs/train/x.png")).halves()
    assert np.array_equal(photo.pixels, np.repeat(deep[..., None], 3, axis=2))
    assert np.array_equal(condition.pixels, photo.pixels)  # grey of a grey photo
    assert "use --format png, or tif" in run("deep", "--out", "jpg", "--format", "jpg", code=3).stderr

    floats = random.uniform(0, 5, (8, 12)).astype(np.float32)
    clear = np.dstack([random.integers(0, 256, (8, 12, 3)), np.tile([0, 255], (8, 6))]).astype(np.uint8)
    for split in ("train", "test"):
        Path("floats", split).mkdir(parents=True)
        np.save(Path("floats", split, "x.npy"), floats)
        Path("clear", split).mkdir(parents=True)
        Image.fromarray(clear).save(Path("clear", split, "x.png"))
    result = run("floats", "--out", "numbers", code=3)
    assert "x.npy holds float32 values: say with data.range" in result.stderr
    record = document("floats", "--out", "numbers", "--set", "data.range=[0, 4]")
    assert record["settings"]["ranges"] == [[0, 4], [0, 4]]
    _, photo = read(Path("numbers/train/x.png")).halves()
    assert np.array_equal(photo.pixels[..., 0], scaled(floats, (0, 4)))
    assert "now" in error_of("floats", "--out", "numbers", "--set", "data.range=[0, 5]", code=2)

    assert "data.background=white" in run("clear", "--out", "white", code=3).stderr
    run("clear", "--out", "white", "--set", "data.background=white")
    _, photo = read(Path("white/train/x.png")).halves()
    assert (photo.pixels[:, ::2] == 255).all()
    assert np.array_equal(photo.pixels[:, 1::2], clear[:, 1::2, :3])
    message = error_of("clear", "--out", "four", "--set", "data.channels=[4, 4]", code=2)
    assert "--format tif keeps" in message


def test_tiff_keeps_transparency_as_what_it_is(tmp_path: Path) -> None:
    clear = np.random.default_rng(0).integers(0, 256, (8, 12, 4), dtype=np.uint8)
    for side in "ab":
        for split in ("train", "test"):
            Path(side, split).mkdir(parents=True)
            Image.fromarray(clear).save(Path(side, split, "x.png"))
    run("a", "--with", "b", "--out", "pairs", "--format", "tif")
    (pair,) = find_pairs(Path("pairs"))["train"]
    found = read(pair.files[0])
    assert found.alpha
    assert np.array_equal(found.pixels, clear)
    assert np.array_equal(found.opaque("white"), read(Path("a/train/x.png")).opaque("white"))
