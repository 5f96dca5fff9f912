"""Sets that are no pairs: the scores are those of pairs where both apply, and do not know the order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from p2pbench.scoring import weights
from p2pbench.scoring.evaluate import evaluate
from p2pbench.scoring.unpaired import OF_SETS, evaluate_unpaired

IMAGES = np.random.default_rng(1).integers(0, 256, (19, 32, 32, 3), dtype=np.uint8)
OURS, THEIRS = IMAGES[:8] // 2, IMAGES[8:]
NAMES = [name for name in OF_SETS if name.endswith(("alexnet", "set", "swd"))]


@pytest.fixture(autouse=True)
def _weights(alexnet_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "obtain", lambda *_, **__: alexnet_file)


def test_of_as_many_images_they_are_the_scores_of_pairs_in_any_order() -> None:
    paired = evaluate(OURS, THEIRS[:8], [str(n) for n in range(8)], NAMES)
    found = evaluate_unpaired(OURS, THEIRS[:8][::-1], NAMES, settings={"size": [32, 32]})
    for name in NAMES:
        assert found.scores[name].value == pytest.approx(paired.scores[name].value, rel=1e-5)
        assert found.scores[name].low is None
        assert found.scores[name].settings["jackknife"] == "none: outputs and targets are no pairs"
    assert found.per_image == found.pseudo_values == {}


def test_sets_of_different_numbers_are_compared_as_they_are() -> None:
    from p2pbench.scoring.colour import lab
    from p2pbench.scoring.features import Extractor
    from p2pbench.scoring.frechet import frechet_distance

    found = evaluate_unpaired(OURS, THEIRS, NAMES, settings={}).scores
    extractor = Extractor("alex", weights.obtain("alex", None))
    distance = frechet_distance(extractor.features(OURS), extractor.features(THEIRS))
    assert found["fd-alexnet"].value == pytest.approx(distance)
    bins = [np.histogram(lab(images.reshape(-1, 3))[0], np.arange(-0.5, 101))[0] for images in (OURS, THEIRS)]
    shares = [counts / counts.sum() for counts in bins]
    assert found["hist-l-set"].value == pytest.approx(np.minimum(*shares).sum(), abs=1e-4)
    assert found["swd"].value is None
    assert found["mind-alexnet"].value is None


def test_kid_precision_and_density_take_other_numbers_of_targets() -> None:
    from p2pbench.scoring.distribution import of_features

    x, y = (np.random.default_rng(seed).normal(0, 1, (n, 4)).astype(np.float32) for seed, n in ((0, 30), (1, 45)))
    names = ["kid", "precision", "recall", "density", "coverage"]
    found = of_features(names, x, y)
    assert found["kid"].settings["subset_size"] == 15
    assert 0.5 < found["precision"].value <= 1
    assert 0.5 < found["recall"].value <= 1
    reach = np.sort(np.linalg.norm(y[:, None] - y[None], axis=2), axis=1)[:, 5]
    inside = np.linalg.norm(y[:, None] - x[None], axis=2) < reach[:, None]  # (targets, outputs)
    assert found["density"].value == pytest.approx(inside.sum() / (5 * len(x)))
    assert found["coverage"].value == pytest.approx(inside.any(axis=1).mean())
    assert all(isinstance(result.pseudo_values, str) for result in found.values())


def test_few_images_are_no_set() -> None:
    found = evaluate_unpaired(OURS[:3], THEIRS, ["fd-alexnet", "hist-a-set"], settings={}).scores
    assert "needs 4 images or more on each side; there are 3 outputs and 11 targets" in str(found["fd-alexnet"].reason)
    assert found["hist-a-set"].value is not None
