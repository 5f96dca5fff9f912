"""Twenty steps of a tiny training, against stored losses: a change that is to change no number shows that here.

They pass through the order of the data, jitter, dropout and both updates. To write them anew, on purpose:
``P2PBENCH_WRITE_GOLDEN=1 pytest tests/training/test_golden_losses.py``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from p2pbench.config.schema import RunConfig
from p2pbench.training.engine import prepare_engine
from p2pbench.training.loop import Reporter, train

GOLDEN = Path(__file__).parents[1] / "golden"
RELATIVE = 1e-4
"""Processors differ in how they add up: with the kernels of oneDNN and PyTorch held to SSE4.1, AVX2 and AVX-512 in
turn, the largest difference was 1.5e-6. The two presets differ by 4e-3 at the first step."""


@pytest.mark.parametrize("preset", ["paper", "pytorch"])
def test_twenty_steps_have_the_losses_they_had(preset: str, tiny: Callable[..., RunConfig], tmp_path: Path) -> None:
    blocks = np.random.default_rng(0).integers(0, 256, (10, 9, 9, 3), dtype=np.uint8)
    condition = blocks.repeat(4, 1).repeat(4, 2)
    pairs = np.concatenate([condition, 255 - condition], axis=3)
    config = tiny(
        training__preset=preset, training__epochs=4, training__batch_size=2, training__log_every=1,
        data__load_size=36, data__crop_size=32, generator__ngf=8, discriminator__ndf=8,
    )  # fmt: skip
    reporter = Reporter(lambda _done, _total: None, lambda _epochs, _generator: None, lambda: False)
    train(config, pairs, tmp_path, "id", prepare_engine(config.training, threads=1), reporter)
    text = (tmp_path / "losses.csv").read_text()
    file = GOLDEN / f"losses-{preset}.csv"
    if os.environ.get("P2PBENCH_WRITE_GOLDEN"):
        file.write_text(text)
    names, *rows = (line.split(",") for line in text.splitlines())
    golden_names, *golden_rows = (line.split(",") for line in file.read_text().splitlines())
    assert names == golden_names
    assert len(rows) == len(golden_rows) == 20
    np.testing.assert_allclose(np.array(rows, float), np.array(golden_rows, float), rtol=RELATIVE)
