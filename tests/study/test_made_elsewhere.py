"""Images of another program as a variant of a study: scored, recorded and compared as the cells are."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from program import document, error_of, invoke
from study_workplace import make_workplace
from tiny_runs import write_pairs

from p2pbench.data.cache import decoded
from p2pbench.data.dataset import open_dataset
from p2pbench.data.images import as_scored
from p2pbench.data.transforms import targets_of
from p2pbench.report import tables
from p2pbench.report.comparisons import comparisons
from p2pbench.report.records import read_study
from p2pbench.report.samples import choose, pairs_on_page
from p2pbench.runs.housekeeping import verify
from p2pbench.runs.records import StudyFile
from p2pbench.runs.score_run import inference_settings, record_scores
from p2pbench.runs.store import Store
from p2pbench.scoring.evaluate import evaluate
from p2pbench.study.plan import build_study
from p2pbench.study.study_file import write_study

SEEDS = (0, 1, 2)
NAMES = ["000", "001", "002", "003"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two variants and three seeds whose outputs are noisy targets, scored as the program scores."""
    folder = tmp_path_factory.mktemp("elsewhere")
    make_workplace(folder, write_pairs(folder / "pairs", {"train": 2, "test": 4}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        store = Store(Path("runs"))
        study = build_study("two.yaml", None, {}, SEEDS)
        write_study(study, store)
        for cell in study.cells:
            dataset = open_dataset(cell.config.data)
            targets = as_scored(targets_of(np.array(decoded(dataset, "test")), cell.config.data))
            names, settings = dataset.names["test"], inference_settings(cell.config)
            outputs = noisy(targets, 30 if cell.variant == "l1" else 20, cell.seed)
            run = store.run(str(cell.run_id))
            run.path.mkdir(parents=True)
            run.write_config(cell.config)
            record_scores(run, evaluate(outputs, targets, names, ["l1", "psnr", "ssim"], settings=settings))
            run.set_status("finished", training={"steps": 1, "seconds": 1.0, "seconds_per_step": 1.0,
                                                 "peak_memory_bytes": 1})  # fmt: skip
        for seed in SEEDS:
            write_images(Path(f"mine-{seed}"), dict(zip(NAMES, noisy(targets, 10, 9 + seed), strict=True)))
        write_images(Path("targets"), dict(zip(NAMES, targets, strict=True)))
    return folder


@pytest.fixture(autouse=True)
def store(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return Store(Path("runs"))


def noisy(images: np.ndarray, by: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng([by, seed]).normal(0, by, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)


def write_images(folder: Path, images: dict[str, np.ndarray]) -> None:
    folder.mkdir(exist_ok=True)
    for name, image in images.items():
        Image.fromarray(image).save(folder / f"{name}.png")


def add(folder: str, *more: str, label: str = "mine") -> tuple[str, ...]:
    return ("study", "add", "two", "--label", label, "--fake", folder, *more)


def cells_of(record: StudyFile, variant: str) -> list[int]:
    return [cell.seed for cell in record.cells if cell.variant == variant]


def test_they_are_a_variant_that_is_compared_like_the_rest(store: Store) -> None:
    for seed in SEEDS:
        found = document(*add(f"mine-{seed}", "--seed", str(seed)))
        assert (found["n"], found["matched"], found["seed"]) == (4, "by name", seed)
    scored = document("score", "--fake", "mine-0", "--target", "targets", "--metrics", "l1,ssim")["scores"]
    record = read_study(store, "two")
    (first, *_) = record.of("mine")
    assert first.scores["l1"].value == pytest.approx(scored["l1"]["value"])
    compared = {c.variant: c for c in comparisons(record, "l1")}
    assert compared.keys() == {"l1", "mine"}
    assert compared["mine"].verdict.startswith("better")
    assert compared["mine"].found is not None
    assert compared["mine"].found.n_seeds == 3
    images = (store.run(first.run.path.name).path / "images.json").read_text()
    assert sha256(Path("mine-0/000.png").read_bytes()).hexdigest() in images
    assert list(verify(first.run)) == []
    assert list(tables.printed(record)["variant"]) == ["l1", "l1+cgan (baseline)", "mine"]
    assert all(tables.printed(record)["SSIM ↑"])
    choice = choose(record)
    assert choice is not None
    assert "mine" in [picture.title for picture in pairs_on_page(record, choice)[0].pictures]
    assert document(*add("mine-0"))["run_id"] == first.run.path.name  # again: nothing is new
    write_study(build_study("two.yaml", None, {}, [3]), store)
    grown = store.read_study("two")
    assert cells_of(grown, "mine") == [0, 1, 2]
    assert cells_of(grown, "l1") == [0, 1, 2, 3]


def test_the_ports_results_are_understood_here_and_by_score() -> None:
    port = Path("port")
    port.mkdir()
    for name in NAMES:
        shutil.copy(f"mine-0/{name}.png", port / f"{name}_fake_B.png")
        shutil.copy(f"targets/{name}.png", port / f"{name}_real_B.png")
        shutil.copy(f"mine-1/{name}.png", port / f"{name}_real_A.png")
    found = document(*add("port"))
    assert found["matched"] == "by name"
    plain = document("score", "--fake", "mine-0", "--target", "targets", "--metrics", "l1")
    assert document("score", "--fake", "port", "--target", "port", "--metrics", "l1") == plain
    assert found["scores"]["l1"]["value"] == pytest.approx(plain["scores"]["l1"]["value"])


def test_images_of_other_names_are_matched_by_order_and_that_is_recorded(store: Store) -> None:
    for number, name in enumerate(NAMES):
        Path(f"mine-0/{name}.png").rename(f"mine-0/out{number + 8}.png")  # 8, 9, 10, 11: by number, not by letter
    found = document(*add("mine-0"))
    assert found["matched"] == "by order"
    record = (store.run(found["run_id"]).path / "images.json").read_text()
    assert '"matched": "by order"' in record
    assert '"file": "out11.png"' in record


def test_images_that_do_not_fit_are_refused_and_change_nothing(store: Store) -> None:
    before = store.study_file("two").read_bytes()
    Path("mine-0/003.png").unlink()
    assert "lacks the output of 1 of 4 test pairs, the first '003'" in error_of(*add("mine-0"), code=3)
    write_images(Path("mine-1"), {"extra": np.zeros((16, 16, 3), np.uint8)})
    assert "extra.png belongs to no test pair" in error_of(*add("mine-1"), code=3)
    write_images(Path("mine-2"), {"001": np.zeros((8, 16, 3), np.uint8)})
    assert "001.png is 16x8 with 3 channels, and the study scores 16x16" in error_of(*add("mine-2"), code=3)
    assert "are the targets themselves" in error_of(*add("targets"), code=3)
    message = error_of("score", "--fake", "targets", "--target", "./targets", code=3)
    assert "against themselves" in message
    assert "has a variant of that name" in error_of(*add("targets", label="l1"), code=2)
    assert store.study_file("two").read_bytes() == before


def test_the_same_images_are_no_other_seed_and_no_other_method(store: Store) -> None:
    invoke(*add("mine-0"))
    before = store.study_file("two").read_bytes()
    assert "as 'mine', seed 0" in error_of(*add("mine-0", "--seed", "1"), code=3)
    assert "as 'mine', seed 0" in error_of(*add("mine-0", label="yours"), code=3)
    assert "has other images of 'mine', seed 0" in error_of(*add("mine-1"), code=2)
    assert store.study_file("two").read_bytes() == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="kills processes at moments of the clock")
def test_an_add_that_is_killed_leaves_the_study_whole_and_is_done_by_the_next(store: Store) -> None:
    before = store.read_study("two")
    chance = random.Random(5)
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "p2pbench", *add("mine-0")], env=dict(os.environ), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            process.wait(chance.uniform(1, 5))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        kept = store.read_study("two").cells
        assert kept[: len(before.cells)] == before.cells
        assert document("runs", "verify")["problems"] == []
    found = document(*add("mine-0"))
    assert cells_of(store.read_study("two"), "mine") == [0]
    assert list(verify(store.run(found["run_id"]))) == []
