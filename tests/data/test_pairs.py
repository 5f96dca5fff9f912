"""Pairs: found, refused, decoded once, cropped and mirrored together, in an order that depends on nothing else."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from reading import read_image, read_pair

from p2pbench.config.resolve import Layer, resolve
from p2pbench.config.schema import RunConfig
from p2pbench.data import pairs, photos
from p2pbench.data.batches import Batches, crop, plan_epoch
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import open_dataset, steps_per_epoch
from p2pbench.data.images import resize
from p2pbench.data.transforms import to_integers, to_network
from p2pbench.errors import ConfigError, DataError, StorageError
from p2pbench.system.cache_dir import home

Tiny = Callable[..., RunConfig]


def of_folder(folder: Path, **settings: object) -> RunConfig:
    values = {"data.source": str(folder), "data.load_size": 20, "data.crop_size": 16, "discriminator.name": "patch16"}
    return resolve([Layer("t", {**values, **{k.replace("__", "."): v for k, v in settings.items()}})]).config


# ---- the built-in photographs


def test_photos_are_the_same_everywhere() -> None:
    """A golden hash of every pixel: decoding, grey, windows. It changes only with RECIPE."""
    digest = hashlib.sha256()
    for split in ("train", "val", "test"):
        for a, b in photos.photos_pairs(split, "gray"):
            digest.update(a.tobytes() + b.tobytes())
    assert photos.RECIPE == "photos-1"
    assert digest.hexdigest() == "33fab641bb4edfcec5eb099e202432293a1f32c0a9486fca22976572378bb4f4"


def test_photos_splits_share_no_pixel() -> None:
    for name in photos.PHOTOGRAPHS:
        columns = {
            split: {x for _, left in photos._windows(name, split) for x in range(left, left + photos.WINDOW)}
            for split in ("train", "val", "test")
        }
        assert not columns["train"] & columns["val"]
        assert not columns["train"] & columns["test"]
        assert not columns["val"] & columns["test"]


@pytest.mark.parametrize("condition", ["gray", "edges"])
def test_photos_are_photographs_and_their_conditions(condition: str) -> None:
    names = photos.photos_names()
    assert len(names["train"]) == 400
    assert len(names["test"]) == len(set(names["test"])) >= 30
    found = list(photos.photos_pairs("test", condition))
    assert len(found) == len(names["test"])
    for a, b in found:
        assert a.shape == b.shape == (128, 128, 3)
        assert (a[..., 0] == a[..., 1]).all()
        assert (a[..., 0] == a[..., 2]).all()
        if condition == "edges":
            assert set(np.unique(a)) <= {0, 255}
        else:
            luma = b @ np.array([0.299, 0.587, 0.114])
            assert np.abs(a[..., 0] - luma).max() <= 1.0
    assert photos.photos_key("gray") != photos.photos_key("edges")


def test_photos_sizes_are_those_of_the_files() -> None:
    for name, photograph in photos.PHOTOGRAPHS.items():
        assert photos._photograph(name).shape[:2] == tuple(photograph["shape"])


# ---- folders


def test_side_by_side_pairs_and_two_folders_are_the_same_data(pairs_folder: Path, tmp_path: Path) -> None:
    layouts = {"split first": tmp_path / "split", "side first": tmp_path / "side"}
    for split, found in pairs.find_pairs(pairs_folder).items():
        for pair in found:
            for side, image in zip("AB", read_pair(pair), strict=True):
                for layout, root in layouts.items():
                    folder = root / split / side if layout == "split first" else root / side / split
                    folder.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(image).save(folder / f"{pair.name}.png")
    wanted = decoded(open_dataset(of_folder(pairs_folder).data), "train")
    for root in layouts.values():
        assert np.array_equal(decoded(open_dataset(of_folder(root).data), "train"), wanted)


def test_direction_decides_which_half_is_the_condition(pairs_folder: Path) -> None:
    forth = decoded(open_dataset(of_folder(pairs_folder).data), "train")
    back = decoded(open_dataset(of_folder(pairs_folder, data__direction="BtoA").data), "train")
    assert np.array_equal(forth[..., :3], back[..., 3:])
    assert np.array_equal(forth[..., 3:], back[..., :3])
    a, _ = read_pair(pairs.find_pairs(pairs_folder)["train"][0])
    assert np.array_equal(forth[0, ..., :3], a)


def test_the_key_is_the_content_not_the_place_nor_the_names(pairs_folder: Path, tmp_path: Path) -> None:
    key = open_dataset(of_folder(pairs_folder).data).key
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(pairs_folder, elsewhere)
    for path in sorted((elsewhere / "train").iterdir()):
        path.rename(path.with_name("x" + path.name))
    assert open_dataset(of_folder(elsewhere).data).key == key
    first = sorted((elsewhere / "train").iterdir())[0]
    Image.fromarray(np.zeros((20, 40, 3), np.uint8)).save(first)
    assert open_dataset(of_folder(elsewhere).data).key != key


def test_a_set_without_test_pairs_is_tested_on_val(pairs_folder: Path) -> None:
    (pairs_folder / "test").rename(pairs_folder / "val")
    assert set(pairs.find_pairs(pairs_folder)) == {"train", "test"}


def test_faults_of_a_folder_are_named(pairs_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data source 'nowhere' is neither"):
        open_dataset(of_folder(Path("nowhere")).data)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no training pairs"):
        open_dataset(of_folder(tmp_path / "empty").data)
    with pytest.raises(DataError, match=f"this looks like one split: name the folder above it, {pairs_folder}$"):
        open_dataset(of_folder(pairs_folder / "train").data)
    shutil.rmtree(pairs_folder / "test")
    with pytest.raises(DataError, match="no test pairs"):
        open_dataset(of_folder(pairs_folder).data)


def test_a_missing_mate_is_named(tmp_path: Path) -> None:
    for side, names in (("A", ("1", "2")), ("B", ("1",))):
        folder = tmp_path / "train" / side
        folder.mkdir(parents=True)
        for name in names:
            Image.new("RGB", (8, 8)).save(folder / f"{name}.png")
    with pytest.raises(DataError, match=r"A/2\.png has no mate"):
        pairs.find_pairs(tmp_path)


def test_a_and_b_of_different_sizes_are_named(tmp_path: Path) -> None:
    for side, width in (("A", 8), ("B", 10)):
        for split in ("train", "test"):
            folder = tmp_path / split / side
            folder.mkdir(parents=True)
            Image.new("RGB", (width, 8)).save(folder / "1.png")
    with pytest.raises(DataError, match=r"A/1\.png and .*B/1\.png differ in size \(8x8 and 10x8\)"):
        decoded(open_dataset(of_folder(tmp_path).data), "train")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("RGBA", (16, 8)), "say what lies behind it"),
        (Image.new("CMYK", (16, 8)), "is CMYK"),
        (Image.new("RGB", (15, 8)), "even width"),
    ],
)
def test_images_that_would_be_converted_silently_are_refused(image: Image.Image, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    image.save(path)
    with pytest.raises(DataError, match=message):
        read_pair(pairs.Pair("x", path, None))


def test_images_of_one_name_and_dead_links_are_named(pairs_folder: Path) -> None:
    Image.new("RGB", (40, 20)).save(pairs_folder / "train" / "003.jpg")
    with pytest.raises(DataError, match=r"003\.jpg and 003\.png have the same name"):
        pairs.find_pairs(pairs_folder)
    (pairs_folder / "train" / "003.jpg").unlink()
    (pairs_folder / "train" / "dead.png").symlink_to("nowhere.png")
    with pytest.raises(DataError, match=r"dead\.png .* leads nowhere"):
        pairs.find_pairs(pairs_folder)


@given(cut=st.floats(0.0, 0.95))
def test_a_truncated_image_is_named_wherever_it_is_cut(cut: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("cut") / "x.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 32, 3), dtype=np.uint8)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(cut * len(content))])
    with pytest.raises(DataError, match=r"x\.png cannot be read"):
        read_image(path)


# ---- decode once


def test_nothing_is_cached_of_a_set_with_a_corrupt_image(pairs_folder: Path) -> None:
    (pairs_folder / "train" / "003.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"003\.png"):
        decoded(open_dataset(of_folder(pairs_folder).data), "train")
    assert [path for path in (home() / "decoded").iterdir() if path.suffix != ".lock"] == []


def test_pairs_are_decoded_once(pairs_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = open_dataset(of_folder(pairs_folder).data)
    seen: list[tuple[int, int]] = []
    first = decoded(dataset, "train", lambda done, total: seen.append((done, total)))
    assert first.shape == (6, 20, 20, 6)
    assert seen == [(n, 6) for n in range(1, 7)]
    monkeypatch.setattr(pairs, "read_wanted", lambda *_: pytest.fail("decoded again"))
    assert np.array_equal(decoded(dataset, "train"), first)


def test_a_damaged_cache_is_made_again(pairs_folder: Path) -> None:
    dataset = open_dataset(of_folder(pairs_folder).data)
    first = np.array(decoded(dataset, "train"))
    (path,) = (home() / "decoded").glob("*.npy")
    for content in (b"", path.read_bytes()[:100], b"x" * 500):
        path.write_bytes(content)
        assert np.array_equal(decoded(dataset, "train"), first)


def test_a_cache_that_cannot_be_written_is_one_clear_error(pairs_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = pairs_folder / "a file"
    blocked.write_text("")
    monkeypatch.setenv("P2PBENCH_HOME", str(blocked))
    with pytest.raises(StorageError, match="P2PBENCH_HOME"):
        decoded(open_dataset(of_folder(pairs_folder).data), "train")


# ---- conversions


@given(hnp.arrays(np.uint8, hnp.array_shapes(max_dims=4)))
def test_uint8_survives_the_network_range(image: np.ndarray) -> None:
    tensor = torch.from_numpy(image)
    network = to_network(tensor)
    assert network.dtype == torch.float32
    assert float(network.min()) >= -1.0
    assert float(network.max()) <= 1.0
    assert torch.equal(to_integers(network), tensor)


def test_the_ends_of_the_range() -> None:
    assert to_network(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]
    assert to_integers(torch.tensor([-9.0, -1.0, 0.0, 1.0, 9.0])).tolist() == [0, 0, 128, 255, 255]


def test_resizing_is_pillows() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    for name, its_filter in (("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)):
        assert np.array_equal(
            resize(image, (8, 16), name), np.asarray(Image.fromarray(image).resize((16, 8), its_filter))
        )


# ---- order and jitter


def test_an_epoch_depends_on_seed_and_epoch_alone() -> None:
    first = plan_epoch(10, seed=1, epoch=2, margin=(30, 30), mirror=True)
    np.random.default_rng().random(100)
    again = plan_epoch(10, seed=1, epoch=2, margin=(30, 30), mirror=True)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    for seed, epoch in ((2, 2), (1, 3), (2, 1)):
        plan = plan_epoch(10, seed=seed, epoch=epoch, margin=(30, 30), mirror=True)
        assert not np.array_equal(plan.top, first.top)
    golden = plan_epoch(5, seed=0, epoch=0, margin=(30, 30), mirror=True)
    assert [column.tolist() for column in golden] == [
        [4, 1, 2, 0, 3], [11, 3, 5, 17, 16], [15, 28, 8, 23, 29], [0, 1, 1, 0, 0],
    ]  # fmt: skip


@given(n=st.integers(1, 50), seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 10**6), margin=st.integers(0, 40))
def test_an_epoch_sees_every_pair_once_within_the_margin(n: int, seed: int, epoch: int, margin: int) -> None:
    plan = plan_epoch(n, seed=seed, epoch=epoch, margin=(margin, 7), mirror=True)
    assert sorted(plan.pair) == list(range(n))
    assert plan.top.min() >= 0
    assert plan.top.max() <= margin
    assert plan.left.max() <= 7
    assert set(plan.mirror) <= {0, 1}
    assert not plan_epoch(n, seed=seed, epoch=epoch, margin=(margin, 7), mirror=False).mirror.any()


@given(top=st.integers(0, 4), left=st.integers(0, 4), mirror=st.booleans())
def test_cropping_by_index_is_slicing_and_flipping_both_images_alike(top: int, left: int, mirror: bool) -> None:
    images = torch.arange(2 * 12 * 12 * 6).reshape(2, 12, 12, 6)
    one = torch.tensor([1]), torch.tensor([top]), torch.tensor([left]), torch.tensor([int(mirror)])
    found = crop(images, *one, torch.arange(8), torch.arange(6))
    wanted = images[1, top : top + 8, left : left + 6]
    wanted = wanted.flip(1) if mirror else wanted
    assert torch.equal(found[0].permute(1, 2, 0), wanted)


def test_batches_go_through_each_epoch_in_its_order(tiny: Tiny) -> None:
    config = tiny(data__load_size=16, data__mirror=False, training__batch_size=2)
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 16, 16, 6), np.uint8)
    batches = Batches(images, config, torch.device("cpu"))
    assert batches.steps_per_epoch == 2  # the fifth pair waits for another epoch
    for step in (0, 1, 2, 3, 1):  # also back again: a step's batch depends on its number alone
        condition, target = batches[step]
        assert condition.shape == target.shape == (2, 3, 16, 16)
        seen = to_integers(condition)[:, 0, 0, 0].tolist()
        plan = plan_epoch(5, seed=0, epoch=step // 2, margin=(0, 0), mirror=False)
        assert seen == plan.pair[step % 2 * 2 : step % 2 * 2 + 2].tolist()


def test_a_batch_larger_than_the_set_is_refused(pairs_folder: Path) -> None:
    dataset = open_dataset(of_folder(pairs_folder).data)
    assert steps_per_epoch(dataset, 4) == 1
    with pytest.raises(ConfigError, match=r"batch_size is 9, but there are only 6"):
        steps_per_epoch(dataset, 9)
