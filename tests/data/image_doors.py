"""How each command reads an image: the doors through which the table of kinds of image file is walked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import nn

from p2pbench.config.resolve import Layer, resolve
from p2pbench.curation.check.check import check
from p2pbench.curation.explore.source import open_source
from p2pbench.curation.prepare.prepare import prepare_pairs
from p2pbench.curation.prepare.recipe import build_recipe
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import open_dataset, wanted_by_role
from p2pbench.data.image_files import read
from p2pbench.data.images import Wanted, as_wanted
from p2pbench.data.pairs import find_pairs, read_wanted
from p2pbench.demo.upload import Refused, decode
from p2pbench.errors import DataError
from p2pbench.inference.folders import translate_files
from p2pbench.inference.generator import Model
from p2pbench.study.score_folders import score_folders


class Same(nn.Module):
    """A generator whose outputs are its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.one


@dataclass
class Doors:
    """One image file, and the settings of ``data`` that it is read with."""

    path: Path
    folder: Path
    """Where pairs of it are put."""
    settings: dict[str, Any]
    pairs: Path = field(init=False)

    def __post_init__(self) -> None:
        self.pairs = self.folder / "pairs"
        for place in ("pairs/train/A", "pairs/train/B", "pairs/test/A", "pairs/test/B", "photos/train", "photos/test"):
            (self.folder / place).mkdir(parents=True)
            shutil.copy(self.path, self.folder / place)
        values = {f"data.{key}": value for key, value in self.settings.items()}
        self.layer = {key: value for key, value in values.items() if key in ("data.range", "data.background")}
        self.config = resolve([Layer("test", {**values, "data.source": str(self.pairs), "data.jitter": False})]).config
        self.wanted = wanted_by_role(self.config.data)

    def sized(self, size: tuple[int, int]) -> Any:
        return self.config.data.model_copy(update={"crop_size": size})

    def train(self) -> np.ndarray:
        """The condition of the training pair, whose target is the same."""
        height, width = self.upright()
        pair = decoded(open_dataset(self.sized((height, width))), "train")[0]
        condition, target = np.split(pair, 2, axis=2)
        assert np.array_equal(condition, target)
        return condition

    def translate(self) -> np.ndarray:
        """What is written where the generator changes nothing, read as the model reads it."""
        bits = 8 * read(self.path).pixels.dtype.itemsize
        model = Model("same", self.config, Same(), bits=bits)
        ((_, made),) = translate_files(model, [self.path], self.folder / "translated")
        if isinstance(made, DataError):
            raise made
        return as_wanted(read(made), self.wanted[1])

    def demo(self) -> np.ndarray:
        try:
            return Model("same", self.config, Same()).as_condition(decode(self.path.read_bytes()))
        except (Refused, DataError) as error:  # it names no file, whose name is none of the server's business
            raise DataError(str(error).replace("the picture", str(self.path))) from None

    def score(self, right: np.ndarray) -> float | None:
        """The L1 between the file and an array of what is right in its own type."""
        target = self.folder / "target"
        target.mkdir()
        np.save(target / "x.npy", right)
        settings = {f"data.{key}": value for key, value in self.settings.items()}
        return score_folders(
            self.path.parent, target, ["l1"], None, settings, Console(quiet=True)
        ).scores["l1"].value  # fmt: skip

    def check(self) -> dict[str, str]:
        """What is said of it, by kind; that there is one pair of one image apart."""
        other = ("small-split", "leak", "repeated-image", "duplicate", "blank")
        return {p["kind"]: p["detail"] for p in check(str(self.pairs))["problems"] if p["kind"] not in other}

    def explore(self) -> np.ndarray:
        """The picture for people."""
        images = open_source(str(self.pairs)).read({("train", "x")})
        return images["train", "x"][0]

    def prepare_photo(self) -> np.ndarray:
        """The photo of the pair that is made of it, beside its condition."""
        out = self.folder / "of photos"
        prepare_pairs(str(self.folder / "photos"), out, build_recipe(settings=self.layer))
        both = read(out / "train" / "x.png").halves()
        return as_wanted(both[1], self.unscaled()[1])

    def prepare_two(self) -> np.ndarray:
        """A of the pair that is made of two files, as numbers of any kind."""
        out = self.folder / "of two"
        recipe = build_recipe(combine=True, image_format="tif", settings=self.layer)
        prepare_pairs(str(self.pairs), out, recipe)
        (pair,) = find_pairs(out)["train"]
        return read_wanted(pair, self.unscaled())[0]

    def unscaled(self) -> tuple[Wanted, Wanted]:
        """How a preparation is read, which has its range applied."""
        return replace(self.wanted[0], range=None), replace(self.wanted[1], range=None)

    def upright(self) -> tuple[int, int]:
        """Height and width; of a file that is not read, any."""
        try:
            width, height = read(self.path).size
        except DataError:
            return 20, 24
        return height, width

    def that_give_it(self) -> dict[str, Callable[[], np.ndarray]]:
        """The doors that give what training sees."""
        return {
            "train": self.train, "translate": self.translate, "demo": self.demo, "prepare two": self.prepare_two,
        }  # fmt: skip
