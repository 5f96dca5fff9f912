"""A table of kinds of image file: format, bits, channels, codec, orientation, layout; and what is right for each.

``PYTHONPATH=tests python tests/data/image_table.py FOLDER`` writes them all. Each row is written by NumPy, Pillow,
pypng, tifffile or imagecodecs. What is right is what was written, where that is lossless, and else what a reader that
is not ours makes of it; or a refusal, by name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import png
from data.array_rows import arrays, tiffs
from data.image_rows import HEIGHT, NOTHING, WIDTH, Row, exif, noise, pillow, pillow_upright, saved, upright
from PIL import Image


def by_pypng(pixels: np.ndarray, path: Path, **options: Any) -> None:
    planes = 1 if pixels.ndim == 2 or "palette" in options else pixels.shape[2]
    kind: dict[str, Any] = {} if "palette" in options else {"greyscale": planes < 3, "alpha": planes in (2, 4)}
    with path.open("wb") as stream:
        png.Writer(WIDTH, HEIGHT, **kind, **options).write(stream, pixels.reshape(HEIGHT, -1).tolist())


def pngs() -> Iterator[Row]:
    for bits in (1, 2, 4):
        low = noise(None) % 2**bits
        scaled = (low.astype(int) * 255 // (2**bits - 1)).astype(np.uint8)
        yield Row(f"grey {bits} bits.png", partial(by_pypng, low, bitdepth=bits), scaled)
        palette = [tuple(int(v) for v in colour) for colour in noise(3).reshape(-1, 3)[: 2**bits]]
        yield Row(
            f"palette {bits} bits.png", partial(by_pypng, low, bitdepth=bits, palette=palette),
            np.array(palette, np.uint8)[low],
        )  # fmt: skip
    for bits, kind in ((8, np.uint8), (16, np.uint16)):
        for channels, word in ((None, "grey"), (2, "grey+alpha"), (3, "RGB"), (4, "RGBA")):
            pixels = noise(channels, kind)
            for interlace in (False, True):
                how = " interlaced" if interlace else ""
                yield Row(
                    f"{word} {bits} bits{how}.png", partial(by_pypng, pixels, bitdepth=bits, interlace=interlace),
                    pixels, transparent=channels in (2, 4),
                )  # fmt: skip
        clear = noise(3, kind)
        opaque = np.dstack([clear, np.full((HEIGHT, WIDTH), np.iinfo(kind).max, kind)])
        opaque[0, 0, 3] = 0
        key = tuple(int(v) for v in clear[0, 0])
        yield Row(
            f"transparent colour {bits} bits.png", partial(by_pypng, clear, bitdepth=bits, transparent=key), opaque,
            transparent=True,
        )  # fmt: skip
    colours = Image.fromarray(noise(3)).quantize(16)
    yield Row("palette 8 bits.png", partial(saved, colours), lambda path: pillow(path, "RGB"))
    yield Row(
        "palette with transparency.png", partial(saved, colours, transparency=3), lambda path: pillow(path, "RGBA"),
        transparent=True,
    )  # fmt: skip
    yield Row(
        "opaque RGBA.png", partial(saved, np.dstack([noise(3), np.full((HEIGHT, WIDTH), 255, np.uint8)])), noise(3)
    )
    frames = [Image.fromarray(255 - noise(3))]
    yield Row("animated.png", partial(saved, noise(3), save_all=True, append_images=frames), NOTHING, "2 frames")
    for orientation in range(1, 9):
        yield Row(
            f"orientation {orientation}.png", partial(saved, noise(3), exif=exif(orientation)),
            upright(noise(3), orientation),
        )  # fmt: skip


def lossy_and_lookups() -> Iterator[Row]:
    """JPEG, WebP, BMP, GIF, JPEG 2000."""
    ways: dict[str, dict[str, Any]] = {
        "q95": {"quality": 95}, "444": {"subsampling": 0}, "progressive": {"progressive": True},
    }  # fmt: skip
    for name, options in ways.items():
        yield Row(f"RGB {name}.jpg", partial(saved, noise(3), **options), pillow)
    yield Row("grey.jpeg", partial(saved, noise(None)), pillow)
    yield Row("named otherwise.jfif", partial(saved, noise(3), format="JPEG"), pillow)
    yield Row("named wrongly.png", partial(saved, noise(3), format="JPEG"), pillow)
    yield Row("CMYK.jpg", partial(saved, Image.new("CMYK", (WIDTH, HEIGHT))), NOTHING, "is CMYK")
    frames = [Image.fromarray(255 - noise(3))]
    yield Row(
        "photo with a preview.jpg", partial(saved, noise(3), format="MPO", save_all=True, append_images=frames), pillow
    )
    for orientation in range(1, 9):
        yield Row(
            f"orientation {orientation}.jpg", partial(saved, noise(3), exif=exif(orientation)),
            partial(pillow_upright, orientation),
        )  # fmt: skip
    yield Row("lossless.webp", partial(saved, noise(3), lossless=True), noise(3))
    yield Row("lossy.webp", partial(saved, noise(3)), pillow)
    yield Row("RGBA.webp", partial(saved, noise(4), lossless=True, exact=True), noise(4), transparent=True)
    yield Row(
        "animated.webp", partial(saved, noise(3), save_all=True, append_images=frames, lossless=True), NOTHING,
        "2 frames",
    )  # fmt: skip
    bits = noise(None) > 127
    yield Row("1 bit.bmp", partial(saved, bits), bits.astype(np.uint8) * 255)
    yield Row("grey.bmp", partial(saved, noise(None)), noise(None))
    yield Row("RGB.bmp", partial(saved, noise(3)), noise(3))
    yield Row("RGBA.bmp", partial(saved, noise(4)), pillow)
    colours = Image.fromarray(noise(3)).quantize(16)
    yield Row("palette.bmp", partial(saved, colours), lambda path: pillow(path, "RGB"))
    yield Row("grey.gif", partial(saved, noise(None)), lambda path: pillow(path, "RGB"))
    yield Row("palette.gif", partial(saved, colours), lambda path: pillow(path, "RGB"))
    yield Row(
        "transparent.gif", partial(saved, colours, transparency=3), lambda path: pillow(path, "RGBA"), transparent=True
    )
    yield Row("animated.gif", partial(saved, noise(None), save_all=True, append_images=frames), NOTHING, "2 frames")
    for channels, word in ((None, "grey"), (3, "RGB"), (4, "RGBA")):
        for kind in (np.uint8, np.uint16):
            pixels = noise(channels, kind)
            yield Row(
                f"{word} {8 * pixels.itemsize} bits.jp2", partial(_jp2, pixels), pixels, transparent=channels == 4
            )
    yield Row("lossy.jp2", partial(saved, noise(3), quality_mode="rates", quality_layers=[4]), pillow)


def _jp2(pixels: np.ndarray, path: Path) -> None:
    path.write_bytes(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True))


def _netpbm(header: str, content: bytes, path: Path) -> None:
    path.write_bytes(header.encode() + content)


def _plain(magic: str, pixels: np.ndarray, path: Path) -> None:
    limit = "" if magic == "P1" else "255\n"
    path.write_text(f"{magic}\n# a comment\n{WIDTH} {HEIGHT}\n{limit}{' '.join(map(str, pixels.ravel()))}\n")


def netpbm() -> Iterator[Row]:
    size = f"{WIDTH} {HEIGHT}\n"
    bits = noise(None) > 127
    black = np.where(bits, 0, 255).astype(np.uint8)  # a bit that is set is black
    yield Row("bits.pbm", partial(_netpbm, f"P4\n{size}", np.packbits(bits, axis=1).tobytes()), black)
    yield Row("plain bits.pbm", partial(_plain, "P1", bits.astype(int)), black)
    yield Row("grey.pgm", partial(_netpbm, f"P5\n{size}255\n", noise(None).tobytes()), noise(None))
    yield Row("plain grey.pgm", partial(_plain, "P2", noise(None)), noise(None))
    yield Row("RGB.ppm", partial(_netpbm, f"P6\n{size}255\n", noise(3).tobytes()), noise(3))
    yield Row("plain RGB.ppm", partial(_plain, "P3", noise(3)), noise(3))
    deep = noise(3, np.uint16)
    grey = deep[..., 0]
    yield Row("grey 16 bits.pgm", partial(_netpbm, f"P5\n{size}65535\n", grey.astype(">u2").tobytes()), grey)
    yield Row(
        "RGB 16 bits.ppm", partial(_netpbm, f"P6\n# x\n{size}65535\n", deep.astype(">u2").tobytes()), NOTHING,
        "PPM of 16 bits",
    )  # fmt: skip
    floats = noise(None, np.float32)
    yield Row("floats.pfm", partial(_netpbm, f"Pf\n{size}-1.0\n", floats[::-1].tobytes()), floats)


def others() -> Iterator[Row]:
    yield Row("PCX.png", partial(saved, noise(3), format="PCX"), NOTHING, "none of PNG")
    yield Row("text.png", lambda path: path.write_text("no picture"), NOTHING, "none of PNG")
    yield Row("empty.png", lambda path: path.write_bytes(b""), NOTHING, "zero bytes")


TABLE = [*pngs(), *lossy_and_lookups(), *netpbm(), *tiffs(), *arrays(), *others()]

if __name__ == "__main__":
    for place, row in enumerate(TABLE):
        path = row.made(Path(sys.argv[1]) / f"{place:03d}")
        print(f"{path}  {row.name.rsplit('.', maxsplit=1)[0]}: {row.refused or 'read'}")
