"""``bench data``: the first start of a training's data, the second, and its batches, beside Pillow alone."""

import itertools
import os
import shutil
import time
from pathlib import Path

import numpy as np
from PIL import Image

from p2pbench.bench.clock import Contestant, Step
from p2pbench.bench.rows import named
from p2pbench.config.resolve import Resolved
from p2pbench.config.schema import RunConfig
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import DataSet, open_dataset, readers, steps_per_epoch
from p2pbench.data.images import FILTERS
from p2pbench.data.pairs import Pair, find_folder
from p2pbench.system.hardware import available_cores, on_all_cores

DEFAULT_SOURCE = "drawn:500"


def data_contestants(resolved: Resolved, scratch: Path) -> list[Contestant]:
    """Ways to the training pairs of ``data.source``; of ``drawn:500`` unless a source is set.

    ``plain`` is Pillow alone on all cores, which opens, decodes and resizes, and stores nothing. ``build`` is a first
    start: hashing, decoding, resizing, writing the array. ``second start`` maps that array. ``batches`` cuts batches
    out of it, on the host. The pairs of a built-in source are written into ``scratch`` as JPEG files first.
    """
    config = resolved.config
    source = DEFAULT_SOURCE if resolved.origin["data.source"] == "default" else config.data.source
    dataset = open_dataset(config.changed("data", source=source).data)
    steps_per_epoch(dataset, config.training.batch_size)  # a batch larger than the set is refused here, in one line
    folder = as_files(dataset, scratch / "files")
    ours = config.changed("data", source=str(folder))
    row = {
        "name": named(source, config, "data."),
        "size": list(config.data.load_shape if config.data.jitter else config.data.crop_shape),
        "batch_size": None,
        "precision": "uint8",
    }
    builds = {"plain": build_plain, "build": build_build, "second start": build_start}
    return [
        *(Contestant(name, build, (ours, scratch / name), {**row, "engine": name}) for name, build in builds.items()),
        Contestant(
            "batches", build_batches, (ours, scratch / "batches"),
            {**row, "batch_size": config.training.batch_size, "engine": "batches"},
        ),
    ]  # fmt: skip


def as_files(dataset: DataSet, folder: Path) -> Path:
    """The folder of ``dataset``; a built-in's pairs are written as JPEG files into ``folder``."""
    if dataset.found is not None:
        return find_folder(dataset.config.source).resolve()
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        for index, read in enumerate(readers(dataset, split)):
            pair = Image.fromarray(np.concatenate(read(), axis=1))
            pair.save(folder / split / f"{index:06d}.jpg", quality=95)
    return folder


def build_plain(config: RunConfig, _home: Path) -> tuple[Step, int]:
    """Open, decode and resize each pair in a thread for each core, because Pillow releases the interpreter's lock."""
    data = config.data
    shape = data.load_shape if data.jitter else data.crop_shape
    found = open_dataset(data).found
    assert found is not None

    def halves(pair: Pair) -> None:
        for side, path in enumerate(pair.files):
            with Image.open(path) as image:
                pixels = image.convert("RGB")
            width = pixels.width // (2 if pair.b is None else 1)
            for place, left in enumerate(range(0, pixels.width, width)):
                half = pixels.crop((left, 0, left + width, pixels.height))
                half.resize(shape[::-1], FILTERS[data.filters[side + place]])

    train = found["train"]

    def step() -> None:
        on_all_cores(halves, train)

    return step, len(train)


def build_build(config: RunConfig, own_home: Path) -> tuple[Step, int]:
    """A first start: no file's hash is known and nothing is decoded. Its cleaning up does not count."""
    os.environ["P2PBENCH_HOME"] = str(own_home)

    def step() -> float:
        decoded(open_dataset(config.data), "train")
        start = time.perf_counter()
        shutil.rmtree(own_home)
        return time.perf_counter() - start

    return step, len(open_dataset(config.data).names["train"])


def build_start(config: RunConfig, own_home: Path) -> tuple[Step, int]:
    """A second start: the files have not changed, and the array is mapped."""
    os.environ["P2PBENCH_HOME"] = str(own_home)

    def step() -> None:
        decoded(open_dataset(config.data), "train")

    step()
    return step, len(open_dataset(config.data).names["train"])


def build_batches(config: RunConfig, own_home: Path) -> tuple[Step, int]:
    """One batch after another, as training on the host asks for them."""
    import torch

    from p2pbench.data.batches import open_batches

    os.environ["P2PBENCH_HOME"] = str(own_home)
    torch.set_num_threads(available_cores())
    batches = open_batches(decoded(open_dataset(config.data), "train"), config, torch.device("cpu"))
    steps = itertools.count()

    def step() -> None:
        _ = batches[next(steps)]

    return step, config.training.batch_size
