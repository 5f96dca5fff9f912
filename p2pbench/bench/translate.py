"""``bench translate``: reading, translating and writing pictures, beside the generator's forward pass alone."""

from pathlib import Path

import numpy as np
import torch

from p2pbench.bench.clock import Contestant, Step, synchronise
from p2pbench.bench.rows import named
from p2pbench.bench.runtimes import Way, losses, untrained, ways_of
from p2pbench.config.resolve import Resolved
from p2pbench.config.schema import RunConfig
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import open_dataset, wanted_by_role
from p2pbench.data.image_writing import write_like
from p2pbench.data.transforms import conditions_of
from p2pbench.inference.folders import batch_size, translate_files
from p2pbench.inference.generator import Model
from p2pbench.inference.modes import inference, noise
from p2pbench.models.build import build_generator
from p2pbench.system.hardware import available_cores
from p2pbench.training.device import available_device
from p2pbench.training.engine import prepare_engine

N_PICTURES = 48
"""Pictures that a step translates, in three batches at 256x256; a smaller test split is repeated."""


def translate_contestants(resolved: Resolved, scratch: Path, model: Model | None = None) -> list[Contestant]:
    """Ways to translate the test conditions of ``data.source`` at ``data.crop_size``.

    ``bare`` is the generator's forward pass in ``scoring.inference``, in batches as large as ours, on input in memory:
    no files, no conversion. ``files`` is what ``translate`` does: it reads PNG files, and writes what the same network
    makes of them as PNG files. Its goal is at least 0.9 of ``bare``. On a CPU the other rows are the same forward pass
    in other runtimes and precisions, which translate noise-free modes alone.

    Args:
        model: the trained model whose loss of quality is measured in each of them. What is timed without one is
            untrained, which takes the same time.
    """
    config = resolved.config
    files = write_pictures(config, scratch / "pictures")
    row = {
        "name": named(f"{config.generator.name}, {config.scoring.inference}", config, "generator.", "data."),
        "size": list(config.data.crop_shape),
        "batch_size": _batch(config),
        "precision": "tf32" if config.training.precision == "tf32" else "fp32",
    }
    bare = {**row, "engine": "bare"}
    found = [
        Contestant("bare", build_bare, (config,), bare),
        Contestant("files", build_ours, (config, files, scratch / "out"), {**row, "engine": "files"}),
    ]
    if available_device(config.training.device) != "cpu":
        return found
    ways, why_not = ways_of(model or untrained(config), scratch)
    lost = {} if model is None else losses(model, ways, _threads(config))
    if why_not is not None:
        bare["no_runtime"] = why_not
    for way in ways[1:]:
        engine = way.runtime if way.mode == config.scoring.inference else f"{way.runtime}, {way.mode}"
        about = {**row, "engine": engine, "precision": way.precision}
        if way in lost:
            about["loss"] = lost[way]
        found.append(Contestant(f"{engine} {way.precision}", build_bare, (config, way), about))
    return found


def write_pictures(config: RunConfig, folder: Path) -> list[Path]:
    """Write ``N_PICTURES`` test conditions of ``config.data`` as files."""
    pairs = decoded(open_dataset(config.data), "test")
    limits = wanted_by_role(config.data)[0].range
    chosen = (np.array(conditions_of(pairs[n % len(pairs)], config.data)) for n in range(N_PICTURES))
    return [write_like(Path(f"{n:03d}.png"), image, folder, limits) for n, image in enumerate(chosen)]


def build_bare(config: RunConfig, way: Way | None = None) -> tuple[Step, int]:
    """The generator's forward pass in batches, and nothing else."""
    device = prepare_engine(config.training).device
    way = way or Way("torch", "fp32", config.scoring.inference)
    generator = way.generator(build_generator(config), _threads(config)).to(device)
    batch = torch.rand(_batch(config), config.data.channels[0], *config.data.crop_shape, device=device) * 2 - 1
    noises = [noise(0, 0) for _ in batch]

    def step() -> None:
        with inference(generator, way.mode) as (network, random):
            for start in range(0, N_PICTURES, len(batch)):
                given = batch[: N_PICTURES - start]
                random[:] = noises[: len(given)]
                network(given)
        synchronise()

    return step, N_PICTURES


def build_ours(config: RunConfig, files: list[Path], out: Path) -> tuple[Step, int]:
    """``translate`` from files to files."""
    device = prepare_engine(config.training).device
    model = Model("untrained", config, build_generator(config).to(device), None)

    def step() -> None:
        for _, made in translate_files(model, files, out):
            if not isinstance(made, Path):
                raise made

    return step, len(files)


def _threads(config: RunConfig) -> int:
    return config.training.threads or available_cores()


def _batch(config: RunConfig) -> int:
    return min(N_PICTURES, batch_size(np.empty((*config.data.crop_shape, 0))))
