"""Translate a person's own pictures: what ``translate`` does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from p2pbench.data.image_files import preview
from p2pbench.data.pairs import images_by_name
from p2pbench.errors import ConfigError, DataError
from p2pbench.inference.pipeline import as_taken, translate_files
from p2pbench.inference.tiling import translate_picture
from p2pbench.runs.model import Model, place_model
from p2pbench.runs.samples import save_png, spread
from p2pbench.system.files import sha256_of, write_json
from p2pbench.system.progress import Count

RECORD = "translated.json"
"""In the folder of the outputs: what made them, so that the same command skips what is done."""
N_COMPARED, CELL, GREY = 16, 256, 128
"""Pictures on a sheet at the most, the side of the box that each is fitted into, in pixels, and what is around it."""


@dataclass(frozen=True)
class Translated:
    """The outputs in the order of their pictures, and how many of them were there before."""

    files: list[Path]
    skipped: int


def find_pictures(inputs: Sequence[Path]) -> dict[str, Path]:
    """The pictures among ``inputs``, files, folders and patterns (``*.png``), by their names without suffix.

    Raises:
        DataError: a path that is not there, a folder without pictures, or two pictures of one name.
    """
    found: dict[str, Path] = {}
    for path in (path for given in inputs for path in _matching(given)):
        pictures = images_by_name(path) if path.is_dir() else {path.stem: path}
        if not pictures:
            raise DataError(f"{path} holds no images")
        for name, picture in pictures.items():
            if name in found:
                raise DataError(f"{found[name]} and {picture} have the same name and would become one file; rename one")
            found[name] = picture
    return found


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


def output_of(
    model: Model,
    raw: np.ndarray,
    name: Path,
    *,
    mode: str | None = None,
    seed: int | None = None,
    before_each: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """What ``model`` makes of one picture.

    Args:
        raw: (H, W, C), of any type, as :func:`p2pbench.data.image_files.read_array` gives it; ``name`` is for messages.
        mode, seed: of the inference; those of the run's scores unless given.
        before_each: called before each tile of a large picture; what it raises ends the work.
    Returns:
        (H, W, C'), uint8 or uint16.
    Raises:
        UnsupportedImage: the picture is not what the model was trained on.
    """
    config = model.config
    return translate_picture(
        model.generator, as_taken(model, raw, name), config.data,
        seed=config.training.seed if seed is None else seed, mode=mode or config.scoring.inference,
        deep=model.deep, before_each=before_each,
    )  # fmt: skip


def translate_pictures(
    model: Model,
    inputs: Sequence[Path],
    out: Path,
    progress: Count,
    *,
    again: bool = False,
    compare: Path | None = None,
) -> Translated:
    """Write what ``model`` makes of each picture, at the picture's own size, under its name in ``out``.

    The values are of the kind that the model was trained on; see :func:`p2pbench.data.image_files.write_like`. A
    picture that this model has translated into ``out`` before, and that has not changed since, is skipped unless
    ``again``.

    Args:
        compare: where to write a PNG with some of the pictures, evenly spread, beside their translations.
    Raises:
        ConfigError: an output could take an input's place.
        DataError: pictures that cannot be read, or are not what the model was trained on; the others are written.
    """
    pictures = find_pictures(inputs)
    for picture in pictures.values():
        if picture.parent.resolve() == out.resolve():
            raise ConfigError(f"--out {out}: {picture} is in it and could be overwritten; choose another folder")
    place_model(model)
    files = _done_before(model, out, pictures, again=again)
    skipped = len(files)
    todo = {name: picture for name, picture in pictures.items() if name not in files}
    names, failed = list(todo), []
    if skipped:
        progress(skipped, len(pictures))
    for done, (position, made) in enumerate(translate_files(model, list(todo.values()), out), start=skipped + 1):
        if isinstance(made, DataError):
            failed.append(str(made))
        else:
            files[names[position]] = made
        progress(done, len(pictures))
    translated = [(picture, files[name]) for name, picture in pictures.items() if name in files]
    if compare is not None and translated:
        _write_sheet(compare, translated)
    if failed:
        others = f"; the other {len(translated)} are in {out}" if translated else ""
        more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
        raise DataError(f"{len(failed)} of {len(pictures)} not translated{others}: {'; '.join(failed[:3])}{more}")
    return Translated([file for _, file in translated], skipped)


def _done_before(model: Model, out: Path, pictures: Mapping[str, Path], *, again: bool) -> dict[str, Path]:
    """The outputs in ``out``, by name, that this model in this mode made of ``pictures`` as they are.

    Leaves a record that from now on it does. What is older than the record is another model's.
    """
    weights = model.run.generator_file if model.run else Path(model.name).expanduser()
    config, record = model.config, out / RECORD
    how = {
        "weights": sha256_of(weights), "inference": config.scoring.inference, "seed": config.training.seed,
        "data": config.data.model_dump(mode="json"),
    }  # fmt: skip
    try:
        before = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        before = None
    if before != json.loads(json.dumps(how)):
        write_json(record, how)
        return {}
    if again:
        return {}
    since = record.stat().st_mtime
    return {
        name: made
        for name, made in images_by_name(out).items()
        if name in pictures and made.stat().st_mtime >= max(since, pictures[name].stat().st_mtime)
    }


def _write_sheet(path: Path, translated: Sequence[tuple[Path, Path]]) -> None:
    """Pictures beside their translations, each fitted into a box of ``CELL`` pixels on grey; from 9 on, two a row."""
    chosen = [translated[position] for position in spread(len(translated), N_COMPARED)]
    pairs = [np.concatenate([_cell(file) for file in files], axis=1) for files in chosen]
    wide = 1 if len(pairs) <= N_COMPARED // 2 else 2
    if len(pairs) % wide:
        pairs.append(np.full_like(pairs[-1], GREY))
    rows = [np.concatenate(pairs[start : start + wide], axis=1) for start in range(0, len(pairs), wide)]
    save_png(path, np.concatenate(rows))


def _cell(path: Path) -> np.ndarray:
    picture = Image.fromarray(preview(path))
    picture.thumbnail((CELL, CELL))
    cell = Image.new("RGB", (CELL, CELL), (GREY,) * 3)
    cell.paste(picture, ((CELL - picture.width) // 2, (CELL - picture.height) // 2))
    return np.asarray(cell)
