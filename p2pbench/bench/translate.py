"""``bench translate``: reading, translating and writing pictures, beside the generator's forward pass alone."""

from pathlib import Path

import numpy as np
import torch

from p2pbench.bench.clock import Contestant, Step, synchronise
from p2pbench.bench.rows import named
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
from p2pbench.training.engine import prepare_engine

N_PICTURES = 48
"""Pictures that a step translates, in three batches at 256x256; a smaller test split is repeated."""


def translate_contestants(resolved: Resolved, scratch: Path) -> list[Contestant]:
    """Ways to translate the test conditions of ``data.source`` at ``data.crop_size``.

    ``bare`` is the generator's forward pass in ``scoring.inference``, in batches as large as ours, on input in memory:
    no files, no conversion. ``files`` is what ``translate`` does: it reads PNG files, and writes what the same network
    makes of them as PNG files. Its goal is at least 0.9 of ``bare``. The generator is untrained, which takes the same
    time.
    """
    config = resolved.config
    files = write_pictures(config, scratch / "pictures")
    row = {
        "name": named(f"{config.generator.name}, {config.scoring.inference}", config, "generator.", "data."),
        "size": list(config.data.crop_shape),
        "batch_size": _batch(config),
        "precision": "tf32" if config.training.precision == "tf32" else "fp32",
    }
    return [
        Contestant("bare", build_bare, (config,), {**row, "engine": "bare"}),
        Contestant("files", build_ours, (config, files, scratch / "out"), {**row, "engine": "files"}),
    ]


def write_pictures(config: RunConfig, folder: Path) -> list[Path]:
    """Write ``N_PICTURES`` test conditions of ``config.data`` as files."""
    pairs = decoded(open_dataset(config.data), "test")
    limits = wanted_by_role(config.data)[0].range
    chosen = (np.array(conditions_of(pairs[n % len(pairs)], config.data)) for n in range(N_PICTURES))
    return [write_like(Path(f"{n:03d}.png"), image, folder, limits) for n, image in enumerate(chosen)]


def build_bare(config: RunConfig) -> tuple[Step, int]:
    """The generator's forward pass in batches, and nothing else."""
    device = prepare_engine(config.training).device
    generator = build_generator(config).to(device)
    batch = torch.rand(_batch(config), config.data.channels[0], *config.data.crop_shape, device=device) * 2 - 1
    noises = [noise(0, 0) for _ in batch]

    def step() -> None:
        with inference(generator, config.scoring.inference) as (network, random):
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


def _batch(config: RunConfig) -> int:
    return min(N_PICTURES, batch_size(np.empty((*config.data.crop_shape, 0))))
