"""A run of two steps, made by the real program, for tests of what is done with a model."""

from __future__ import annotations

from pathlib import Path

import pytest
from program import invoke
from study_workplace import PROTOCOL
from tiny_runs import write_pairs


def train_run(folder: Path, name: str = "first", **settings: object) -> Path:
    """The folder of a run on the pairs in ``folder``, 16x16 unless ``settings`` (``__`` for the dot) say otherwise."""
    pairs = folder / "pairs"
    if not pairs.is_dir():
        write_pairs(pairs, {"train": 2, "test": 3})
        (folder / "tiny.yaml").write_text(PROTOCOL.format(source=pairs))
    chosen = [f"--set={key.replace('__', '.')}={value}" for key, value in settings.items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("P2PBENCH_HOME", str(folder / "home"))
        invoke(
            "train", "--protocol", folder / "tiny.yaml", "--set=training.epochs=1", "--set=data.mirror=false",
            *chosen, "--out", folder / name,
        )  # fmt: skip
    return folder / name
