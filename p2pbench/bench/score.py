"""How long scoring takes beside what it cannot do without: the networks' forward passes, and scikit-image's SSIM."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from p2pbench.bench.measure import Contestant, Step, figures, race
from p2pbench.config.metrics import METRICS
from p2pbench.config.resolve import Resolved
from p2pbench.config.schema import RunConfig
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import open_dataset
from p2pbench.data.images import as_scored
from p2pbench.data.transforms import targets_of
from p2pbench.errors import ConfigError
from p2pbench.scoring import lpips, weights
from p2pbench.scoring.evaluate import evaluate
from p2pbench.scoring.paired import SSIM_SETTINGS
from p2pbench.system.hardware import available_cores, describe_machine, versions
from p2pbench.system.progress import Count

MOST_IMAGES = 32
"""Of the test split: a step scores them all."""
BARE, BARE_CHANNELS_LAST, OURS = "bare", "bare, channels last", "one pass"
NETWORKS = ("alex", "squeeze", "vgg")
"""Those whose images are not resized: what LPIPS and ``fd-alexnet`` look through."""


def bench_score(
    resolved: Resolved,
    *,
    weights_dir: Path | None = None,
    rounds: int = 20,
    round_seconds: float = 0.6,
    progress: Count,
) -> dict[str, Any]:
    """The documented JSON of ``bench score``, for the first 32 test pairs of ``data.source``, at ``data.crop_size``.

    Engines: ``bare`` is what scoring cannot do without: each network that is on this machine (AlexNet, SqueezeNet, VGG)
    runs once over either side, as torchvision gives it, on random input that lies ready, and scikit-image's SSIM is
    spread over all cores. ``bare, channels last`` has the networks in the layout that ours have. ``one pass`` is every
    score that images alone and these networks give, intervals included; the targets' features are kept from a pass
    before, as from the second cell of a study on. Its target: at most 1.15 times ``bare``.
    """
    config = resolved.config
    nets = [net for net in NETWORKS if weights.usable(net, weights_dir)]
    if config.data.channels[1] != 3:
        raise ConfigError("bench score is of RGB images; leave data.channels out")
    contestants = [
        Contestant(BARE, build_bare, (config, nets, weights_dir, False)),
        Contestant(BARE_CHANNELS_LAST, build_bare, (config, nets, weights_dir, True)),
        Contestant(OURS, build_ours, (config, nets, weights_dir)),
    ]
    decoded(open_dataset(config.data), "test")  # here, where a mistake is one line
    timings = race(contestants, rounds=rounds, round_seconds=round_seconds, progress=progress)
    rows = [
        {
            "workload": "score",
            "name": f"{config.data.source}, {' + '.join(nets) or 'no network'}, SSIM",
            "size": list(config.data.crop_shape),
            "batch_size": timing.images_per_step,
            "precision": "fp32",
            "engine": name,
            **figures(timing, timings[BARE]),
            "time_of_bare": 1 / timing.ratio_to(timings[BARE]),
        }
        for name, timing in timings.items()
    ]
    return {"machine": {**describe_machine(), "versions": versions(), "threads": available_cores()}, "rows": rows}


def build_bare(config: RunConfig, nets: list[str], weights_dir: Path | None, channels_last: bool) -> tuple[Step, int]:
    """The networks' forward passes over both sides, and SSIM by threads: scikit-image releases the lock."""
    import torch
    from skimage.metrics import structural_similarity

    torch.set_num_threads(available_cores())
    fakes, targets = _pairs(config)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    models = [_bare(net, weights_dir).to(memory_format=layout) for net in nets]
    size = lpips.chunk_size(*config.data.crop_shape)
    chunks = [len(fakes[start : start + size]) for start in range(0, len(fakes), size)]
    images = torch.randn(size, 3, *config.data.crop_shape).to(memory_format=layout)
    pool = ThreadPoolExecutor(available_cores())

    def step() -> None:
        with torch.inference_mode():
            for model in models:
                for count in (*chunks, *chunks):
                    model(images[:count])
        for _ in pool.map(lambda fake, target: structural_similarity(fake, target, **SSIM_SETTINGS), fakes, targets):
            pass

    return step, len(fakes)


def _bare(net: str, weights_dir: Path | None) -> Any:
    """torchvision's ``features`` up to the last layer that LPIPS compares."""
    import torchvision

    model = getattr(torchvision.models, lpips.MODELS[net])(weights=None)
    model.load_state_dict(lpips.backbone_tensors(weights.obtain(net, weights_dir, fetch=False)), strict=False)
    return model.features[: lpips.TAPS[net][-1] + 1].eval().requires_grad_(False)


def build_ours(config: RunConfig, nets: list[str], weights_dir: Path | None) -> tuple[Step, int]:
    """Every score of images alone and of these networks."""
    import torch

    torch.set_num_threads(available_cores())
    fakes, targets = _pairs(config)
    metrics = [name for name, metric in METRICS.items() if name in OF_IMAGES or metric.net in nets]
    names = [str(index) for index in range(len(fakes))]

    def step() -> None:
        evaluate(fakes, targets, names, metrics, weights_dir=weights_dir, fetch=False)

    return step, len(fakes)


OF_IMAGES = ("l1", "psnr", "ssim", "sharpness", "hist-l", "hist-a", "hist-b", "swd")


def _pairs(config: RunConfig) -> tuple[np.ndarray, np.ndarray]:
    """Targets of the test split, and as fakes those of the next pair: real images, and never alike."""
    pairs = decoded(open_dataset(config.data), "test")[:MOST_IMAGES]
    targets = as_scored(targets_of(np.array(pairs), config.data))
    return np.roll(targets, 1, axis=0), targets
