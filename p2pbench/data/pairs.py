"""Find the pairs of a data set, and read one.

A data set is a folder with the splits ``train``, ``test`` and, if it has one, ``val``, in one of these layouts:

    ROOT/train/x.jpg                     A and B side by side in one image, A on the left (pix2pix's own layout)
    ROOT/train/A/x.png, ROOT/train/B/x.png
    ROOT/A/train/x.png, ROOT/B/train/x.png

Finding pairs imports neither torch nor numpy, so that a plan is made at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from p2pbench.errors import DataError
from p2pbench.home import home

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
SPLITS = ("train", "val", "test")
ORIENTATION = 274
"""The EXIF tag that says how a camera was held."""


@dataclass(frozen=True)
class Pair:
    """Two images that belong together: one side-by-side file, or one file each."""

    name: str
    a: Path
    b: Path | None
    """None where ``a`` holds both halves."""

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.a,) if self.b is None else (self.a, self.b)


def find_folder(source: str) -> Path:
    """The folder that ``source`` names: a path, or a data set kept under :func:`p2pbench.home.home`.

    Raises:
        DataError: there is none.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    kept = home() / "data" / source
    if "/" not in source and kept.is_dir():
        return kept
    raise DataError(
        f"data source {source!r} is neither a built-in (photos, drawn) nor a folder here, nor is it at {kept}; name a "
        "folder of pairs, or see p2pbench data list for what can be fetched"
    )


def find_pairs(root: Path) -> dict[str, list[Pair]]:
    """The pairs of every split of the data set at ``root``, each in the order of their names.

    A set without a ``test`` split is tested on ``val`` (as maps, cityscapes and edges2shoes are).

    Raises:
        DataError: no training pairs, nothing to test on, or an image without its mate (named).
    """
    splits = {split: pairs for split in SPLITS if (pairs := _pairs_of(root, split))}
    if "train" not in splits:
        raise DataError(
            f"{root}: no training pairs; expected side-by-side images ({', '.join(SUFFIXES)}) in {root / 'train'}, "
            "or same-named images in train/A and train/B, or in A/train and B/train"
        )
    if "test" not in splits and "val" in splits:
        splits["test"] = splits.pop("val")
    if "test" not in splits:
        raise DataError(f"{root}: no test pairs; scores need images that training has not seen, in {root / 'test'}")
    return splits


def _pairs_of(root: Path, split: str) -> list[Pair]:
    for a, b in ((root / split / "A", root / split / "B"), (root / "A" / split, root / "B" / split)):
        if a.is_dir() or b.is_dir():
            return _mates(a, b)
    return [Pair(name, path, None) for name, path in images_by_name(root / split).items()]


def _mates(a: Path, b: Path) -> list[Pair]:
    left, right = (images_by_name(folder) for folder in (a, b))
    lonely = sorted(left.keys() ^ right.keys())
    if lonely:
        name = lonely[0]
        has, lacks = (left[name], b) if name in left else (right[name], a)
        more = f" (and {len(lonely) - 1} more without a mate)" if len(lonely) > 1 else ""
        raise DataError(f"{has} has no mate of the same name in {lacks}{more}; add the mate or remove the image")
    return [Pair(name, left[name], right[name]) for name in sorted(left)]


def images_by_name(folder: Path) -> dict[str, Path]:
    """The images directly in ``folder`` by their name without suffix, in order; none where there is no such folder.

    Raises:
        DataError: two images of one name, or a link that leads nowhere.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() not in SUFFIXES or path.is_dir():
            continue
        if not path.is_file():
            raise DataError(f"{path} cannot be read: a link that leads nowhere")
        if path.stem in found:
            raise DataError(f"{found[path.stem]} and {path.name} have the same name; rename or remove one of them")
        found[path.stem] = path
    return found


def read_pair(pair: Pair, *, upright: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A and B of ``pair``, each (H, W, 3), uint8; ``upright`` as in :func:`read_image`.

    Raises:
        DataError: a file that cannot be read, that is no 8-bit RGB or grey image, or two images that differ in size.
    """
    if pair.b is None:
        both = read_image(pair.a, upright=upright)
        width = both.shape[1]
        if width % 2:
            raise DataError(f"{pair.a} is {width} pixels wide: a side-by-side pair has an even width")
        return both[:, : width // 2], both[:, width // 2 :]
    a, b = read_image(pair.a, upright=upright), read_image(pair.b, upright=upright)
    if a.shape != b.shape:
        sizes = " and ".join(f"{image.shape[1]}x{image.shape[0]}" for image in (a, b))
        raise DataError(f"{pair.a} and {pair.b} differ in size ({sizes}): the images of a pair are equally large")
    return a, b


def read_image(path: Path, *, upright: bool = False) -> np.ndarray:
    """An image as (H, W, 3), uint8. Grey is repeated to three channels; a palette is looked up.

    Args:
        upright: turn it as its EXIF orientation says; otherwise the pixels are as they are stored.
    Raises:
        DataError: it cannot be read, or is of another kind; names the file.
    """
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.mode not in ("RGB", "L", "P", "1"):
                raise DataError(
                    f"{path} is an image of mode {image.mode}: only 8-bit RGB, grey and palette images are read; "
                    "convert it first, nothing is converted silently"
                )
            if "transparency" in image.info:
                raise DataError(f"{path} has transparency: flatten it onto a background first")
            if _bits(path, image) > 8:
                raise DataError(f"{path} has more than 8 bits a channel, which would be cut off; convert it first")
            pixels = np.asarray(image.convert("RGB"))
            return _turned(pixels, image.getexif().get(ORIENTATION, 1)) if upright else pixels
    except DataError:
        raise
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, TypeError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as an image: {error}") from None


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """``pixels`` as a photo of this EXIF orientation, 1 to 8, is looked at."""
    import numpy as np
    from PIL import Image, ImageOps

    # A bare image: of the file's own, Pillow would write back all of the EXIF data and fail where some are odd.
    bare = Image.fromarray(pixels)
    bare.getexif()[ORIENTATION] = orientation
    return np.asarray(ImageOps.exif_transpose(bare))


def _bits(path: Path, image: Image.Image) -> int:
    """Bits a channel of the file, which Pillow cuts to 8 for colour without a word."""
    if image.format == "PNG":
        with path.open("rb") as stream:
            return stream.read(25)[24]  # signature, length, IHDR, width, height, bit depth
    if image.format == "TIFF":
        bits = image.getexif().get(258, 8)  # BitsPerSample
        return max(bits) if isinstance(bits, tuple) else int(bits)
    return 8
