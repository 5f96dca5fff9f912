"""The rows of the table of kinds of image file that are TIFF and NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from data.image_rows import NOTHING, ORIENTATION, Row, noise, pillow, saved, upright
from PIL import Image


def _tiff(pixels: np.ndarray, path: Path, **options: Any) -> None:
    if "photometric" not in options:
        options["photometric"] = "rgb" if pixels.ndim == 3 and pixels.shape[2] == 3 else "minisblack"
    if pixels.ndim == 3 and "planarconfig" not in options:
        options["planarconfig"] = "contig"
    tifffile.imwrite(path, pixels, **options)


CODECS: dict[str, dict[str, Any]] = {
    "uncompressed": {}, "lzw": {"compression": "lzw"}, "lzw predictor": {"compression": "lzw", "predictor": True},
    "deflate": {"compression": "zlib"}, "deflate predictor": {"compression": "zlib", "predictor": True},
    "packbits": {"compression": "packbits"}, "zstd": {"compression": "zstd"}, "lzma": {"compression": "lzma"},
}  # fmt: skip
LAYOUTS: dict[str, dict[str, Any]] = {
    "tiled": {"tile": (16, 16)}, "big-endian": {"byteorder": ">"}, "BigTIFF": {"bigtiff": True},
    "tiled lzw big-endian": {"tile": (16, 16), "compression": "lzw", "byteorder": ">"},
}  # fmt: skip
TYPES: dict[str, np.ndarray] = {
    "grey 8": noise(None), "RGB 8": noise(3), "grey 16": noise(None, np.uint16), "RGB 16": noise(3, np.uint16),
    "float 32": noise(None, np.float32),
}  # fmt: skip


def tiffs() -> Iterator[Row]:
    for kind, pixels in TYPES.items():
        for codec, options in (CODECS | LAYOUTS).items():
            if codec == "packbits" and pixels.dtype.itemsize > 1:
                continue  # tifffile writes it of bytes alone
            yield Row(f"{kind} {codec}.tif", partial(_tiff, pixels, **options), pixels)
    for kind in ("grey 16", "RGB 16"):
        pixels = TYPES[kind]
        written = Image.fromarray(pixels) if pixels.ndim == 2 else None
        if written is not None:
            for codec in ("tiff_lzw", "packbits", "tiff_adobe_deflate"):
                yield Row(f"{kind} {codec} by Pillow.tif", partial(saved, written, compression=codec), pixels)
        planes, planar = (5, "separate")
        many = noise(planes, np.uint16)
        if kind == "RGB 16":
            yield Row("5 planes 16.tif", partial(_tiff, np.moveaxis(many, -1, 0), planarconfig=planar), many)
            yield Row("5 channels 16.tiff", partial(_tiff, many), many)
    yield Row("7 channels 8.tif", partial(_tiff, noise(7)), noise(7))
    yield Row("2 channels 8.tif", partial(_tiff, noise(2)), noise(2))
    for dtype in (np.int16, np.int8, np.uint32, np.float64, np.float16):
        pixels = noise(None, dtype)
        yield Row(f"{np.dtype(dtype).name}.tif", partial(_tiff, pixels), pixels)
    bits = noise(None) > 127
    yield Row("1 bit.tif", partial(saved, bits), bits.astype(np.uint8) * 255)
    yield Row("1 bit group 4.tif", partial(saved, bits, compression="group4"), bits.astype(np.uint8) * 255)
    for depth in (np.uint8, np.uint16):
        size, four = 8 * np.dtype(depth).itemsize, noise(4, depth)
        for extra, word in (("unassalpha", "RGBA"), ("unspecified", "RGB and another")):
            yield Row(
                f"{word} {size}.tif", partial(_tiff, four, photometric="rgb", extrasamples=[extra]), four,
                transparent=extra == "unassalpha",
            )  # fmt: skip
        yield Row(
            f"premultiplied {size}.tif", partial(_tiff, four, photometric="rgb", extrasamples=["assocalpha"]), four,
            transparent=True,
        )  # fmt: skip
        two = noise(2, depth)
        yield Row(f"grey and alpha {size}.tif", partial(_tiff, two, extrasamples=["unassalpha"]), two, transparent=True)
        pages = np.stack([noise(None, depth)] * 3)
        yield Row(f"3 pages {size}.tif", partial(tifffile.imwrite, data=pages, photometric="minisblack"), NOTHING,
                  "3 pages")  # fmt: skip
        yield Row(f"CMYK {size}.tif", partial(_tiff, four, photometric="separated"), NOTHING, "CMYK|SEPARATED")
        yield Row(f"with a reduced copy {size}.tif", partial(_with_overview, noise(3, depth)), noise(3, depth))
        for orientation in range(1, 9):
            tag = [(ORIENTATION, "H", 1, orientation, True)]
            yield Row(
                f"orientation {orientation} {size}.tif", partial(_tiff, noise(3, depth), extratags=tag),
                upright(noise(3, depth), orientation),
            )  # fmt: skip
    grey = noise(None)
    yield Row("white is 0.tif", partial(_tiff, grey, photometric="miniswhite"), 255 - grey)
    deep = noise(None, np.uint16)
    yield Row("white is 0, 16 bits.tif", partial(_tiff, deep, photometric="miniswhite"), NOTHING, "mode MINISWHITE")
    colours = Image.fromarray(noise(3)).quantize(16)
    yield Row("palette.tif", partial(saved, colours), lambda path: pillow(path, "RGB"))
    yield Row("JPEG inside.tif", partial(saved, noise(3), compression="jpeg"), pillow)
    yield Row("JPEG inside, tiled.tif", partial(_tiff, noise(3), compression="jpeg", tile=(16, 16)), pillow)
    yield Row("Lab.tif", partial(_tiff, noise(3), photometric="cielab"), NOTHING, "mode (LAB|CIELAB)")


def _with_overview(pixels: np.ndarray, path: Path) -> None:
    with tifffile.TiffWriter(path) as file:
        file.write(pixels, photometric="rgb")
        file.write(pixels[::2, ::2], photometric="rgb", subfiletype=1)


def arrays() -> Iterator[Row]:
    for dtype in (np.uint8, np.uint16, np.int16, np.uint32, np.float16, np.float32, np.float64):
        for channels in (None, 1, 3, 4, 6):
            pixels = noise(channels, dtype)
            word = "flat" if channels is None else f"{channels} channels"
            yield Row(f"{np.dtype(dtype).name} {word}.npy", partial(_npy, pixels), pixels)
    for channels in (1, 3, 4):
        first = np.moveaxis(noise(channels), -1, 0)
        yield Row(f"{channels} channels first.npy", partial(_npy, first), noise(channels))
    yield Row("3 channels first.tif", partial(_tiff, np.moveaxis(noise(3), -1, 0), photometric="rgb",
                                             planarconfig="separate"), noise(3))  # fmt: skip
    yield Row("3 channels first as 24.tif", partial(_tiff, np.moveaxis(noise(3), -1, 0)), noise(3))
    yield Row("13 channels first.npy", partial(_npy, np.moveaxis(noise(13), -1, 0)), NOTHING, "channels first")
    bits = noise(None) > 127
    yield Row("bits.npy", partial(_npy, bits), bits.astype(np.uint8) * 255)
    yield Row("big-endian.npy", partial(_npy, noise(3, np.uint16).astype(">u2")), noise(3, np.uint16))
    yield Row("Fortran.npy", partial(_npy, np.asfortranarray(noise(3))), noise(3))
    yield Row("complex.npy", partial(_npy, noise(None).astype(complex)), NOTHING, "type complex128")
    yield Row("4 axes.npy", partial(_npy, noise(4).reshape(2, 10, 24, 4)), NOTHING, "shape")
    yield Row("named as a picture.png", partial(_npy, noise(3)), noise(3))
    yield Row("archive.npy", _npz, NOTHING, "npz")


def _npy(pixels: np.ndarray, path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, pixels)


def _npz(path: Path) -> None:
    with path.open("wb") as stream:
        np.savez(stream, x=noise(3))
