"""Networks of later papers in training: a resumed run ends with the same bits, whatever they keep beside weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from p2pbench.config.schema import RunConfig
from p2pbench.data.label_classes import PALETTES
from p2pbench.errors import ConfigError, Interrupted
from p2pbench.training.engine import prepare_engine
from p2pbench.training.loop import Reporter, train

Tiny = Callable[..., RunConfig]
LEVELS: dict[str, dict[str, Any]] = {
    "attention, blur": {
        "generator__attention": True, "generator__downsampling": "blur", "generator__upsampling": "bilinear",
    },
    "spade": {"generator__spade": "labels"},
    "nafnet": {"generator__name": "nafnet"},
    "convnext_unet": {"generator__name": "convnext_unet"},
    "blur and attention in D": {
        "discriminator__downsampling": "blur", "discriminator__attention": True, "discriminator__spectral_norm": True,
    },
    "unet D": {"discriminator__name": "unet"},
    "CutMix": {"discriminator__name": "unet", "discriminator__norm": "instance", "objective__cutmix": 4.0},
    "projected D": {
        "discriminator__name": "projected", "discriminator__norm": "instance", "discriminator__spectral_norm": True,
        "objective__name": "l1+gan", "objective__adversarial": "hinge",
    },
    "oasis": {
        "discriminator__name": "oasis", "discriminator__norm": "none", "discriminator__spectral_norm": True,
        "objective__name": "l1+gan", "scoring__palette": "facades",
    },
}  # fmt: skip


def trained(config: RunConfig, folder: Path, stop_at: int | None = None) -> tuple[dict[str, torch.Tensor], bytes]:
    """The generator's tensors and the losses after training on four pairs, each the negative of its condition."""
    a = np.random.default_rng(0).integers(0, 256, (4, 3, 3, 3), dtype=np.uint8).repeat(6, 1).repeat(6, 2)
    steps = 0

    def progress(done: int, total: int) -> None:
        nonlocal steps
        steps += 1

    reporter = Reporter(progress, lambda *_: None, lambda: stop_at is not None and steps + 1 >= stop_at)
    if config.discriminator.name == "oasis":
        a = np.array([*PALETTES["facades"].classes.values()], dtype=np.uint8)[a[..., 0] % 12]
    pairs = np.concatenate([a, 255 - a], axis=3)
    result = train(config, pairs, folder, "id", prepare_engine(config.training, threads=1), reporter)
    return result.generator.state_dict(), (folder / "losses.csv").read_bytes()


@pytest.mark.parametrize("level", LEVELS)
def test_a_resumed_training_ends_with_the_same_bits(level: str, tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(**LEVELS[level])
    whole, losses = trained(config, tmp_path / "whole")
    with pytest.raises(Interrupted):
        trained(config, tmp_path / "parts", stop_at=3)
    torch.manual_seed(99)
    parts, losses_of_parts = trained(config, tmp_path / "parts")
    assert losses == losses_of_parts
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_oasis_refuses_conditions_that_are_no_label_maps(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(**LEVELS["oasis"])
    photos = np.random.default_rng(0).integers(0, 256, (4, 18, 18, 6), dtype=np.uint8)
    reporter = Reporter(lambda *_: None, lambda *_: None, lambda: False)
    with pytest.raises(ConfigError, match=r"label colours of facades: use data\.direction BtoA"):
        train(config, photos, tmp_path, "id", prepare_engine(config.training, threads=1), reporter)
