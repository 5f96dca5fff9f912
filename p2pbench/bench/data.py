"""How fast data get to training: the first start, the second, and batches, beside Pillow alone."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from p2pbench.bench.measure import Contestant, Step, figures, race
from p2pbench.config.resolve import Resolved
from p2pbench.config.schema import RunConfig
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import DataSet, open_dataset, readers, steps_per_epoch
from p2pbench.data.images import FILTERS
from p2pbench.data.pairs import Pair, find_folder
from p2pbench.errors import StorageError
from p2pbench.system.cache_dir import home
from p2pbench.system.hardware import available_cores, describe_machine, versions
from p2pbench.system.progress import Count

DEFAULT_SOURCE = "drawn:500"


def bench_data(resolved: Resolved, *, rounds: int = 20, round_seconds: float = 0.6, progress: Count) -> dict[str, Any]:
    """The documented JSON of ``bench data``, for the training pairs of ``data.source``; ``drawn:500`` unless given.

    Engines: ``plain`` is Pillow alone on all cores, which opens, decodes and resizes, and stores nothing; ``build`` is
    a first start: hashing, decoding, resizing, writing the array; ``second start`` maps it; ``batches`` cuts them out
    of the map, on the host. The pairs of a built-in are written as JPEG files first.
    """
    config = resolved.config
    source = DEFAULT_SOURCE if resolved.origin["data.source"] == "default" else config.data.source
    shape = config.data.load_shape if config.data.jitter else config.data.crop_shape
    try:
        home().mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="bench-", dir=home()))  # on the disk that the cache is on
    except OSError as error:
        raise StorageError(f"{home()} cannot be written: {error.strerror}; set P2PBENCH_HOME") from None
    try:
        dataset = open_dataset(config.data.model_copy(update={"source": source}))
        steps_per_epoch(dataset, config.training.batch_size)  # refused here, where it is one line
        folder = as_files(dataset, scratch / "files")
        ours = config.model_copy(update={"data": config.data.model_copy(update={"source": str(folder)})})
        builds = {"plain": build_plain, "build": build_build, "second start": build_start, "batches": build_batches}
        contestants = [Contestant(name, build, (ours, scratch / name)) for name, build in builds.items()]
        timings = race(contestants, rounds=rounds, round_seconds=round_seconds, progress=progress)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    rows = [
        {
            "workload": "data",
            "name": source,
            "size": list(shape),
            "batch_size": config.training.batch_size if name == "batches" else None,
            "precision": "uint8",
            "engine": name,
            **figures(timing, timings["plain"]),
        }
        for name, timing in timings.items()
    ]
    return {"machine": {**describe_machine(), "versions": versions(), "threads": available_cores()}, "rows": rows}


def as_files(dataset: DataSet, folder: Path) -> Path:
    """The folder of ``dataset``; of a built-in, the training pairs as JPEG files in ``folder``."""
    if dataset.found is not None:
        return find_folder(dataset.config.source).resolve()
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        for index, read in enumerate(readers(dataset, split)):
            pair = Image.fromarray(np.concatenate(read(), axis=1))
            pair.save(folder / split / f"{index:06d}.jpg", quality=95)
    return folder


def build_plain(config: RunConfig, _home: Path) -> tuple[Step, int]:
    """Open, decode and resize each pair on all cores, in threads: Pillow releases the interpreter's lock."""
    data = config.data
    shape = data.load_shape if data.jitter else data.crop_shape
    found = open_dataset(data).found
    assert found is not None

    def halves(pair: Pair) -> None:
        for path in pair.files:
            with Image.open(path) as image:
                pixels = image.convert("RGB")
            width = pixels.width // (2 if pair.b is None else 1)
            for left in range(0, pixels.width, width):
                half = pixels.crop((left, 0, left + width, pixels.height))
                half.resize(shape[::-1], FILTERS[data.resize_filter])

    train, pool = found["train"], ThreadPoolExecutor(available_cores())

    def step() -> None:
        for _ in pool.map(halves, train):
            pass

    return step, len(train)


def build_build(config: RunConfig, own_home: Path) -> tuple[Step, int]:
    """A first start: no file's hash is known, and nothing decoded. Clearing up after it does not count."""
    os.environ["P2PBENCH_HOME"] = str(own_home)

    def step() -> float:
        decoded(open_dataset(config.data), "train")
        start = time.perf_counter()
        shutil.rmtree(own_home)
        return time.perf_counter() - start

    return step, len(open_dataset(config.data).names["train"])


def build_start(config: RunConfig, own_home: Path) -> tuple[Step, int]:
    """A second start: the files are where they were, and the array is mapped."""
    os.environ["P2PBENCH_HOME"] = str(own_home)

    def step() -> None:
        decoded(open_dataset(config.data), "train")

    step()
    return step, len(open_dataset(config.data).names["train"])


def build_batches(config: RunConfig, own_home: Path) -> tuple[Step, int]:
    """Batch after batch, as training on the host asks for them."""
    import torch

    from p2pbench.data.batches import open_batches

    os.environ["P2PBENCH_HOME"] = str(own_home)
    torch.set_num_threads(available_cores())
    batches = open_batches(decoded(open_dataset(config.data), "train"), config, torch.device("cpu"))
    steps = itertools.count()

    def step() -> None:
        _ = batches[next(steps)]

    return step, config.training.batch_size
