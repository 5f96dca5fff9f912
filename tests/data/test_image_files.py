"""Image files as they are: every kind read whole, turned, composited, scaled by a stated rule, and written back."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import png
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from reading import read_array, read_image

from p2pbench.data.image_files import ORIENTATION, preview
from p2pbench.data.image_writing import write_like
from p2pbench.data.images import Stored, Wanted, as_rgb8, as_scored, as_wanted, scaled
from p2pbench.errors import DataError, UnsupportedImage

RANDOM = np.random.default_rng(0)
EIGHT = RANDOM.integers(0, 256, (6, 5, 3), dtype=np.uint8)
DEEP = RANDOM.integers(0, 65536, (6, 5, 3), dtype=np.uint16)


def save_png16(path: Path, image: np.ndarray) -> None:
    height, width, planes = image.shape
    writer = png.Writer(width, height, bitdepth=16, greyscale=planes == 1, alpha=planes == 4)
    with path.open("wb") as stream:
        writer.write(stream, image.reshape(height, -1).tolist())


def written(folder: Path, kind: str) -> tuple[Path, np.ndarray]:
    """A file of a kind, and what it holds."""
    path = folder / f"x.{kind.split(maxsplit=1)[0]}"
    grey8, grey16 = EIGHT[..., :1], DEEP[..., :1]
    if kind == "npy float":
        array = RANDOM.normal(size=(6, 5, 4)).astype(np.float32)
        np.save(path, array)
        return path, array
    if kind == "npy flat":
        np.save(path, DEEP[..., 0])
        return path, grey16
    many = RANDOM.integers(0, 65536, (6, 5, 7), dtype=np.uint16)
    every: dict[str, np.ndarray] = {"8 grey": grey8, "8 RGB": EIGHT, "16 grey": grey16, "16 RGB": DEEP, "16 many": many}
    held = every[" ".join(kind.split()[1:])]
    if path.suffix == ".tif":
        colour = "rgb" if held.shape[2] == 3 else "minisblack"
        plane, planar = (held, "contig") if held.shape[2] > 1 else (held[..., 0], None)
        tifffile.imwrite(path, plane, photometric=colour, planarconfig=planar)
    elif held.dtype == np.uint16:
        save_png16(path, held)
    else:
        Image.fromarray(held if held.shape[2] == 3 else held[..., 0]).save(path)
    return path, held


KINDS = ["png 8 grey", "png 8 RGB", "png 16 grey", "png 16 RGB", "bmp 8 RGB", "tif 8 grey", "tif 8 RGB", "tif 16 grey",
         "tif 16 RGB", "tif 16 many", "npy float", "npy flat"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_whole_in_its_own_type(kind: str, tmp_path: Path) -> None:
    path, held = written(tmp_path, kind)
    found = read_array(path, None)
    assert found.dtype == held.dtype
    assert np.array_equal(found, held)
    picture = preview(path)
    assert picture.shape == (6, 5, 3)
    assert picture.dtype == np.uint8


def test_planar_tiff_has_its_channels_last(tmp_path: Path) -> None:
    held = RANDOM.integers(0, 65536, (7, 6, 5), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", held, photometric="minisblack", planarconfig="separate")
    assert np.array_equal(read_array(tmp_path / "x.tif", None), np.moveaxis(held, 0, -1))


def test_black_and_white_and_palettes_are_looked_up(tmp_path: Path) -> None:
    bits = Image.fromarray(EIGHT[..., 0] > 127)
    bits.save(tmp_path / "bits.png")
    assert np.array_equal(read_array(tmp_path / "bits.png", None)[..., 0], np.asarray(bits) * np.uint8(255))
    palette = Image.fromarray(EIGHT).quantize(8)
    palette.save(tmp_path / "palette.png")
    assert np.array_equal(read_image(tmp_path / "palette.png"), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_stand_as_the_camera_was_held(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(EIGHT).save(tmp_path / "x.png", exif=exif)
    with Image.open(tmp_path / "x.png") as image:
        assert np.array_equal(read_image(tmp_path / "x.png"), np.asarray(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize("kind", ["tif 8 RGB", "tif 16 RGB", "png 16 RGB", "png 8 RGB"])
def test_every_format_is_turned_once(kind: str, tmp_path: Path) -> None:
    path, held = written(tmp_path, kind)
    if kind.startswith("tif"):
        tifffile.imwrite(path, held, photometric="rgb", extratags=[(ORIENTATION, "H", 1, 6, True)])
    else:
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        chunk = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
        data = path.read_bytes()
        part = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        path.write_bytes(data[:33] + part + data[33:])  # after the header
    assert np.array_equal(read_array(path, None), np.rot90(held, -1))


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.zeros((5, 6, 7), np.uint8), {"photometric": "minisblack", "metadata": None}, "5 pages"),
        (np.zeros((6, 7), np.int8), {}, None),
        (np.zeros((6, 7, 2), np.uint8), {"photometric": "minisblack", "planarconfig": "contig"}, None),
        (np.zeros((6, 7, 5), np.uint8), {"photometric": "minisblack", "planarconfig": "contig"}, None),
    ],
)
def test_tiff_loses_no_page_channel_or_sign(
    array: np.ndarray, options: dict[str, Any], message: str | None, tmp_path: Path
) -> None:
    array = array + np.arange(array.shape[-1], dtype=array.dtype) - (100 if array.dtype == np.int8 else 0)
    tifffile.imwrite(tmp_path / "x.tif", array, **options)
    if message is not None:
        with pytest.raises(UnsupportedImage, match=message):
            read_array(tmp_path / "x.tif", None)
        return
    found = read_array(tmp_path / "x.tif", None)
    assert found.dtype == array.dtype
    assert np.array_equal(found, array if array.ndim == 3 else array[..., None])


# ---- transparency


def test_transparency_lies_on_the_stated_colour(tmp_path: Path) -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0] = [(200, 100, 0, 255), (200, 100, 0, 0), (200, 100, 0, 128)]
    Image.fromarray(rgba).save(tmp_path / "x.png")
    with pytest.raises(UnsupportedImage, match=r"x\.png has transparency.*data\.background=white"):
        read_array(tmp_path / "x.png", None)
    on_white = read_array(tmp_path / "x.png", "white")[0].tolist()
    assert on_white[:2] == [[200, 100, 0], [255, 255, 255]]
    assert on_white[2] == pytest.approx([227, 177, 127], abs=1)
    assert read_array(tmp_path / "x.png", "#ff0000")[0, 1].tolist() == [255, 0, 0]


def test_an_alpha_that_hides_nothing_needs_no_colour(tmp_path: Path) -> None:
    Image.fromarray(EIGHT).convert("RGBA").save(tmp_path / "x.png")
    assert np.array_equal(read_array(tmp_path / "x.png", None), EIGHT)


def test_a_transparent_colour_is_transparency_too(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "x.png", transparency=(0, 0, 0))
    with pytest.raises(UnsupportedImage, match="transparency"):
        read_array(tmp_path / "x.png", None)
    assert read_array(tmp_path / "x.png", "white").min() == 255


# ---- what is refused


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cmyk.jpg", "is CMYK"),
        ("alpha16.png", "has transparency"),
        ("objects.npy", "cannot be read"),
        ("archive.npy", "is an .npz archive"),
        ("clear16.png", "has transparency"),
        ("complex.npy", "type complex128"),
        ("four.npy", r"shape \(2, 2, 2, 2\)"),
        ("empty.npy", r"shape \(0, 4, 1\)"),
        ("cut.npy", "cannot be read"),
        ("cut.tif", "cannot be read"),
        ("cut16.png", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_reason(name: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    arrays = {"complex.npy": np.ones((2, 2), complex), "four.npy": np.ones((2, 2, 2, 2)), "empty.npy": np.ones((0, 4))}
    if name == "cmyk.jpg":
        Image.new("CMYK", (4, 4)).save(path)
    elif name == "alpha16.png":
        save_png16(path, np.concatenate([DEEP, DEEP[..., :1]], axis=2))
    elif name == "clear16.png":
        with path.open("wb") as stream:
            png.Writer(5, 6, bitdepth=16, greyscale=True, transparent=int(DEEP[0, 0, 0])).write(
                stream, DEEP[..., 0].tolist()
            )
    elif name == "archive.npy":
        with path.open("wb") as stream:
            np.savez(stream, x=EIGHT)
    elif name == "objects.npy":
        np.save(path, np.array([{}, {}]), allow_pickle=True)
    elif name in arrays:
        np.save(path, arrays[name])
    else:
        whole, _ = written(tmp_path, {"cut.npy": "npy flat", "cut.tif": "tif 16 many", "cut16.png": "png 16 RGB"}[name])
        path.write_bytes(whole.read_bytes()[: -(whole.stat().st_size // 2)])
    with pytest.raises(DataError, match=message) as caught:
        read_array(path, None)
    assert name in str(caught.value)


def test_sixteen_bits_are_not_cut_where_eight_are_wanted(tmp_path: Path) -> None:
    for kind in ("png 16 RGB", "png 16 grey", "tif 16 RGB"):
        path, _ = written(tmp_path, kind)
        assert read_image(path).dtype == np.uint16


# ---- as the networks want them


def test_channels_are_matched_by_the_stated_rules_or_refused() -> None:
    path = Path("x.png")
    assert np.array_equal(as_wanted(Stored(path, EIGHT[..., :1]), Wanted(3)), np.repeat(EIGHT[..., :1], 3, 2))
    luma = as_wanted(Stored(path, EIGHT), Wanted(1))[..., 0]
    assert np.abs(luma - EIGHT @ [0.299, 0.587, 0.114]).max() <= 0.51
    for grey in (0, 1, 77, 255, 256, 40000, 65535):
        kind = np.uint8 if grey < 256 else np.uint16
        assert as_wanted(Stored(path, np.full((1, 1, 3), grey, kind)), Wanted(1)).item() == grey
    with pytest.raises(UnsupportedImage, match=r"x\.png has 4 channels, where data\.channels asks for 3"):
        as_wanted(Stored(path, np.zeros((2, 2, 4), np.uint8)), Wanted(3))
    with pytest.raises(UnsupportedImage, match=r"float32 values: say with data\.range"):
        as_wanted(Stored(path, np.zeros((2, 2, 3), np.float32)), Wanted(3))


@given(low=st.floats(-1e4, 1e4), span=st.floats(1e-2, 1e4), share=st.floats(-1, 2))
def test_a_range_is_linear_and_clips(low: float, span: float, share: float) -> None:
    value = np.array([[[low + share * span]]])
    wanted = min(max(share, 0), 1) * 65535
    assert scaled(value, (low, low + span)).item() == pytest.approx(wanted, abs=1 + 65535 * 1e-7 * abs(low) / span)


def test_nothing_that_is_no_number_gets_through_a_range() -> None:
    values = np.array([[[np.nan, np.inf, -np.inf, 5.0]]])
    assert scaled(values, (0.0, 10.0)).tolist() == [[[0, 65535, 0, 32768]]]


def test_scores_and_people_see_eight_bits() -> None:
    assert as_scored(np.array([[[0], [128], [129], [65535]]], np.uint16))[0, :, 0].tolist() == [0, 0, 1, 255]
    assert as_scored(DEEP[..., :1]).shape == (6, 5, 3)
    many = RANDOM.integers(0, 256, (6, 5, 4), dtype=np.uint8)
    assert as_scored(many).shape == (6, 5, 4)
    assert np.array_equal(as_rgb8(many), many[..., :3])
    assert as_rgb8(many[..., :2]).shape == (6, 5, 3)


# ---- written back


@pytest.mark.parametrize("kind", ["png 8 grey", "png 8 RGB", "png 16 grey", "tif 16 RGB", "tif 16 many", "npy flat"])
def test_the_same_kind_is_written_back(kind: str, tmp_path: Path) -> None:
    path, held = written(tmp_path, kind)
    back = write_like(path, held, tmp_path / "out", None)
    assert np.array_equal(read_array(back, None), held)
    assert back.suffix == (path.suffix if path.suffix != ".bmp" else ".png")


def test_arrays_get_the_values_of_their_range_back(tmp_path: Path) -> None:
    path, held = written(tmp_path, "npy float")
    limits = (-5.0, 5.0)
    back = write_like(path, scaled(held, limits), tmp_path / "out", limits)
    assert np.abs(np.load(back) - held).max() < 1e-4


@pytest.mark.parametrize(
    ("limits", "kind"), [((0.0, 200.0), np.uint8), ((0.0, 10000.0), np.uint16), ((-5.0, 5.0), np.float32)]
)
def test_pictures_get_the_values_that_were_trained_on_back(
    limits: tuple[float, float], kind: type, tmp_path: Path
) -> None:
    held: np.ndarray = np.linspace(*limits, 30).reshape(6, 5, 1).astype(kind)
    back = read_array(write_like(Path("x.png"), scaled(held, limits), tmp_path, limits), None)
    assert back.dtype == kind
    assert np.abs(back.astype(float) - held).max() <= (1e-3 if kind is np.float32 else 0)
