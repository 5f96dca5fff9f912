"""Settings and pairs with which a run takes a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TINY: dict[str, Any] = {
    "data.load_size": 18,
    "data.crop_size": 16,
    "generator.ngf": 4,
    "discriminator.ndf": 4,
    "discriminator.name": "patch16",
    "training.epochs": 2,
    "training.threads": 1,
    "training.log_every": 2,
    "scoring.metrics": ["l1", "psnr", "ssim"],
}
"""Settings under which a run takes a second: 16x16 images, four channels."""


def write_pairs(root: Path, splits: dict[str, int], size: int = 20) -> Path:
    random = np.random.default_rng(0)
    for split, count in splits.items():
        (root / split).mkdir(parents=True)
        for index in range(count):
            a = random.integers(0, 256, (size // 4, size // 4, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
            Image.fromarray(np.concatenate([a, 255 - a], axis=1)).save(root / split / f"{index:03d}.png")
    return root
