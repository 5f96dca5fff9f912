"""FCN-scores: hand-made confusion matrices, laws, the network that is trained once, both directions end to end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from program import document, error_of, invoke
from tiny_runs import TINY

from p2pbench.config.metrics import FCN_RECIPE, FCN_SCORES, Score
from p2pbench.config.schema import DataConfig, RunConfig, ScoringConfig
from p2pbench.data.dataset import open_dataset
from p2pbench.data.facades import CLASSES
from p2pbench.data.label_classes import PALETTES, name_of
from p2pbench.runs.cell import Watcher, run_cell
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.score_run import record_scores
from p2pbench.runs.store import Store
from p2pbench.scoring import segmenter
from p2pbench.scoring.confusion import (
    class_accuracies,
    class_ious,
    confusion_matrices,
    left_out,
    mean_over_classes,
    pixel_accuracy,
)
from p2pbench.scoring.evaluate import Scores, evaluate
from p2pbench.scoring.segmentation import ClassReader, NoReader, find_reader
from p2pbench.scoring.segmenter_training import read, train
from p2pbench.study.plan import build_study
from p2pbench.system.progress import Count

CPU = torch.device("cpu")
COLOURS = np.array(list(CLASSES.values()), np.uint8)


def label_maps(n: int, seed: int = 0, side: int = 16) -> np.ndarray:
    """(N, side, side, 3): blocks of 4x4 pixels of random classes."""
    classes = np.random.default_rng(seed).integers(0, 12, (n, side // 4, side // 4))
    return COLOURS[classes.repeat(4, 1).repeat(4, 2)]


def photographs_of(labels: np.ndarray) -> np.ndarray:
    """Something that shows the labels in other colours."""
    return (255 - labels // 2).astype(np.uint8)


@pytest.fixture
def facades(tmp_path: Path) -> Path:
    """Eight training and four test pairs, photo left and labels right, in a folder whose name says the palette."""
    root = tmp_path / "facades"
    for split, n, seed in (("train", 8, 0), ("test", 4, 1)):
        (root / split).mkdir(parents=True)
        for index, labels in enumerate(label_maps(n, seed)):
            both = np.concatenate([photographs_of(labels), labels], axis=1)
            Image.fromarray(both).save(root / split / f"{index}.png")
    return root


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Trainings of eight steps; the number of photographs of each."""
    return train_here(monkeypatch, 8)


def train_here(monkeypatch: pytest.MonkeyPatch, steps: int) -> list[int]:
    """Train in this process, which is quicker than in one of its own."""
    done: list[int] = []

    def here(photos: np.ndarray, classes: np.ndarray, n_classes: int, test: np.ndarray, progress: Count) -> Any:
        done.append(len(photos))
        network = train(photos, classes, n_classes, steps, progress)
        return network.state_dict(), read(network, test, CPU)

    monkeypatch.setattr(segmenter, "train_apart", here)
    return done


# ---- from confusion matrices to scores


def test_scores_of_a_confusion_matrix_made_by_hand() -> None:
    # Rows are true classes; the last column is void, to be found where a class is true is wrong. Class 2 is absent.
    matrix = np.array([[6, 2, 0, 0], [1, 2, 0, 1], [0, 0, 0, 0]])
    assert pixel_accuracy(matrix) == pytest.approx(8 / 12)
    assert class_accuracies(matrix)[:2].tolist() == [6 / 8, 2 / 4]
    assert class_ious(matrix)[:2].tolist() == [6 / (8 + 7 - 6), 2 / (4 + 4 - 2)]
    assert np.isnan(class_accuracies(matrix)[2])
    assert mean_over_classes(class_accuracies(matrix)) == pytest.approx((6 / 8 + 2 / 4) / 2)
    assert mean_over_classes(class_ious(matrix)) == pytest.approx((6 / 9 + 2 / 6) / 2)


def test_a_class_that_is_nowhere_but_found_counts_against_the_others() -> None:
    matrix = np.array([[6, 2, 0], [0, 0, 0]])
    assert mean_over_classes(class_ious(matrix)) == pytest.approx(6 / 8)


def test_without_each_image_the_classes_of_the_whole_set_are_kept() -> None:
    confusions = np.random.default_rng(0).integers(0, 50, (5, 4, 5))
    confusions[1:, 2] = 0  # class 2 is in the first image alone, class 3 in none
    confusions[:, 3] = 0
    for each in (class_accuracies, class_ious):
        whole = each(confusions.sum(axis=0))
        found = left_out(each, confusions)
        for image in range(5):
            kept = each(np.delete(confusions, image, 0).sum(axis=0))
            if image == 0:
                assert np.isnan(kept[2])
                kept[2] = whole[2]
            assert found[image] == pytest.approx(kept[:3].mean())
        assert mean_over_classes(whole) == pytest.approx(whole[:3].mean())


def test_class_scores_have_pseudo_values_and_pixel_accuracy_has_values() -> None:
    fakes, targets = label_maps(6), label_maps(6, 1)
    fakes[:, :8] = targets[:, :8]
    found = evaluate(fakes, targets, list("abcdef"), FCN_SCORES, classes=ClassReader(PALETTES["facades"]))
    assert found.pseudo_values.keys() == {"fcn-class", "fcn-iou"}
    assert found.per_image.keys() == {"fcn-pixel"}
    confusions = ClassReader(PALETTES["facades"]).confusions(fakes, targets)
    value = found.scores["fcn-iou"].value
    assert value is not None
    assert found.pseudo_values["fcn-iou"] == pytest.approx(6 * value - 5 * left_out(class_ious, confusions))
    assert found.scores["fcn-iou"].settings["jackknife"] == "images"


def test_confusion_matrices_count_pixels_and_leave_void_out() -> None:
    true = np.array([[[0, 0], [1, 2]], [[2, 2], [1, 1]]], np.uint8)  # 2 is void
    found = np.array([[[0, 1], [2, 0]], [[0, 1], [1, 1]]], np.uint8)
    assert confusion_matrices(true, found, 2).tolist() == [[[1, 1, 0], [0, 0, 1]], [[0, 0, 0], [0, 2, 0]]]


@given(st.integers(1, 5), st.integers(0, 1000))
def test_label_maps_score_perfectly_against_themselves(n: int, seed: int) -> None:
    maps = label_maps(n, seed)
    found = evaluate(maps, maps, [str(i) for i in range(n)], FCN_SCORES, classes=ClassReader(PALETTES["facades"]))
    for name in FCN_SCORES:
        assert found.scores[name].value == 1
        assert found.scores[name].low == (None if n == 1 else 1)
        assert "real_photos" not in found.scores[name].settings


@given(st.permutations(range(6)))
def test_the_order_of_images_does_not_matter(order: list[int]) -> None:
    reader = ClassReader(PALETTES["facades"])
    fakes, targets = label_maps(6), label_maps(6, 1)
    fakes[:, :8] = targets[:, :8]
    names = list("abcdef")
    one = evaluate(fakes, targets, names, FCN_SCORES, classes=reader).scores
    other = evaluate(fakes[order], targets[order], names, FCN_SCORES, classes=reader).scores
    for name in FCN_SCORES:
        for key in ("value", "low", "high"):
            assert getattr(one[name], key) == pytest.approx(getattr(other[name], key), rel=1e-9)
        low, value, high = one[name].low, one[name].value, one[name].high
        assert low is not None and value is not None and high is not None
        assert 0 <= low <= value <= high <= 1


def test_noise_of_jpeg_changes_no_class(tmp_path: Path) -> None:
    maps = label_maps(3, side=64)
    noisy = maps.astype(int) + np.random.default_rng(0).integers(-8, 9, maps.shape)
    palette = PALETTES["facades"]
    assert (palette.classes_of(noisy.clip(0, 255).astype(np.uint8)) == palette.classes_of(maps)).all()


def test_palettes_are_told_by_name_and_by_their_pixels() -> None:
    assert name_of("drawn:5:1", None) == name_of("drawn", None) == name_of("some/where/facades", None) == "facades"
    assert name_of("cityscapes", None) == name_of("mine", "cityscapes") == "cityscapes"
    assert name_of("photos", None) is name_of("mine", None) is None
    field = ScoringConfig.model_fields["palette"].annotation
    assert all(f"'{name}'" in str(field) for name in PALETTES)
    facades = PALETTES["facades"]
    assert facades.is_of(label_maps(2))
    assert not facades.is_of(photographs_of(label_maps(2)))
    cityscapes = PALETTES["cityscapes"]
    assert len(cityscapes.classes) == 19
    colours = np.array([[[*cityscapes.classes.values(), *cityscapes.void]]], np.uint8)
    assert cityscapes.classes_of(colours)[0, 0].tolist() == [*range(19), *[19] * len(cityscapes.void)]


def test_pixels_that_are_void_do_not_count() -> None:
    cityscapes = PALETTES["cityscapes"]
    road, car = cityscapes.classes["road"], cityscapes.classes["car"]
    target = np.full((2, 16, 16, 3), road, np.uint8)
    target[:, :8] = 0  # void
    fake = np.full_like(target, car)
    fake[0, 8:] = road
    fake[1, 8:12] = road
    fake[1, 12:] = 0  # to be void where a class is true is wrong
    found = evaluate(fake, target, ["a", "b"], FCN_SCORES, classes=ClassReader(cityscapes)).scores
    assert [found[name].value for name in FCN_SCORES] == [0.75, 0.75, 0.75]
    blank = np.zeros_like(target)
    found = evaluate(fake, blank, ["a", "b"], FCN_SCORES, classes=ClassReader(cityscapes)).scores
    assert found["fcn-iou"].reason == "2 of 2 label maps show no class of the palette"


def test_a_label_map_without_any_class_costs_that_image_alone() -> None:
    cityscapes = PALETTES["cityscapes"]
    colours = np.array(list(cityscapes.classes.values())[:4], np.uint8)
    target = colours[np.random.default_rng(0).integers(0, 4, (5, 16, 16))]
    fake = colours[np.random.default_rng(1).integers(0, 4, (5, 16, 16))]
    target[2] = 0  # void
    shown = [0, 1, 3, 4]
    found = evaluate(fake, target, list("abcde"), FCN_SCORES, classes=ClassReader(cityscapes))
    wanted = evaluate(fake[shown], target[shown], list("abde"), FCN_SCORES, classes=ClassReader(cityscapes))
    for name in FCN_SCORES:
        score = found.scores[name]
        assert (score.value, score.low, score.n) == (wanted.scores[name].value, wanted.scores[name].low, 4)
        assert "1 of 5 label maps show no class of the palette and are left out" in score.notes
    assert np.isnan(found.per_image["fcn-pixel"]).tolist() == [False, False, True, False, False]
    for name, pseudo in found.pseudo_values.items():
        assert np.isnan(pseudo).tolist() == [False, False, True, False, False]
        assert pseudo[shown].tolist() == wanted.pseudo_values[name].tolist()


# ---- the network


def reader_of(source: Path, direction: str = "BtoA", **more: Any) -> ClassReader | NoReader:
    config = DataConfig(source=str(source), direction=direction, crop_size=16, load_size=18, **more)  # type: ignore[arg-type]
    return find_reader(open_dataset(config), None, CPU)


def test_it_is_trained_once_for_all_variants_and_to_the_same_bits(facades: Path, trainings: list[int]) -> None:
    first = reader_of(facades)
    assert isinstance(first, ClassReader)
    assert first.segmenter is not None
    for again in (reader_of(facades, jitter=False, mirror=False), reader_of(facades, channels=(1, 3))):
        assert isinstance(again, ClassReader)
        assert again.segmenter is not None
        assert again.segmenter.sha256 == first.segmenter.sha256
        assert (again.segmenter.real == first.segmenter.real).all()
    assert trainings == [8]
    (kept,) = Path(segmenter.home() / "segmenters").glob("*.safetensors")
    whole = kept.read_bytes()
    for damaged in (whole[:-1], whole[:-8] + b"\0" * 8):
        kept.write_bytes(damaged)
        assert isinstance(reader_of(facades), ClassReader)
        assert kept.read_bytes() == whole  # trained anew, to the same bits
    assert len(trainings) == 3


def test_it_learns_and_real_photographs_score_better_than_others(
    facades: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_here(monkeypatch, 80)
    reader = reader_of(facades)
    assert isinstance(reader, ClassReader)
    targets = photographs_of(label_maps(4, 1))
    by_images = {"real": targets, "shuffled": targets[[1, 2, 3, 0]], "noise": 255 - targets}
    values = {}
    for name, images in by_images.items():
        found = evaluate(images, targets, list("abcd"), FCN_SCORES, classes=reader).scores
        values[name] = [float(found[score].value or 0) for score in FCN_SCORES]
        for score in FCN_SCORES:
            assert found[score].settings["real_photos"] == reader.ceilings[score]
            assert f"{reader.ceilings[score]:.3f}" in found[score].notes[0]
    assert values["real"] == pytest.approx([reader.ceilings[name] for name in FCN_SCORES])
    assert min(np.subtract(values["real"], values["shuffled"])) > 0.1


def test_a_mirrored_image_is_read_as_the_mirror_of_the_image() -> None:
    palette = PALETTES["facades"]
    network = segmenter.build(12, (16, 16)).eval()
    images = photographs_of(label_maps(3))
    found = segmenter.Segmenter(network, CPU, np.zeros((0, 12, 13)), "").classes_of(images)
    mirrored = segmenter.Segmenter(network, CPU, np.zeros((0, 12, 13)), "").classes_of(images[:, :, ::-1])
    assert found.shape == (3, 16, 16)
    assert found.max() < len(palette.classes)
    assert (mirrored[:, :, ::-1] == found).mean() > 0.99  # but for ties that rounding decides


def test_a_score_by_a_network_of_an_earlier_recipe_is_made_anew(tmp_path: Path, tiny: Callable[..., RunConfig]) -> None:
    run, config = RunFolder(tmp_path), tiny(scoring__metrics=["fcn-pixel"], scoring__palette="facades")
    for settings, missing in (
        ({"network_sha256": "0", "network_recipe": FCN_RECIPE}, []),
        ({"network_sha256": "0"}, ["fcn-pixel"]),
        ({}, []),  # label maps, which no network reads
    ):
        score = Score("fcn-pixel", 1, 0.5, settings={"palette": "facades", **settings})
        record_scores(run, Scores(1, {"fcn-pixel": score}, ["a"], {"fcn-pixel": np.array([0.5])}))
        assert run.missing_scores(config) == missing


def test_where_photographs_become_labels_no_network_is_trained(facades: Path, trainings: list[int]) -> None:
    reader = reader_of(facades, "AtoB")
    assert isinstance(reader, ClassReader)
    assert reader.segmenter is None
    assert trainings == []


def test_data_without_labels_say_why_and_the_way_out(pairs_folder: Path, trainings: list[int]) -> None:
    unknown = reader_of(pairs_folder)
    assert isinstance(unknown, NoReader)
    assert "--set scoring.palette=" in unknown.reason
    config = DataConfig(source=str(pairs_folder), crop_size=16, load_size=18)
    none = find_reader(open_dataset(config), "facades", CPU)
    assert isinstance(none, NoReader)
    assert "neither side" in none.reason
    assert trainings == []
    fakes = np.zeros((2, 16, 16, 3), dtype=np.uint8)
    found = evaluate(fakes, fakes, ["a", "b"], list(FCN_SCORES), classes=none).scores["fcn-pixel"]
    assert (found.value, found.settings["palette"]) == (None, none.palette)  # or each ablate would score it again


# ---- a study


def test_cells_of_a_study_share_one_network(
    facades: Path, trainings: list[int], tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    settings = {
        **TINY, "data.source": str(facades), "data.direction": "BtoA", "scoring.metrics": ["l1", *FCN_SCORES]
    }  # fmt: skip
    (tmp_path / "two.yaml").write_text("baseline: {objective: l1}\nfactors: {objective: [l1, l1+cgan]}\n")
    store = Store(tmp_path / "runs")
    watcher = Watcher(lambda _: None, lambda *_: None, lambda: False)
    found = []
    for cell in build_study(str(tmp_path / "two.yaml"), "quick", settings, [0]).cells:
        run = store.run(str(cell.run_id))
        run_cell(
            cell.config, run, watcher, modes=["paper"], wait=False, threads=1, weights_dir=None, fetch=False
        )  # fmt: skip
        assert run.missing_scores(cell.config) == []
        found.append(run.scores())
        assert "fcn-pixel" in run.per_image_file.read_text().splitlines()[0]
    assert trainings == [8]
    for name in FCN_SCORES:
        ceilings = {scores[name].settings["real_photos"] for scores in found}
        assert len(ceilings) == 1
        assert all(scores[name].state == "measured" for scores in found)


# ---- the command line


def write(folder: Path, images: np.ndarray) -> Path:
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index}.png")
    return folder


def test_label_maps_in_folders_need_a_palette_and_no_data(tmp_path: Path) -> None:
    targets = label_maps(4)
    fakes = targets.copy()
    fakes[:, :4] = COLOURS[0]
    fake, target = write(tmp_path / "fake", fakes), write(tmp_path / "target", targets)
    arguments = ("score", "--fake", fake, "--target", target)
    found = document(*arguments, "--set", "scoring.palette=facades", "--metrics", ",".join(FCN_SCORES))["scores"]
    assert 0.7 < found["fcn-pixel"]["value"] < 1
    assert found["fcn-pixel"]["low"] <= found["fcn-pixel"]["value"] <= found["fcn-pixel"]["high"]
    assert found["fcn-iou"]["settings"]["palette"] == "facades"
    without = document(*arguments, "--metrics", "l1,fcn-iou")["scores"]["fcn-iou"]
    assert without["state"] == "not measured"
    assert "--set data.source" in without["reason"]
    assert "--set data.mirror" in error_of(*arguments, "--set", "data.mirror=false", code=2)
    assert "scoring.palette" in error_of(*arguments, "--set", "scoring.palette=mars", code=2)


def test_photographs_in_folders_need_the_data_set_they_are_of(
    facades: Path, trainings: list[int], tmp_path: Path
) -> None:
    photographs = photographs_of(label_maps(4, 1))
    fake, target = write(tmp_path / "fake", photographs[:3]), write(tmp_path / "target", photographs[:3])
    arguments = ("score", "--fake", fake, "--target", target, "--metrics", "fcn-pixel,fcn-iou")
    found = document(*arguments, "--set", f"data.source={facades}")["scores"]
    assert found["fcn-pixel"]["settings"]["real_photos"] == found["fcn-pixel"]["value"]
    text = invoke(*arguments, "--set", f"data.source={facades}").stdout
    assert "the real photos' per-pixel acc., by the same network: 0." in text
    assert trainings == [8]
    for folder in (fake, target):
        (folder / "0.png").rename(folder / "other.png")
    nothing = invoke(*arguments, "--set", f"data.source={facades}", "--json", code=3).stdout
    found = json.loads(nothing)["scores"]["fcn-iou"]
    assert "the first 'other'" in found["reason"]
    json.dumps(found, allow_nan=False)


@pytest.mark.shared
def test_the_real_facades_are_read_on_the_right_side(shared: Path, trainings: list[int]) -> None:
    root = shared / "data" / "facades"
    reader = find_reader(open_dataset(DataConfig(source=str(root), crop_size=32, load_size=36)), None, CPU)
    assert isinstance(reader, ClassReader)
    assert reader.segmenter is None  # AtoB: labels are the targets
    reader = find_reader(
        open_dataset(DataConfig(source=str(root), direction="BtoA", crop_size=32, load_size=36)), None, CPU
    )
    assert isinstance(reader, ClassReader)
    assert trainings == [400]
    assert len(reader.segmenter.real) == 106  # type: ignore[union-attr]
    assert 0 < reader.ceilings["fcn-iou"] <= reader.ceilings["fcn-pixel"] < 1
