"""FID and KID through torch-fidelity's real Inception code, with weights of the right layout and random content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import linalg

from p2pbench.errors import WeightsError
from p2pbench.scoring.distribution import fid_and_kid, kid_subset_size


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of torch-fidelity's layout. Its content is random: the numbers it leads to mean nothing."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    folder = tmp_path_factory.mktemp("inception")
    empty = folder / "empty.pth"
    torch.save({}, empty)
    original = FeatureExtractorInceptionV3.load_state_dict
    FeatureExtractorInceptionV3.load_state_dict = lambda self, state: None
    try:
        torch.manual_seed(0)
        network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(empty))
    finally:
        FeatureExtractorInceptionV3.load_state_dict = original
    path = folder / "weights-inception-2015-12-05-6726825d.pth"
    torch.save(network.state_dict(), path)
    return path


def features(path: Path, images: np.ndarray) -> np.ndarray:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(path))
    with torch.no_grad():
        return np.asarray(network(torch.from_numpy(images).permute(0, 3, 1, 2))[0].double().numpy())


def images(n: int, seed: int) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    return blocks.repeat(4, 1).repeat(4, 2)


def test_fid_and_kid_are_their_formulas_on_the_same_features(inception_file: Path) -> None:
    fakes, targets = images(6, 0), images(6, 1)
    found = fid_and_kid(fakes, targets, ["fid", "kid"], inception_file)
    x, y = features(inception_file, fakes), features(inception_file, targets)

    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    # tr sqrt(AB) from the eigenvalues of AB; rank-deficient, so 1e-5 at best
    roots = np.sqrt(np.maximum(linalg.eigvals(cov_x @ cov_y).real, 0)).sum()
    fid = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cov_x) + np.trace(cov_y) - 2 * roots
    assert found["fid"]["value"] == pytest.approx(fid, rel=1e-3)
    assert found["kid"]["settings"]["subset_size"] == 3

    # Subsets of 3 of 6, 100 times: compare with the average over all of them, within its spread.
    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray((a @ b.T / a.shape[1] + 1) ** 3)

    n = len(x)
    off = ~np.eye(n, dtype=bool)
    kid = kernel(x, x)[off].mean() + kernel(y, y)[off].mean() - 2 * kernel(x, y).mean()
    spread = found["kid"]["settings"]["std_over_subsets"]
    assert found["kid"]["value"] == pytest.approx(kid, abs=5 * spread / 10 + 1e-9)


def test_identical_sets_are_at_no_distance(inception_file: Path) -> None:
    same = images(4, 0)
    found = fid_and_kid(same, same, ["fid"], inception_file)
    assert set(found) == {"fid"}
    assert found["fid"]["value"] == pytest.approx(0.0, abs=1e-2)


def test_kid_subsets_fit_the_number_of_images() -> None:
    assert [kid_subset_size(n) for n in (4, 5, 106, 2000, 50_000)] == [2, 2, 53, 1000, 1000]


def test_a_file_that_would_run_code_when_unpickled_never_reaches_torch_fidelity(tmp_path: Path) -> None:
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        fid_and_kid(images(2, 0), images(2, 1), ["fid"], path)
    assert not (tmp_path / "ran").exists()
