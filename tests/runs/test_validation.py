"""Scores while a run trains: they change nothing of it, survive an interruption, and select an epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from data.image_doors import Same
from PIL import Image
from tiny_runs import write_pairs

from p2pbench.config.schema import RunConfig
from p2pbench.data.dataset import open_dataset
from p2pbench.errors import Interrupted
from p2pbench.runs.cell import Watcher, run_cell
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.validation import Validation

Train = Callable[..., RunFolder]


@pytest.fixture
def train(tiny: Callable[..., RunConfig], tmp_path: Path) -> Train:
    """Trains for three epochs of four steps; ``stop_at`` asks for a stop after so many steps."""
    source = str(write_pairs(tmp_path / "pairs", {"train": 4, "val": 3, "test": 2}))

    def run(name: str, stop_at: int | None = None, **changes: Any) -> RunFolder:
        config = tiny(data__source=source, training__epochs=3, training__sample_every=9, **changes)
        steps = 0

        def progress(done: int, _total: int) -> None:
            nonlocal steps
            steps = done

        watcher = Watcher(lambda _: None, progress, lambda: stop_at is not None and steps + 1 >= stop_at)
        folder = RunFolder(tmp_path / name)
        run_cell(config, folder, watcher, modes=["paper"], wait=False, threads=1, weights_dir=None, fetch=False)
        return folder

    return run


def test_a_curve_changes_nothing_and_survives_an_interruption(train: Train) -> None:
    plain = train("plain")
    whole = train("whole", scoring__every=1, scoring__metrics=["l1", "ssim", "lpips", "diversity"])
    assert not plain.curve_file.exists()
    assert plain.generator_file.read_bytes() == whole.generator_file.read_bytes()
    assert plain.losses_file.read_bytes() == whole.losses_file.read_bytes()
    curve = pd.read_csv(whole.curve_file)
    assert list(curve) == ["epoch", "step", "seconds", "pairs", "l1", "ssim"]  # no network for LPIPS is here
    assert curve["step"].tolist() == [4, 8, 12]
    assert curve["seconds"].is_monotonic_increasing
    assert "curve.csv" in whole.record_hashes()

    with pytest.raises(Interrupted):
        train("parts", stop_at=6, scoring__every=1, scoring__metrics=["l1", "ssim"])
    parts = RunFolder(whole.path.with_name("parts"))
    with parts.curve_file.open("a") as stream:
        stream.write("2,8,0.5,0.9,0.1\n")  # as where a later checkpoint than the one that is resumed was damaged
    assert train("parts", scoring__every=1, scoring__metrics=["l1", "ssim"]).generator_is_whole()
    pd.testing.assert_frame_equal(pd.read_csv(parts.curve_file).drop(columns="seconds"), curve.drop(columns="seconds"))


@pytest.mark.parametrize("name", ["ssim", "l1"])
def test_the_epoch_is_kept_that_is_best_by_the_score_that_is_named(name: str, train: Train) -> None:
    run = train("selected", training__select=name, scoring__every=1, scoring__metrics=[name])
    curve = pd.read_csv(run.curve_file)[name]
    training = run.training()
    assert training is not None
    assert training.selected is not None
    best = curve.max() if name == "ssim" else curve.min()
    assert training.selected[f"val_{name}"] == pytest.approx(best, rel=1e-5)
    assert curve.tolist()[training.selected["epoch"] - 1] == best


@pytest.mark.parametrize("name", ["sharpness", "psnr"])
def test_an_image_without_a_value_costs_that_image_and_not_the_epoch(
    name: str, tiny: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target of one colour has no sharpness, and an output that is its target no PSNR."""
    source = str(write_pairs(tmp_path / "pairs", {"train": 1, "val": 3, "test": 1}))
    config = tiny(data__source=source, training__select=name)
    validation = Validation(config, open_dataset(config.data), "cpu", None, fetch=False)
    values = np.array([np.nan if name == "sharpness" else np.inf, 0.5, 0.7])
    monkeypatch.setattr(validation, "scores", lambda *_: SimpleNamespace(per_image={name: values}))
    assert validation.distance(Same()) == pytest.approx({"sharpness": 0.4, "psnr": -0.6}[name])
    values[:] = np.nan
    assert validation.distance(Same()) == np.inf


def test_l1_of_16_bits_is_not_cut_to_8(tiny: Callable[..., RunConfig], tmp_path: Path) -> None:
    """Outputs are off by 100 of 65,535, which 8 bits do not show evenly: run ids know one L1, that of version 0.1."""
    condition = np.random.default_rng(0).integers(0, 60000, (16, 16), dtype=np.uint16)
    for split in ("train", "val", "test"):
        for side, image in (("A", condition), ("B", condition + np.uint16(100))):
            (tmp_path / split / side).mkdir(parents=True)
            Image.fromarray(image).save(tmp_path / split / side / "x.png")
    config = tiny(data__source=str(tmp_path), data__channels=[1, 1], training__select="l1")
    validation = Validation(config, open_dataset(config.data), "cpu", None, fetch=False)
    assert validation.distance(Same()) == pytest.approx(100 / 65535, rel=1e-6)
