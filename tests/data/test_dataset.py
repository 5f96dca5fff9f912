"""A data set's key is never an old one; files that did not change are not read again."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from p2pbench.config.schema import DataConfig
from p2pbench.data import dataset
from p2pbench.data.cache import decoded, training_pairs
from p2pbench.data.dataset import content_key, open_dataset, steps_per_epoch, trained_on
from p2pbench.data.image_files import ORIENTATION
from p2pbench.data.pairs import find_pairs
from p2pbench.errors import ConfigError
from p2pbench.system.cache_dir import home
from p2pbench.system.files import sha256_of


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read, as it happens."""
    names: list[str] = []

    def read(path: Path) -> str:
        names.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr(dataset, "sha256_of", read)
    return names


def key(root: Path) -> str:
    return content_key(root, find_pairs(root))


def test_files_are_read_once_and_again_only_where_they_changed(
    pairs_folder: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "RACY_NS", -(10**12))
    first = key(pairs_folder)
    assert len(hashed) == 9
    assert key(pairs_folder) == first
    assert len(hashed) == 9
    monkeypatch.chdir(pairs_folder.parent)
    assert key(Path("pairs")) == first  # the same folder by another name
    assert len(hashed) == 9
    (pairs_folder / "train" / "002.png").write_bytes((pairs_folder / "train" / "003.png").read_bytes())
    assert key(pairs_folder) != first
    assert hashed[9:] == ["002.png"]


def test_a_data_set_is_opened_again_in_a_process_without_its_memory_and_changes_are_still_noticed(
    pairs_folder: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a worker does, which works a run's id out again before it trains."""
    monkeypatch.setattr(dataset, "RACY_NS", -(10**12))
    config = DataConfig(source=str(pairs_folder))
    first = open_dataset(config).key
    shutil.rmtree(home() / "hashes")
    assert open_dataset(config.model_copy(update={"direction": "BtoA"})).key == first
    assert len(hashed) == 9
    (pairs_folder / "train" / "002.png").write_bytes((pairs_folder / "train" / "003.png").read_bytes())
    changed = open_dataset(config).key
    (pairs_folder / "train" / "005.png").unlink()
    assert len({first, changed, open_dataset(config).key}) == 3


def test_a_change_that_keeps_size_and_time_is_seen(
    pairs_folder: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "RACY_NS", -(10**12))
    file = pairs_folder / "train" / "002.png"
    first, stat = key(pairs_folder), file.stat()
    changed = bytearray(file.read_bytes())
    changed[-20] ^= 1
    file.write_bytes(changed)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert key(pairs_folder) != first


def test_files_that_may_still_change_under_their_time_stamp_are_not_remembered(
    pairs_folder: Path, hashed: list[str]
) -> None:
    for _ in range(2):
        key(pairs_folder)
    assert len(hashed) == 18


def test_a_damaged_memory_is_no_harm(pairs_folder: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "RACY_NS", -(10**12))
    first = key(pairs_folder)
    (memory,) = (home() / "hashes").iterdir()
    for damaged in ("", "[]", '{"/train/000.png": 3, "/train/001.png": [1, 2]}'):
        memory.write_text(damaged)
        dataset._known.clear()  # as another process would begin
        assert key(pairs_folder) == first
    assert len(hashed) == 4 * 9


def test_removed_files_are_forgotten(pairs_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "RACY_NS", -(10**12))
    key(pairs_folder)
    (memory,) = (home() / "hashes").iterdir()
    assert "005.png" in memory.read_text()
    (pairs_folder / "train" / "005.png").unlink()
    key(pairs_folder)
    assert "005.png" not in memory.read_text()


def test_smaller_training_sets_are_part_of_larger_ones_whatever_the_names(pairs_folder: Path) -> None:
    def chosen(size: int | None, source: Path = pairs_folder) -> set[int]:
        return set(trained_on(open_dataset(DataConfig(source=str(source), train_size=size))))

    sets = [chosen(size) for size in (1, 2, 4, 6)]
    assert [len(one) for one in sets] == [1, 2, 4, 6]
    assert all(smaller < larger for smaller, larger in itertools.pairwise(sets))
    assert sets[-1] == chosen(None) == set(range(6))
    renamed = shutil.copytree(pairs_folder, pairs_folder.with_name("renamed"))
    for path in (renamed / "train").iterdir():
        path.rename(path.with_name(f"x{path.name}"))
    assert chosen(2, renamed) == sets[1]
    with pytest.raises(ConfigError, match=r"data\.train_size is 7, but .* has 6 training pairs; use at most as many"):
        chosen(7)


def test_no_more_than_the_chosen_pairs_are_trained_on(pairs_folder: Path) -> None:
    some, every = (open_dataset(DataConfig(source=str(pairs_folder), train_size=n, crop_size=16)) for n in (2, None))
    assert np.array_equal(training_pairs(some), decoded(every, "train")[trained_on(some)])
    assert steps_per_epoch(some, 1) == 2


def test_the_orientation_of_side_by_side_files_is_part_of_what_they_are(pairs_folder: Path, tmp_path: Path) -> None:
    """Version 0.1 turned such a file before it split it. Of all other files the key is that of their bytes."""

    def of_bytes(root: Path) -> str:
        digest = hashlib.sha256()
        for split, found in sorted(find_pairs(root).items()):
            digest.update(f"{split}:".encode())
            for pair in found:
                digest.update("+".join(map(sha256_of, pair.files)).encode() + b";")
        return digest.hexdigest()

    assert key(pairs_folder) == of_bytes(pairs_folder)
    first = pairs_folder / "train" / "000.png"
    with Image.open(first) as image:
        plain = image.copy()
    for orientation, changes in ((1, False), (6, True), (2, True)):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        plain.save(first, exif=exif)
        assert (key(pairs_folder) != of_bytes(pairs_folder)) == changes
        for side in ("A", "B"):
            for split in ("train", "test"):
                (apart := tmp_path / "apart" / split / side).mkdir(parents=True, exist_ok=True)
                shutil.copy(first, apart / "x.png")
        assert key(tmp_path / "apart") == of_bytes(tmp_path / "apart")
    first.unlink()
    plain.convert("RGB").save(first.with_suffix(".jpg"), exif=exif)
    assert key(pairs_folder) != of_bytes(pairs_folder)
    assert key(pairs_folder) == key(pairs_folder)
