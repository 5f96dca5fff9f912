"""Translate a person's own pictures: what ``translate`` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from p2pbench.cores import available_cores
from p2pbench.data.images import as_wanted, read_array, write_like
from p2pbench.data.pairs import images_by_name
from p2pbench.data.reading import wanted_by_role
from p2pbench.errors import ConfigError, DataError
from p2pbench.study.model import Model
from p2pbench.training.engine import prepare
from p2pbench.translation import translate


def find_pictures(inputs: Sequence[Path]) -> dict[str, Path]:
    """The pictures among ``inputs``, files and folders, by their names without suffix.

    Raises:
        DataError: a path that is not there, a folder without pictures, or two pictures of one name.
    """
    found: dict[str, Path] = {}
    for path in inputs:
        if not path.exists():
            raise DataError(f"{path}: there is no such file or folder")
        pictures = images_by_name(path) if path.is_dir() else {path.stem: path}
        if not pictures:
            raise DataError(f"{path} holds no images")
        for name, picture in pictures.items():
            if name in found:
                raise DataError(f"{found[name]} and {picture} have the same name and would become one file; rename one")
            found[name] = picture
    return found


def translate_pictures(
    model: Model, inputs: Sequence[Path], out: Path, progress: Callable[[int, int], None]
) -> list[Path]:
    """Write what ``model`` makes of each picture, at the picture's own size, under its name in ``out``.

    The values are of the kind that the model was trained on; see :func:`p2pbench.data.images.write_like`.

    Raises:
        ConfigError: an output could take an input's place.
        DataError: a picture that cannot be read, or is not what the model was trained on; those before it are written.
    """
    pictures = find_pictures(inputs)
    for picture in pictures.values():
        if picture.parent.resolve() == out.resolve():
            raise ConfigError(f"--out {out}: {picture} is in it and could be overwritten; choose another folder")
    config = model.config
    engine = prepare(config.training, config.training.threads or available_cores())
    generator = model.generator.to(engine.device)
    condition, target = wanted_by_role(config.data)
    seen = target if config.data.colours == "lab" else condition
    # Trained on 16 bits: where the target has a range, or as the run recorded.
    deep = target.range is not None or bool(model.run and model.run.status().get("bits") == 16)
    written = []
    for done, picture in enumerate(pictures.values(), start=1):
        image = as_wanted(read_array(picture, seen.background), seen, picture)[None]
        mode = config.scoring.inference
        (output,) = translate(generator, image, config.data, seed=config.training.seed, mode=mode, deep=deep)
        written.append(write_like(picture, output, out, target.range))
        progress(done, len(pictures))
    return written
