"""Networks of later papers in training: a resumed run ends with the same bits, whatever they keep beside weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from p2pbench.config.schema import RunConfig
from p2pbench.errors import Interrupted
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
}  # fmt: skip


def trained(config: RunConfig, folder: Path, stop_at: int | None = None) -> tuple[dict[str, torch.Tensor], bytes]:
    """The generator's tensors and the losses after training on four pairs, each the negative of its condition."""
    a = np.random.default_rng(0).integers(0, 256, (4, 3, 3, 3), dtype=np.uint8).repeat(6, 1).repeat(6, 2)
    steps = 0

    def progress(done: int, total: int) -> None:
        nonlocal steps
        steps += 1

    reporter = Reporter(progress, lambda *_: None, lambda: stop_at is not None and steps + 1 >= stop_at)
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
