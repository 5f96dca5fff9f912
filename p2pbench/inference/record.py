"""The record that ``translate`` leaves among its outputs: what made each, and of which content."""

import json
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from p2pbench.data.pairs import SUFFIXES, name_of
from p2pbench.errors import ConfigError
from p2pbench.inference.generator import Model
from p2pbench.inference.onnx import OnnxGenerator
from p2pbench.system.files import sha256_of, write_json
from p2pbench.system.hardware import available_cores

NAME = "translated.json"
SECONDS = 10.0
"""The time after which it is written anew; what was made since is made again after a kill."""


class Record:
    """What is done in a folder is told by the content of the pictures, not by names or time stamps."""

    def __init__(self, model: Model, out: Path, pictures: Mapping[str, Path], *, whole: bool) -> None:
        """Read the record in ``out``, which counts if the same model made it in the same way, and hash ``pictures``.

        Args:
            pictures: files by the names of their outputs.
            whole: whether files that hold a pair are translated whole.
        """
        config = model.config
        self.file, self.pictures = out / NAME, pictures
        self.how: dict[str, Any] = {
            "weights": sha256_of(model.weights) if model.weights else None, "inference": config.scoring.inference,
            "seed": config.training.seed, "data": config.data.model_dump(mode="json"), "whole": whole,
        }  # fmt: skip
        if isinstance(model.generator, OnnxGenerator):
            self.how["runtime"] = model.generator.runtime
        with ThreadPoolExecutor(available_cores()) as pool:
            self.hashes = dict(zip(pictures, pool.map(_content, pictures.values()), strict=True))
        self.outputs: dict[str, dict[str, str]] = {}
        self.of_others = 0
        """How many of these pictures have an output that another model made, or this one in another way."""
        self._written = time.monotonic()
        with suppress(OSError, ValueError, RecursionError, TypeError, KeyError):
            before = json.loads(self.file.read_text(encoding="utf-8"))
            outputs = {
                name: {key: str(made[key]) for key in ("file", "picture", "sha256")}
                for name, made in before["outputs"].items()
            }
            if {key: value for key, value in before.items() if key != "outputs"} == self.how:
                self.outputs = outputs
            else:
                self.of_others = sum((out / outputs[name]["file"]).is_file() for name in outputs.keys() & pictures)

    def done(self) -> dict[str, Path]:
        """The outputs that are there, by name, of these pictures as they are.

        Raises:
            ConfigError: the output of another picture would be replaced, or a file that this program did not write.
        """
        folder, found = self.file.parent, {}
        beside = [] if self.file.exists() or not folder.is_dir() else folder.iterdir()
        strangers = {name_of(path): path for path in beside if path.suffix.lower() in SUFFIXES}
        if there := [strangers[name] for name in self.pictures if name in strangers]:
            more = f" and {len(there) - 1} more are" if len(there) > 1 else " is"
            raise ConfigError(
                f"--out {folder}: {there[0].name}{more} there, whose place the outputs would take, and no {NAME}, so "
                "translate did not write them; choose another folder, or --again to replace them"
            )
        for name, picture in self.pictures.items():
            made = self.outputs.get(name)
            if made is None or not (file := self.file.with_name(made["file"])).is_file():
                continue
            if made["sha256"] == self.hashes[name]:
                found[name] = file
            elif made["picture"] != str(picture.resolve()):
                raise ConfigError(
                    f"--out {self.file.parent}: {file.name} there is the translation of {made['picture']}, whose place "
                    f"that of {picture} would take; choose another folder, or --again to replace it"
                )
        return found

    def forget(self, names: Iterable[str]) -> None:
        """Note, before anything is written, that the outputs of ``names`` are to be made."""
        gone = set(names)
        self.outputs = {name: made for name, made in self.outputs.items() if name not in gone}
        self.write()

    def add(self, name: str, output: Path) -> None:
        """Note that ``output`` was made of the picture ``name``."""
        picture, content = str(self.pictures[name].resolve()), self.hashes[name]
        self.outputs[name] = {"file": output.name, "picture": picture, "sha256": content or ""}
        if time.monotonic() - self._written > SECONDS:
            self.write()

    def write(self) -> None:
        write_json(self.file, {**self.how, "outputs": self.outputs})
        self._written = time.monotonic()


def _content(picture: Path) -> str | None:
    """The hash of a picture's content; None where it cannot be read, which its reader will say."""
    try:
        return sha256_of(picture)
    except OSError:
        return None
