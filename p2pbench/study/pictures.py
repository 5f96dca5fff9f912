"""Translate a person's own pictures: what ``translate`` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from p2pbench.cores import available_cores
from p2pbench.data.pairs import images_by_name, read_image
from p2pbench.errors import ConfigError, DataError
from p2pbench.study.model import Model
from p2pbench.study.samples import save_png
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
    """Write what ``model`` makes of each picture, at the picture's own size, as ``out / NAME.png``.

    Raises:
        ConfigError: an output would take an input's place.
        DataError: a picture that cannot be read; those before it are written.
    """
    pictures = find_pictures(inputs)
    written = {name: out / f"{name}.png" for name in pictures}
    for name, picture in pictures.items():
        if written[name].resolve() == picture.resolve():
            raise ConfigError(f"--out {out}: {picture} would be overwritten; choose another folder")
    config = model.config
    engine = prepare(config.training, config.training.threads or available_cores())
    generator = model.generator.to(engine.device)
    for done, (name, picture) in enumerate(pictures.items(), start=1):
        image = read_image(picture)[None]
        mode = config.scoring.inference
        (output,) = translate(generator, image, config.data, seed=config.training.seed, mode=mode)
        save_png(written[name], output)
        progress(done, len(pictures))
    return list(written.values())
