"""What a file holds becomes what is wanted of it: halves that are turned, channels that are data, channels first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from reading import read_pair

from p2pbench.data.image_files import ORIENTATION, read
from p2pbench.data.image_writing import write_like
from p2pbench.data.images import NeedsBackground, Stored, Wanted, as_wanted
from p2pbench.data.pairs import Pair, read_wanted
from p2pbench.errors import UnsupportedImage

A, B = (np.full((16, 16, 3), colour, np.uint8) for colour in ((200, 30, 30), (30, 30, 200)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_side_by_side_file_is_split_as_it_lies_and_its_halves_are_turned(orientation: int, tmp_path: Path) -> None:
    """Turned first, orientation 6 puts half of the target into the condition."""
    a, b = A.copy(), B.copy()
    a[:4, :2] = b[:4, :2] = 255  # a mark, to see that both are turned alike
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    for name, saved in (("both", np.hstack([a, b])), ("a", a), ("b", b)):
        Image.fromarray(saved).save(tmp_path / f"{name}.png", exif=exif)
    condition, target = read_pair(Pair("x", tmp_path / "both.png", None))
    alone = read_pair(Pair("x", tmp_path / "a.png", tmp_path / "b.png"))
    assert np.array_equal(condition, alone[0])
    assert np.array_equal(target, alone[1])
    assert set(map(tuple, condition.reshape(-1, 3).tolist())) == {(200, 30, 30), (255, 255, 255)}


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", ["png", "tif", "npy"])
def test_a_fourth_channel_is_data_in_and_out_where_it_is_asked_for(suffix: str, depth: type, tmp_path: Path) -> None:
    import imagecodecs
    import tifffile

    scale = np.iinfo(depth).max // 255
    four = np.dstack([A.astype(depth), np.full((16, 16), 90, depth)]) * depth(scale)
    path = tmp_path / f"x.{suffix}"
    if suffix == "png":
        path.write_bytes(imagecodecs.png_encode(four))
    elif suffix == "tif":
        tifffile.imwrite(path, four, photometric="rgb", extrasamples=["unassalpha"])
    else:
        np.save(path, four)
    wanted = Wanted(4)
    found, _ = read_wanted(Pair("x", path, path), (wanted, wanted))
    assert np.array_equal(found, four)
    back = as_wanted(read(write_like(path, found, tmp_path / "out", None)), wanted)
    assert np.array_equal(back, four)
    assert back.dtype == depth
    says = "has 4 channels" if suffix == "npy" else r"data\.background=white; or, .* data\.channels=\[4, 4\]"
    with pytest.raises(UnsupportedImage, match=says):
        as_wanted(read(path), Wanted(3))


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_transparency_is_composited_in_the_bits_of_the_file(depth: type) -> None:
    white = int(np.iinfo(depth).max)
    pixels: np.ndarray = np.array([[[white, 0, 0, white], [white, 0, 0, 0], [white, 0, 0, white // 2]]], depth)
    stored = Stored(Path("x"), pixels, alpha=True)
    assert stored.opaque("white")[0].tolist()[:2] == [[white, 0, 0], [white, white, white]]
    assert stored.opaque("white")[0, 2].tolist() == pytest.approx([white, white / 2, white / 2], abs=1)
    with pytest.raises(NeedsBackground):
        stored.opaque(None)


@given(channels=st.integers(1, 4), rows=st.integers(5, 40), columns=st.integers(5, 40))
def test_an_array_of_few_rows_is_channels_first(channels: int, rows: int, columns: int) -> None:
    from io import BytesIO

    array = np.arange(channels * rows * columns, dtype=np.uint16).reshape(channels, rows, columns)
    np.save(stream := BytesIO(), array)
    assert np.array_equal(read(Path("x"), stream.getvalue()).pixels, np.moveaxis(array, 0, -1))


def test_an_array_that_may_be_channels_first_is_refused_unless_its_last_axis_is_asked_for() -> None:
    stored = Stored(Path("x.npy"), np.zeros((13, 64, 64), np.uint8))
    for wanted in (3, 13):
        with pytest.raises(UnsupportedImage, match=r"shape \(13, 64, 64\): channels first\?.*moveaxis"):
            as_wanted(stored, Wanted(wanted))
    assert as_wanted(stored, Wanted(64)).shape == (13, 64, 64)
    assert as_wanted(Stored(Path("x.npy"), np.zeros((64, 64, 13), np.uint8)), Wanted(13)).shape == (64, 64, 13)
