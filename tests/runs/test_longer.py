"""Longer from shorter: a finished run that kept its checkpoint is the beginning of one of more epochs."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
from program import invoke
from rich.console import Console
from study_workplace import PROTOCOL
from tiny_runs import write_pairs

from p2pbench.config.resolve import parse_set
from p2pbench.config.schema import RunConfig
from p2pbench.data.dataset import open_dataset
from p2pbench.runs.events import Event, Job
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.longer import Kept, kept_checkpoints, shorter
from p2pbench.runs.store import Store
from p2pbench.study.execution import Execution
from p2pbench.study.plan import build_study
from p2pbench.study.runner import Executor, carry_out

WHOLE = ("generator.safetensors", "losses.csv", "scores.json", "per_image.csv", "profile.json")
SETTINGS = ("training.log_every=4", "scoring.every=2", "training.select=l1", "training.sample_every=2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three epochs, three steps each, that kept its checkpoint: ``short``."""
    folder = tmp_path_factory.mktemp("longer")
    pairs = write_pairs(folder / "pairs", {"train": 3, "val": 2, "test": 2})
    (folder / "tiny.yaml").write_text(PROTOCOL.format(source=pairs))
    train(folder, "short", "training.epochs=3", "training.keep_checkpoints=true")
    return folder


def train(folder: Path, name: str, *settings: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("P2PBENCH_HOME", str(folder / "home"))
        sets = [f"--set={setting}" for setting in (*SETTINGS, *settings)]
        return str(invoke("train", "--protocol", folder / "tiny.yaml", *sets, "--out", folder / name).stderr)


def curve(run: Path) -> list[dict[str, str]]:
    """The rows of a curve without the seconds, which no two trainings share."""
    with (run / "curve.csv").open() as stream:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(stream)]


def test_it_goes_on_to_the_bits_of_an_uninterrupted_one_and_says_so(folder: Path) -> None:
    before = {path: path.read_bytes() for path in (folder / "short").rglob("*") if path.is_file()}
    (folder / "apart").mkdir()
    assert "goes on" not in train(folder, "apart/whole", "training.epochs=5")
    assert "goes on from the 3 epochs of run short" in train(folder, "long", "training.epochs=5")
    long, whole = folder / "long", folder / "apart/whole"
    for name in WHOLE:
        assert (long / name).read_bytes() == (whole / name).read_bytes(), name
    assert curve(long) == curve(whole)
    assert [row["epoch"] for row in curve(long)] == ["2", "4", "5"]
    pictures = {path.relative_to(long): path.read_bytes() for path in long.rglob("*.png")}
    assert pictures == {path.relative_to(whole): path.read_bytes() for path in whole.rglob("*.png")}
    status, short = RunFolder(long).status(), RunFolder(folder / "short").status()
    assert status is not None and short is not None
    assert status.goes_on_from == short.run_id
    assert "goes on from" in (long / "log.txt").read_text()
    assert status.training is not None and short.training is not None
    assert status.training.seconds > short.training.seconds
    assert {path: path.read_bytes() for path in before} == before


def test_a_longer_one_of_a_longer_one_takes_the_longest(folder: Path) -> None:
    train(folder, "longer", "training.epochs=4", "training.keep_checkpoints=true")
    assert "goes on from the 4 epochs of run longer" in train(folder, "longest", "training.epochs=5")
    shutil.rmtree(folder / "longer")
    shutil.rmtree(folder / "longest")


OTHER: list[tuple[str, dict[str, Any]]] = [
    ("training", {"epochs": 3}),
    ("training", {"epochs": 2}),
    ("training", {"schedule": "linear-decay"}),
    ("training", {"seed": 1}),
    ("training", {"learning_rate": 1e-3}),
    ("training", {"threads": 2}),
    ("scoring", {"every": 3}),
    ("scoring", {"metrics": ("l1", "psnr", "ssim", "sharpness")}),
    ("generator", {"ngf": 5}),
]


@pytest.mark.parametrize(("section", "other"), OTHER, ids=str)
def test_any_other_difference_is_another_training(folder: Path, section: str, other: dict[str, Any]) -> None:
    (kept,) = kept_checkpoints(folder)
    config = kept.config.changed("training", epochs=9)
    assert begin_of(config, kept, folder) == kept
    assert begin_of(config.changed("scoring", every=0, metrics=("sharpness",)), kept, folder) == kept
    assert begin_of(config.changed("scoring", every=4), kept, folder) == kept
    assert begin_of(config.changed(section, **other), kept, folder) is None


def begin_of(config: RunConfig, kept: Kept, folder: Path) -> Kept | None:
    return shorter([kept], config, open_dataset(config.data).key, RunFolder(folder / "new"))


def test_a_checkpoint_that_cannot_be_used_is_passed_over(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "short", tmp_path / "short")
    shutil.copytree(folder / "pairs", tmp_path / "pairs")
    shutil.copy(folder / "tiny.yaml", tmp_path)
    for path in (tmp_path / "short/checkpoint").glob("step-*"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    train(tmp_path, "long", "training.epochs=5")
    status = RunFolder(tmp_path / "long").status()
    assert status is not None
    assert (status.state, status.goes_on_from) == ("finished", None)
    (tmp_path / "short/config.yaml").write_text("training: {epochs: 0}\n")
    assert kept_checkpoints(tmp_path) == []


def test_a_run_that_kept_its_checkpoint_and_lost_its_generator_has_it_back(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder / "short", tmp_path / "short")
    generator = tmp_path / "short/generator.safetensors"
    whole = generator.read_bytes()
    generator.unlink()
    monkeypatch.setenv("P2PBENCH_HOME", str(folder / "home"))
    invoke("train", "--resume", "--out", tmp_path / "short")
    assert generator.read_bytes() == whole
    assert (tmp_path / "short/losses.csv").read_bytes() == (folder / "short/losses.csv").read_bytes()


class Idle:
    """An executor that carries out nothing."""

    stopping = False

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        return iter(())


def test_ablate_says_which_cells_go_on(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("which.yaml").write_text(
        f"protocol: {folder}/tiny.yaml\nbaseline: {{objective: l1}}\nfactors: {{objective: [l1, l1+cgan]}}\n"
    )
    (kept,) = kept_checkpoints(folder)
    shutil.copytree(kept.run.path, f"runs/cells/{kept.run_id}")
    study = build_study("which.yaml", None, {**parse_set(list(SETTINGS)), "training.epochs": 5}, [0, 1])
    printed = StringIO()
    carry_out(
        study,
        Store(Path("runs")),
        Execution(),
        console=Console(file=printed, width=200),
        executor=cast("Executor", Idle()),
    )
    lines = [line for line in printed.getvalue().splitlines() if "goes on" in line]
    assert lines == [f"l1+cgan seed 0 goes on from the 3 epochs of run {kept.run_id}"]
