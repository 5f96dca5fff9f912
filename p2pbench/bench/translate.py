"""How many pictures ``translate`` reads, translates and writes, beside the generator's forward pass alone."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from p2pbench.bench.measure import Contestant, Step, figures, race
from p2pbench.config.resolve import Resolved
from p2pbench.config.schema import RunConfig
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import open_dataset, wanted_by_role
from p2pbench.data.image_files import write_like
from p2pbench.data.transforms import conditions_of
from p2pbench.errors import StorageError
from p2pbench.inference.folders import batch_size, translate_files
from p2pbench.inference.generator import Model
from p2pbench.inference.modes import inference, noise
from p2pbench.models.build import build_generator
from p2pbench.system.cache_dir import home
from p2pbench.system.hardware import available_cores, describe_machine, versions
from p2pbench.system.progress import Count
from p2pbench.training.engine import prepare_engine

N_PICTURES = 48
"""Of the test split, over again where it has fewer: a step translates them all, in three batches at 256x256."""
BARE, OURS = "bare", "files"


def bench_translate(
    resolved: Resolved, *, rounds: int = 20, round_seconds: float = 0.6, progress: Count
) -> dict[str, Any]:
    """The documented JSON of ``bench translate``: test conditions of ``data.source`` at ``data.crop_size``.

    Engines: ``bare`` is the generator's forward pass in ``scoring.inference``, in batches as large as ours, on input
    that lies ready: no files, no conversion. ``files`` is what ``translate`` does: it reads PNG files, and writes what
    the same network makes of them as PNG files. Its target: at least 0.9 of ``bare``. The generator is untrained, which
    takes the same time.
    """
    config = resolved.config
    try:
        home().mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="bench-", dir=home()))
    except OSError as error:
        raise StorageError(f"{home()} cannot be written: {error.strerror}; set P2PBENCH_HOME") from None
    try:
        files = write_pictures(config, scratch / "pictures")
        contestants = [
            Contestant(BARE, build_bare, (config,)),
            Contestant(OURS, build_ours, (config, files, scratch / "out")),
        ]
        timings = race(contestants, rounds=rounds, round_seconds=round_seconds, progress=progress)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    device = torch.device("cuda") if _on_cuda(config) else None
    rows = [
        {
            "workload": "translate",
            "name": f"{config.generator.name}, {config.scoring.inference}",
            "size": list(config.data.crop_shape),
            "batch_size": _batch(config),
            "precision": "tf32" if config.training.precision == "tf32" else "fp32",
            "engine": name,
            **figures(timing, timings[BARE]),
        }
        for name, timing in timings.items()
    ]
    return {"machine": {**describe_machine(device), "versions": versions(), "threads": _threads(config)}, "rows": rows}


def write_pictures(config: RunConfig, folder: Path) -> list[Path]:
    """``N_PICTURES`` test conditions of ``config.data`` as files."""
    pairs = decoded(open_dataset(config.data), "test")
    limits = wanted_by_role(config.data)[0].range
    chosen = (np.array(conditions_of(pairs[n % len(pairs)], config.data)) for n in range(N_PICTURES))
    return [write_like(Path(f"{n:03d}.png"), image, folder, limits) for n, image in enumerate(chosen)]


def build_bare(config: RunConfig) -> tuple[Step, int]:
    """The generator's forward pass in batches, and nothing else."""
    device = prepare_engine(config.training, _threads(config)).device
    generator = build_generator(config).to(device)
    batch = torch.rand(_batch(config), config.data.channels[0], *config.data.crop_shape, device=device) * 2 - 1
    own = [noise(0, 0) for _ in batch]

    def step() -> None:
        with inference(generator, config.scoring.inference) as (network, random):
            for start in range(0, N_PICTURES, len(batch)):
                given = batch[: N_PICTURES - start]
                random[:] = own[: len(given)]
                network(given)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step, N_PICTURES


def build_ours(config: RunConfig, files: list[Path], out: Path) -> tuple[Step, int]:
    """``translate`` from files to files."""
    device = prepare_engine(config.training, _threads(config)).device
    model = Model("untrained", config, build_generator(config).to(device), None)

    def step() -> None:
        for _, made in translate_files(model, files, out):
            if not isinstance(made, Path):
                raise made

    return step, len(files)


def _batch(config: RunConfig) -> int:
    return min(N_PICTURES, batch_size(np.empty((*config.data.crop_shape, 0))))


def _threads(config: RunConfig) -> int:
    return config.training.threads or available_cores()


def _on_cuda(config: RunConfig) -> bool:
    return config.training.device == "cuda" or (config.training.device == "auto" and torch.cuda.is_available())
