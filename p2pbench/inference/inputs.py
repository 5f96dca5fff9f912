"""What a person gives to be translated: files, folders and patterns, or a split of a model's own pairs.

Of a file that holds a pair, as those that the model was trained on do, the condition's half is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from p2pbench.config.schema import DataConfig
from p2pbench.data.dataset import is_built_in, open_dataset
from p2pbench.data.image_files import read
from p2pbench.data.images import Stored
from p2pbench.data.pairs import find_folder, find_pairs, images_by_name, left_out, name_of
from p2pbench.errors import ConfigError, DataError, P2PBenchError


def find_pictures(inputs: Sequence[Path]) -> tuple[dict[str, Path], dict[str, int]]:
    """The pictures among ``inputs``, files, folders and patterns (``*.png``), by their names without suffix.

    Returns:
        The pictures; and how many files of the folders are left out, as :func:`p2pbench.data.pairs.left_out` says it.
    Raises:
        DataError: a path that is not there, a folder without pictures, or two pictures of one name.
    """
    found: dict[str, Path] = {}
    others: dict[str, int] = {}
    for path in (path for given in inputs for path in _matching(given)):
        pictures = images_by_name(path) if path.is_dir() else {name_of(path): path}
        if path.is_dir():
            others |= {f"{what} of {path}": n for what, n in left_out(path, [path]).items()}
        if not pictures:
            raise DataError(_no_images(path))
        for name, picture in pictures.items():
            if name in found:
                raise DataError(f"{found[name]} and {picture} have the same name and would become one file; rename one")
            found[name] = picture
    return found, others


def _no_images(folder: Path) -> str:
    """Why ``folder`` has no pictures, and which of its sub-folders do."""
    sides = [side for side in (folder / "A", folder / "B") if side.is_dir() and images_by_name(side)]
    if sides:
        return f"{folder} holds no images but pairs, in {' and '.join(map(str, sides))}: give the conditions' folder"
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and images_by_name(path))
    if inner:
        return f"{folder} holds no images, but its sub-folders do: give {', '.join(map(str, inner[:3]))}"
    if any((folder / "A" / split).is_dir() for split in ("train", "val", "test")):
        return f"{folder} is a data set of pairs: give the folder of its conditions, as {folder / 'A' / 'test'}"
    return f"{folder} holds no images"


def _matching(path: Path) -> list[Path]:
    """``path`` itself, or what it matches where it is a pattern that no shell has expanded."""
    if path.exists():
        return [path]
    if not any(letter in str(path) for letter in "*?["):
        raise DataError(f"{path}: there is no such file or folder")
    root, pattern = (Path(path.anchor), path.relative_to(path.anchor)) if path.is_absolute() else (Path(), path)
    matches = sorted(root.glob(str(pattern)))
    if not matches:
        raise DataError(f"{path} matches no file")
    return matches


def pictures_of_split(config: DataConfig, split: str) -> dict[str, Path]:
    """The files of the conditions of a split of the pairs that ``config`` names; those of both where A and B are one.

    Raises:
        ConfigError: there is no such split, or the pairs have no files. DataError: the data are not here.
    """
    if is_built_in(config.source):
        raise ConfigError(
            f"--split {split}: {config.source} is built in and has no files; p2pbench score and demo use its pairs"
        )
    found = open_dataset(config).found
    assert found is not None
    if split not in found:
        raise ConfigError(f"--split {split}: {config.source} has {', '.join(found)}")
    side = 0 if config.direction == "AtoB" else -1
    return {pair.name: pair.files[side] for pair in found[split]}


def condition_in(picture: Stored, config: DataConfig) -> Stored | None:
    """The half of ``picture`` that is a condition, where it holds a pair as the training's files do; else None.

    It does if the model was trained on side-by-side files that are here, and it has their proportions.
    """
    size = _size_of_pairs(config.source)
    width, height = picture.size
    if size is None or width % 2 or abs(width * size[1] - height * size[0]) > size[0] + size[1]:
        return None
    return picture.halves()[0 if config.direction == "AtoB" else 1]


@lru_cache(maxsize=64)
def _size_of_pairs(source: str) -> tuple[int, int] | None:
    """Width and height of the first side-by-side file of a data set; None where its files are others or not here."""
    try:
        if is_built_in(source):
            return None
        pair = find_pairs(find_folder(source))["train"][0]
        return read(pair.a).size if pair.b is None else None
    except P2PBenchError:
        return None
