"""Each pair is decoded into its place; whatever ends a build, nothing of it is left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from p2pbench.config.schema import DataConfig
from p2pbench.data import cache, decoding
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import open_dataset, readers
from p2pbench.data.decoding import side_by_side
from p2pbench.errors import DataError


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """On any machine."""
    monkeypatch.setattr(decoding, "available_cores", lambda: 2)


def small(source: object) -> DataConfig:
    return DataConfig(source=str(source), load_size=18, crop_size=16)


def left() -> list[str]:
    return [path.name for path in cache.folder().iterdir() if path.suffix != ".lock"]


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_each_pair_is_written_in_its_place(direction: str, pairs_folder: Path) -> None:
    dataset = open_dataset(small(pairs_folder).model_copy(update={"direction": direction}))
    found = decoded(dataset, "train")
    for index, file in enumerate(sorted((pairs_folder / "train").iterdir())):
        with Image.open(file) as image:
            halves = [image.crop((x, 0, x + 20, 20)).resize((18, 18), Image.Resampling.BILINEAR) for x in (0, 20)]
        a, b = (np.asarray(half) for half in halves)
        assert np.array_equal(found[index], np.concatenate([a, b] if direction == "AtoB" else [b, a], axis=2))


@pytest.mark.parametrize("source", ["drawn:9", "photos"])
def test_built_ins_are_decoded_in_their_order(source: str) -> None:
    dataset = open_dataset(DataConfig(source=source, load_size=128, crop_size=128, jitter=False))
    seen: list[tuple[int, int]] = []
    found = decoded(dataset, "test", lambda *done: seen.append(done))
    for pair, reader in zip(found, readers(dataset, "test"), strict=True):
        images = reader()
        if images[0].shape == (128, 128, 3):
            assert np.array_equal(pair, np.concatenate(images, axis=2))
    assert seen == [(done, len(found)) for done in range(1, len(found) + 1)]


def test_a_corrupt_image_is_named_and_nothing_left(pairs_folder: Path) -> None:
    for name in ("002.png", "004.png"):
        (pairs_folder / "train" / name).write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"002\.png cannot be read"):
        decoded(open_dataset(small(pairs_folder)), "train")
    assert left() == []


def test_an_image_that_changes_meanwhile_is_noticed(pairs_folder: Path) -> None:
    def change(done: int, total: int) -> None:
        if done == total:
            Image.new("RGB", (40, 20)).save(pairs_folder / "train" / "005.png")

    with pytest.raises(DataError, match="changed while its pairs were decoded"):
        decoded(open_dataset(small(pairs_folder)), "train", change)
    assert left() == []


def test_an_interrupted_build_leaves_no_file(pairs_folder: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decoded(open_dataset(small(pairs_folder)), "train", interrupt)
    assert left() == []


@given(
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    kind=st.sampled_from([np.uint8, np.uint16]),
)
def test_side_by_side_is_concatenation(
    height: int, width: int, channels: tuple[int, int], kind: type[np.generic]
) -> None:
    random = np.random.default_rng(0)
    a, b = (random.integers(0, 255, (height, 2 * width, c)).astype(kind)[:, width:] for c in channels)
    found = side_by_side(a, b)
    assert found.dtype == kind
    assert np.array_equal(found, np.concatenate([a, b], axis=2))
