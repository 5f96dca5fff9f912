"""Cityscapes as pix2pix has it, made from a person's own download: its licence lets nobody pass it on."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from p2pbench.data.image_files import opened
from p2pbench.errors import DataError
from p2pbench.system.progress import Count

SIZE = 256
BY_HAND = (
    "cityscapes may not be passed on, so there is nothing to fetch it from: register at "
    "https://www.cityscapes-dataset.com, download leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, "
    "unzip both into one folder, then: p2pbench data fetch cityscapes --from FOLDER"
)


def combine(source: Path, folder: Path, progress: Count) -> None:
    """Write ``folder/train`` and ``folder/val``: PNG files, the photo on the left and its coloured labels on the right.

    Both are 256x256, squeezed from 2048x1024 as the paper did: the photo bicubic with anti-aliasing, the labels to the
    nearest pixel, so that no colour appears that is no class. ``source`` holds ``leftImg8bit`` and ``gtFine``, with
    cities in ``train`` and ``val``. Its ``test`` is left alone: its labels are not public.

    Raises:
        DataError: an image without its mate, a split without images, or an image that cannot be read (named).
    """
    jobs = [
        (folder / split / f"{scene}.png", *both) for split in ("train", "val") for scene, both in _mates(source, split)
    ]
    for split in ("train", "val"):
        (folder / split).mkdir()
    with ThreadPoolExecutor() as pool:  # Pillow decodes and resizes outside the interpreter's lock
        for done, _ in enumerate(pool.map(lambda job: _side_by_side(*job), jobs), start=1):
            progress(done, len(jobs))


def _mates(source: Path, split: str) -> list[tuple[str, tuple[Path, Path]]]:
    """The photo and the coloured labels of every scene of ``split``, in order."""
    photos = _by_scene(source / "leftImg8bit" / split, "_leftImg8bit.png")
    labels = _by_scene(source / "gtFine" / split, "_gtFine_color.png")
    if lonely := sorted(photos.keys() ^ labels.keys()):
        has, lacks = ("photo", "labels") if lonely[0] in photos else ("labels", "photo")
        more = f" (and {len(lonely) - 1} more without a mate)" if len(lonely) > 1 else ""
        path = photos.get(lonely[0]) or labels[lonely[0]]
        raise DataError(f"{path} is {has} without {lacks}{more}; unzip both archives whole, into {source}")
    return [(scene, (photos[scene], labels[scene])) for scene in sorted(photos)]


def _by_scene(folder: Path, suffix: str) -> dict[str, Path]:
    found = {path.name.removesuffix(suffix): path for path in folder.glob(f"*/*{suffix}")}
    if not found:
        raise DataError(
            f"{folder} holds no CITY/*{suffix}; --from names the folder that both archives were unzipped in"
        )
    return found


def _side_by_side(path: Path, photo: Path, labels: Path) -> None:
    both = Image.new("RGB", (2 * SIZE, SIZE))
    for left, half, how in ((0, photo, Image.Resampling.BICUBIC), (SIZE, labels, Image.Resampling.NEAREST)):
        with opened(half) as image:  # labels come with an alpha that is 255 everywhere
            both.paste(image.convert("RGB").resize((SIZE, SIZE), how), (left, 0))
    both.save(path)
