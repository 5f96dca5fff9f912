"""Scores of sets: torch-fidelity's whole calculation, formulas written out, and what is said where one is missing.

Networks have weights of the right layout and random content, except where the shared ones are.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from p2pbench.config.metrics import Score
from p2pbench.scoring import weights
from p2pbench.scoring.distribution import kid_subset_size, of_features
from p2pbench.scoring.evaluate import evaluate
from p2pbench.scoring.features import Extractor
from p2pbench.scoring.frechet import frechet_distance
from p2pbench.system.files import sha256_of

OF_INCEPTION = ["kid-paired", "fid", "kid", "precision", "recall", "density", "coverage", "mind"]
PSEUDO = ["kid-paired", "precision", "recall", "mind", "kid-paired-alexnet", "mind-alexnet", "swd"]
"""Those that have pseudo-values with 6 images."""
OF_SETS = [*OF_INCEPTION, "kid-paired-alexnet", "mind-alexnet", "fd-alexnet", "swd"]


def images(n: int, seed: int) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    return blocks.repeat(4, 1).repeat(4, 2)


def vectors(n: int, seed: int, d: int = 6, scale: float = 1.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).normal(size=(n, d))).astype(np.float32)


@pytest.fixture
def here(inception_file: Path, alexnet_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights in which both networks are, and are believed."""
    for net, file in (("inception", inception_file), ("alex", alexnet_file)):
        known = replace(weights.NETS[net], files={file.name: sha256_of(file)}, url="http://127.0.0.1:9/closed")
        monkeypatch.setitem(weights.NETS, net, known)
        (tmp_path / file.name).symlink_to(file)
    return tmp_path


def scores(
    fakes: np.ndarray, targets: np.ndarray, metrics: list[str], weights_dir: Path | None = None
) -> dict[str, Score]:
    names = [str(index) for index in range(len(fakes))]
    return evaluate(fakes, targets, names, metrics, weights_dir=weights_dir, fetch=False).scores


def test_inception_scores_are_torch_fidelitys(inception_file: Path) -> None:
    """In one pass over each set, as in one call of its calculate_metrics."""
    import torch_fidelity
    from torch.utils.data import TensorDataset

    class Images(TensorDataset):
        def __getitem__(self, index: int) -> torch.Tensor:  # type: ignore[override]
            return self.tensors[0][index]

    fakes, targets = images(12, 0), images(12, 1) // 2 + images(12, 0) // 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch-fidelity's own use of deprecated calls
        expected = torch_fidelity.calculate_metrics(
            input1=Images(torch.from_numpy(fakes).permute(0, 3, 1, 2).contiguous()),
            input2=Images(torch.from_numpy(targets).permute(0, 3, 1, 2).contiguous()),
            cuda=False, fid=True, kid=True, prc=True, kid_subset_size=6, cache=False, save_cpu_ram=True, verbose=False,
            feature_extractor="inception-v3-compat", feature_extractor_weights_path=str(inception_file),
        )  # fmt: skip
    extractor = Extractor("inception", inception_file)
    found = of_features(["fid", "kid", "precision", "recall"], extractor.features(fakes), extractor.features(targets))
    # torch-fidelity averages in float32, and its eigenvalues of a rank-deficient product are noisy.
    assert found["fid"].value == pytest.approx(expected["frechet_inception_distance"], rel=1e-4)
    assert found["kid"].value == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-6)
    assert found["kid"].settings["std_over_subsets"] == pytest.approx(expected["kernel_inception_distance_std"])
    assert found["precision"].value == expected["precision"]
    assert found["recall"].value == expected["recall"]


def test_a_frechet_distance_has_pseudo_values_from_three_images_a_feature_on() -> None:
    x, y = vectors(18, 0), vectors(18, 1, scale=2.0)
    few, enough = of_features(["fid"], x[:17], y[:17])["fid"], of_features(["fid"], x, y)["fid"]
    assert few.pseudo_values == "n = 17 is below 3 times its 6 features"
    without = [frechet_distance(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(18)]
    assert enough.pseudo_values == pytest.approx(18 * enough.value - 17 * np.array(without))


def test_kid_is_its_formula_in_a_double_loop() -> None:
    x, y = vectors(8, 0), vectors(8, 1, scale=2.0)
    found = of_features(["kid"], x, y)["kid"]
    assert (found.settings["subsets"], found.settings["subset_size"]) == (100, 4)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((np.dot(a.astype(np.float64), b) / len(a) + 1) ** 3)

    def mmd(of_x: np.ndarray, of_y: np.ndarray) -> float:
        m = len(of_x)
        within = sum(kernel(s[i], s[j]) for s in (of_x, of_y) for i in range(m) for j in range(m) if i != j)
        return within / (m * (m - 1)) - 2 * sum(kernel(a, b) for a in of_x for b in of_y) / m**2

    random = np.random.RandomState(2020)  # torch-fidelity's
    subsets = [mmd(x[random.choice(8, 4, replace=False)], y[random.choice(8, 4, replace=False)]) for _ in range(100)]
    assert found.value == pytest.approx(np.mean(subsets), rel=1e-4)  # float32
    assert found.settings["std_over_subsets"] == pytest.approx(np.std(subsets), rel=1e-4)


def test_kid_in_another_order_differs_by_the_noise_of_its_subsets() -> None:
    x, y = vectors(40, 0), vectors(40, 1, scale=1.5)
    one, other = of_features(["kid"], x, y)["kid"], of_features(["kid"], x[::-1].copy(), y)["kid"]
    assert one.value != other.value
    assert one.value == pytest.approx(other.value, abs=5 * one.settings["std_over_subsets"] / 10)


def test_kid_subsets_fit_the_number_of_images() -> None:
    assert [kid_subset_size(n) for n in (4, 5, 106, 2000, 50_000)] == [2, 2, 53, 1000, 1000]


def test_precision_and_recall_are_their_definition() -> None:
    """Of fakes that cover half of the targets, and some of which are far from any."""
    fakes, targets = vectors(30, 0), vectors(30, 1)
    targets[:15] += 20
    fakes[:6] -= 20

    def share_within_reach(points: np.ndarray, of: np.ndarray) -> float:
        reach = [sorted(np.linalg.norm(of - centre, axis=1))[3] for centre in of]  # the nearest is itself
        near = [any(np.linalg.norm(p - c) <= r for c, r in zip(of, reach, strict=True)) for p in points]
        return float(np.mean(near))

    found = of_features(["precision", "recall"], fakes, targets)
    assert found["precision"].value == pytest.approx(share_within_reach(fakes, targets))
    assert found["recall"].value == pytest.approx(share_within_reach(targets, fakes))
    assert found["precision"].value <= 24 / 30
    assert found["recall"].value <= 15 / 30
    assert set(of_features(["recall"], fakes, targets)) == {"recall"}


def test_equal_sets_score_perfectly(here: Path) -> None:
    same = images(6, 0)
    found = scores(same, same.copy(), OF_SETS, here)
    values = {name: score.value for name, score in found.items()}
    assert values["fid"] == pytest.approx(0, abs=1e-6)
    assert values["fd-alexnet"] == pytest.approx(0, abs=1e-6)
    assert (values["precision"], values["recall"], values["swd"]) == (1.0, 1.0, 0.0)
    assert values["kid"] is not None
    assert values["kid"] <= 1e-6  # unbiased: at equal sets somewhat below 0


def test_the_order_of_the_images_does_not_matter(here: Path) -> None:
    fakes, targets = images(6, 0), images(6, 1)
    order = [3, 0, 5, 1, 4, 2]
    metrics = [name for name in OF_SETS if not name.startswith("kid")]  # the paired KID is of pairs
    one, other = scores(fakes, targets, metrics, here), scores(fakes[order], targets, metrics, here)
    for name in metrics:
        assert other[name].value == pytest.approx(one[name].value, rel=1e-4)


def test_each_says_how_it_was_measured_and_why_it_has_no_interval(here: Path, inception_file: Path) -> None:
    found = scores(images(6, 0), images(6, 1), OF_SETS, here)
    assert list(found) == OF_SETS
    for name, score in found.items():
        assert (score.state, score.n) == ("measured", 6)
        if name.startswith("kid-paired"):
            assert score.low is not None and score.value is not None and score.high is not None
            assert score.low < score.value < score.high
            assert score.settings["interval"] == "jackknife"
        else:
            assert (score.low, score.high) == (None, None)
            assert str(score.reason).startswith("no interval: ")
        json.dumps(score.to_json(), allow_nan=False)
        if name in OF_INCEPTION:
            assert score.settings["extractor"] == "inception-v3-compat"
            assert score.settings["weights_sha256"] == sha256_of(inception_file)
            assert score.settings["library"].startswith("torch-fidelity ")
    assert found["fid"].notes == ("n = 6 is below 2048: FID is biased upward; compare at equal n only",)
    assert found["fd-alexnet"].notes == ("n = 6 is below 256: FD (AlexNet) is biased upward; compare at equal n only",)
    assert found["precision"].settings["neighbours"] == 3
    without = {name: score.settings["jackknife"] for name, score in found.items() if name not in PSEUDO}
    assert without == {
        "fid": "none: n = 6 is below 3 times its 2048 features",
        "fd-alexnet": "none: n = 6 is below 3 times its 256 features",
        "kid": "none: its subsets are drawn at random",
        "density": "none: they need a few images more than neighbours, and at most 2000",
        "coverage": "none: they need a few images more than neighbours, and at most 2000",
    }
    assert {found[name].settings["jackknife"] for name in PSEUDO} == {"images"}
    assert list(found["swd"].settings["levels"]) == ["32x32", "16x16"]
    assert found["swd"].value == pytest.approx(np.mean(list(found["swd"].settings["levels"].values())))


def test_the_second_cell_makes_no_pass_over_the_targets(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[tuple[str, str]] = []
    original = Extractor.of_batch

    def counting(self: Extractor, of: np.ndarray) -> np.ndarray:
        looked_at.append((self.net, "targets" if np.array_equal(of, targets) else "fakes"))
        return original(self, of)

    monkeypatch.setattr(Extractor, "of_batch", counting)
    targets = images(6, 1)
    first = scores(images(6, 0), targets, OF_SETS, here)
    assert sorted(looked_at) == [(net, of) for net in ("alex", "inception") for of in ("fakes", "targets")]
    looked_at.clear()
    second = scores(images(6, 2), targets, OF_SETS, here)
    assert sorted(looked_at) == [("alex", "fakes"), ("inception", "fakes")]
    looked_at.clear()
    again = scores(images(6, 0), targets, OF_SETS, here)
    assert [again[name].value for name in OF_SETS] == [first[name].value for name in OF_SETS]
    assert second["fid"].value != first["fid"].value


def test_a_network_that_is_not_here_takes_only_its_own_scores_along(
    here: Path, alexnet_file: Path, tmp_path: Path
) -> None:
    (here / "weights-inception-2015-12-05-6726825d.pth").unlink()
    found = scores(images(6, 0), images(6, 1), OF_SETS, here)
    assert [name for name, score in found.items() if score.state == "measured"] == OF_SETS[-4:]
    assert "not on this machine" in str(found["recall"].reason)


def test_weights_with_another_hash_are_not_measured_with(here: Path, alexnet_file: Path) -> None:
    wrong = here / alexnet_file.name
    content = wrong.read_bytes()
    wrong.unlink()
    wrong.write_bytes(content[:-1] + b"!")
    score = scores(images(6, 0), images(6, 1), ["fd-alexnet"], here)["fd-alexnet"]
    assert score.state == "not measured"
    assert "its SHA-256 begins" in str(score.reason)


def test_sets_too_few_or_too_small_are_said_to_be(here: Path) -> None:
    few = scores(images(3, 0), images(3, 1), OF_SETS, here)
    assert {score.reason for name, score in few.items() if name not in ("density", "coverage")} == {
        "needs 4 images or more; there are 3"
    }
    assert few["density"].reason == "needs 6 images or more; there are 3"
    small = scores(images(4, 0)[:, :12], images(4, 1)[:, :12], ["swd", "fd-alexnet"], here)
    assert small["swd"].reason == "needs images of 16 pixels a side or more; these have 12"
    assert small["fd-alexnet"].reason == "needs images of 31 pixels a side or more; these have 12"


@pytest.mark.shared
def test_on_the_facades_blur_and_labels_are_further_off_than_other_photos(shared: Path) -> None:
    pictures = [Image.open(path) for path in sorted((shared / "data" / "facades" / "test").iterdir())[:80]]
    photos = [picture.crop((0, 0, 256, 256)).resize((128, 128)) for picture in pictures]
    labels = [picture.crop((256, 0, 512, 256)).resize((128, 128)) for picture in pictures[:40]]
    targets = np.stack([np.asarray(photo) for photo in photos[:40]])
    sets = {
        "others": photos[40:],
        "blurred": [photo.filter(ImageFilter.GaussianBlur(3)) for photo in photos[:40]],
        "labels": labels,
    }
    values = {
        name: scores(np.stack([np.asarray(i) for i in of]), targets, ["fd-alexnet", "swd"], shared / "weights")
        for name, of in sets.items()
    }
    for metric in ("fd-alexnet", "swd"):
        others, blurred, of_labels = (values[name][metric].value or 0.0 for name in sets)
        assert 1.5 * others < blurred < of_labels
