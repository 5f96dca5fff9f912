"""``bench score``: scoring, beside the networks' forward passes and scikit-image's SSIM, which it cannot do without."""

from typing import Any

import numpy as np

from p2pbench.bench.clock import Contestant, Step
from p2pbench.bench.rows import named
from p2pbench.config.metrics import METRICS
from p2pbench.config.schema import RunConfig
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import open_dataset
from p2pbench.data.images import as_scored
from p2pbench.data.transforms import targets_of
from p2pbench.errors import ConfigError
from p2pbench.scoring import lpips, weights
from p2pbench.scoring.evaluate import evaluate
from p2pbench.scoring.paired import SSIM_SETTINGS
from p2pbench.system.hardware import available_cores, on_all_cores

MAX_IMAGES = 32
"""Test images that a step scores, at most."""
NETWORKS = ("alex", "squeeze", "vgg")
"""The networks of LPIPS and ``fd-alexnet``, whose images are not resized."""
IMAGE_METRICS = ("l1", "psnr", "ssim", "sharpness", "hist-l", "hist-a", "hist-b", "swd")
"""Scores that need no network."""


def score_contestants(config: RunConfig) -> list[Contestant]:
    """Ways to score the first 32 test pairs of ``data.source``, at ``data.crop_size``.

    ``bare`` is what scoring cannot do without: each network that is on this machine (AlexNet, SqueezeNet, VGG) runs
    once over either side, as torchvision gives it, on random input in memory, and scikit-image's SSIM is spread over
    all cores. ``bare, channels last`` has the networks in the layout that ours have. ``one pass`` computes every score
    that needs only images and these networks, intervals included; the targets' features are cached by an earlier pass,
    as from the second cell of a study on. Its goal is at most 1.15 times ``bare``.
    """
    if config.data.channels[1] != 3:
        raise ConfigError("bench score scores RGB images; leave data.channels out")
    decoded(open_dataset(config.data), "test")  # here, where a mistake is one line
    nets = [net for net in NETWORKS if weights.usable(net)]
    row = {
        "name": named(f"{config.data.source}, {' + '.join(nets) or 'no network'}, SSIM", config, "data."),
        "size": list(config.data.crop_shape),
        "batch_size": len(_pairs(config)[0]),
        "precision": "fp32",
    }
    return [
        Contestant("bare", build_bare, (config, nets, False), {**row, "engine": "bare"}),
        Contestant("bare, channels last", build_bare, (config, nets, True), {**row, "engine": "bare, channels last"}),
        Contestant("one pass", build_ours, (config, nets), {**row, "engine": "one pass"}),
    ]


def build_bare(config: RunConfig, nets: list[str], channels_last: bool) -> tuple[Step, int]:
    """The networks' forward passes over both sides, and SSIM in threads, because scikit-image releases the lock."""
    import torch
    from skimage.metrics import structural_similarity

    torch.set_num_threads(available_cores())
    fakes, targets = _pairs(config)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    models = [_bare(net).to(memory_format=layout) for net in nets]
    size = lpips.chunk_size(*config.data.crop_shape)
    chunks = [len(fakes[start : start + size]) for start in range(0, len(fakes), size)]
    images = torch.randn(size, 3, *config.data.crop_shape).to(memory_format=layout)

    def step() -> None:
        with torch.inference_mode():
            for model in models:
                for count in (*chunks, *chunks):
                    model(images[:count])
        on_all_cores(lambda fake, target: structural_similarity(fake, target, **SSIM_SETTINGS), fakes, targets)

    return step, len(fakes)


def _bare(net: str) -> Any:
    """torchvision's ``features`` up to the last layer that LPIPS compares."""
    import torchvision

    model = getattr(torchvision.models, lpips.MODELS[net])(weights=None)
    model.load_state_dict(lpips.backbone_tensors(weights.obtain(net, None, fetch=False)), strict=False)
    return model.features[: lpips.TAPS[net][-1] + 1].eval().requires_grad_(False)


def build_ours(config: RunConfig, nets: list[str]) -> tuple[Step, int]:
    """Every score that needs only images and these networks."""
    import torch

    torch.set_num_threads(available_cores())
    fakes, targets = _pairs(config)
    metrics = [name for name, metric in METRICS.items() if name in IMAGE_METRICS or metric.net in nets]
    names = [str(index) for index in range(len(fakes))]

    def step() -> None:
        evaluate(fakes, targets, names, metrics, fetch=False)

    return step, len(fakes)


def _pairs(config: RunConfig) -> tuple[np.ndarray, np.ndarray]:
    """Targets of the test split, and as fakes the targets of other pairs: real images that never match."""
    pairs = decoded(open_dataset(config.data), "test")[:MAX_IMAGES]
    targets = as_scored(targets_of(np.array(pairs), config.data))
    return np.roll(targets, 1, axis=0), targets
