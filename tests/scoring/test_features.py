"""Features: what the libraries' own networks give, in batches that bound memory, of the targets only once."""

from __future__ import annotations

import pickle
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from random_weights import lpips_package

from p2pbench.errors import WeightsError
from p2pbench.scoring import features as module
from p2pbench.scoring import lpips as lpips_module
from p2pbench.scoring.features import Extractor
from p2pbench.system.cache_dir import home


def images(n: int, seed: int, side: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The sets that a network has looked at."""
    seen: list[np.ndarray] = []
    original = Extractor.features

    def counting(self: Extractor, images: np.ndarray) -> np.ndarray:
        seen.append(images)
        return original(self, images)

    monkeypatch.setattr(Extractor, "features", counting)
    return seen


def test_alexnet_gives_what_lpips_sees_in_its_last_convolution(alexnet_file: Path) -> None:
    from p2pbench.data.transforms import to_network

    some = images(3, 0, 64)
    lpips = lpips_package("alex", alexnet_file)
    batch = to_network(torch.from_numpy(some).permute(0, 3, 1, 2))
    expected = lpips.net(lpips.scaling_layer(batch)).relu5.mean(dim=(2, 3)).numpy()
    found = Extractor("alex", alexnet_file).features(some)
    assert found.dtype == np.float32
    assert found.shape == (3, 256)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_inception_gives_what_torch_fidelitys_own_gives(inception_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch_fidelity import feature_extractor_inceptionv3 as library

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("torch-fidelity downloads")

    monkeypatch.setattr(library, "load_state_dict_from_url", refused)
    some = images(3, 0)
    model = library.FeatureExtractorInceptionV3("x", ["2048"], feature_extractor_weights_path=str(inception_file))
    expected = model(torch.from_numpy(some).permute(0, 3, 1, 2))[0].numpy()
    np.testing.assert_array_equal(Extractor("inception", inception_file).features(some), expected)


def test_the_smallest_images_that_alexnet_takes_are_those_that_are_said(alexnet_file: Path) -> None:
    from p2pbench.config.metrics import METRICS

    least = METRICS["fd-alexnet"].least_side
    assert Extractor("alex", alexnet_file).features(images(2, 0, least)).shape == (2, 256)
    with pytest.raises(RuntimeError, match="too small"):
        Extractor("alex", alexnet_file).features(images(2, 0, least - 1))


def test_batches_are_small_and_do_not_matter(alexnet_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = images(7, 0)
    whole = Extractor("alex", alexnet_file).features(some)
    sizes: list[int] = []
    original = module.NETWORKS["alex"]

    def watched(path: Path, device: str) -> module.Network:
        network = original(path, device)

        def looking(batch: torch.Tensor) -> torch.Tensor:
            sizes.append(len(batch))
            return network(batch)

        return looking

    monkeypatch.setitem(module.NETWORKS, "alex", watched)
    monkeypatch.setattr(lpips_module, "CHUNK_PIXELS", 3 * 40 * 40)
    np.testing.assert_allclose(Extractor("alex", alexnet_file).features(some), whole, rtol=1e-4, atol=1e-6)
    assert sizes == [3, 3, 1]
    monkeypatch.setattr(lpips_module, "CHUNK_PIXELS", 1)  # images larger than that go one by one
    Extractor("alex", alexnet_file).features(some[:2])
    assert sizes[3:] == [1, 1]


def test_the_targets_are_looked_at_once_until_they_or_the_weights_change(
    alexnet_file: Path, tmp_path: Path, passes: list[np.ndarray]
) -> None:
    targets = images(5, 0)
    first = Extractor("alex", alexnet_file).cached_features(targets)
    assert len(passes) == 1
    again = Extractor("alex", alexnet_file).cached_features(targets.copy())
    assert len(passes) == 1
    np.testing.assert_array_equal(again, first)

    changed = targets.copy()
    changed[3, 20, 20, 1] ^= 1
    assert not np.array_equal(Extractor("alex", alexnet_file).cached_features(changed), first)
    assert len(passes) == 2

    tensors = torch.load(alexnet_file, weights_only=True)
    torch.save({name: tensor * 0.9 for name, tensor in tensors.items()}, tmp_path / alexnet_file.name)
    assert not np.array_equal(Extractor("alex", tmp_path / alexnet_file.name).cached_features(targets), first)
    assert len(passes) == 3
    Extractor("alex", alexnet_file).cached_features(targets[::-1])  # another order is other rows
    assert len(passes) == 4


@pytest.mark.parametrize("damage", [b"", b"no array", "half", "shape", "nan"])
def test_a_damaged_file_in_the_cache_is_made_again(
    damage: bytes | str, alexnet_file: Path, passes: list[np.ndarray]
) -> None:
    targets = images(5, 0)
    whole = Extractor("alex", alexnet_file).cached_features(targets)
    (kept,) = (home() / "features").glob("*.npy")
    content = kept.read_bytes()
    if isinstance(damage, bytes):
        kept.write_bytes(damage)
    elif damage == "half":
        kept.write_bytes(content[: len(content) // 2])
    else:
        np.save(kept, whole[:4] if damage == "shape" else np.full_like(whole, np.nan))
    np.testing.assert_array_equal(Extractor("alex", alexnet_file).cached_features(targets), whole)
    assert len(passes) == 2
    assert kept.read_bytes() == content
    assert {path.suffix for path in kept.parent.iterdir()} <= {".npy", ".lock"}


def test_features_are_made_where_nothing_can_be_kept(
    alexnet_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "blocked").write_text("")
    monkeypatch.setenv("P2PBENCH_HOME", str(tmp_path / "blocked"))
    assert Extractor("alex", alexnet_file).cached_features(images(4, 0)).shape == (4, 256)
    assert [path.name for path in tmp_path.iterdir()] == ["blocked"]


def test_what_is_recorded_names_network_weights_and_library(alexnet_file: Path) -> None:
    from p2pbench.system.files import sha256_of

    assert Extractor("alex", alexnet_file).settings == {
        "extractor": "alexnet-conv5-mean",
        "library": f"torchvision {version('torchvision')}",
        "weights": "alexnet_features.pth",
        "weights_sha256": sha256_of(alexnet_file),
    }


@pytest.mark.parametrize("net", ["alex", "inception"])
def test_a_file_that_would_run_code_when_unpickled_never_reaches_a_library(net: str, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        Extractor(net, path).features(images(2, 0))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("net", "other"), [("alex", "squeeze"), ("inception", "alex"), ("alex", "infinite")])
def test_the_weights_of_another_network_are_refused(net: str, other: str, alexnet_file: Path, tmp_path: Path) -> None:
    tensors = torch.load(alexnet_file, weights_only=True)
    if other == "squeeze":
        tensors = {"features.0.weight": torch.zeros(64, 3, 3, 3)}
    elif other == "infinite":
        tensors["features.10.bias"] = torch.full((256,), torch.inf)
    path = tmp_path / "weights.pth"
    torch.save(tensors, path)
    with pytest.raises(WeightsError, match=r"does not hold|lacks|not finite"):
        Extractor(net, path).features(images(2, 0))
