"""LPIPS: against the package called by hand, against published figures; files that it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from random_weights import lpips_package

from p2pbench.config.metrics import METRICS
from p2pbench.data.transforms import to_network
from p2pbench.errors import WeightsError
from p2pbench.scoring import lpips, paired
from p2pbench.scoring.lpips import Lpips
from p2pbench.scoring.weights import NETS


def images(n: int = 3, size: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


@pytest.mark.shared
@pytest.mark.parametrize(("net", "file"), [("alex", "alexnet"), ("squeeze", "squeezenet1_1")])
def test_lpips_equals_the_package_and_the_published_figures(net: str, file: str, shared: Path) -> None:
    """0.722 and 0.138 are the lpips repository's own example with its default net, alex."""
    folder = shared / "data" / "lpips_examples"
    ref, p0, p1 = (
        np.asarray(Image.open(folder / f"ex_{name}.png").convert("RGB"))[None] for name in ("ref", "p0", "p1")
    )
    weights = shared / "weights" / f"{file}_features.pth"
    measure = Lpips(net, weights)
    found = [float(measure(image, ref)[0]) for image in (p0, p1)]
    if net == "alex":
        assert found == pytest.approx([0.722, 0.138], abs=0.001)
    assert found[0] > found[1]
    assert float(measure(ref, ref)[0]) == 0.0
    batch = measure(np.concatenate([p0, p1] * 6), np.concatenate([ref] * 12))
    assert batch[:2].tolist() == pytest.approx(found, rel=1e-5)
    package = lpips_package(net, weights)
    with torch.inference_mode():
        theirs = [
            float(package(*(to_network(torch.from_numpy(i.copy())).permute(0, 3, 1, 2) for i in (p, ref))))
            for p in (p0, p1)
        ]
    assert found == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize(("net", "model"), lpips.MODELS.items())
def test_lpips_with_random_weights_is_the_packages_too(net: str, model: str, tmp_path: Path) -> None:
    import torchvision

    torch.manual_seed(0)
    path = tmp_path / "x.pth"
    torch.save(getattr(torchvision.models, model)(weights=None).state_dict(), path)
    a, b = images(3, 40, 0), images(3, 40, 1)
    tensors = [to_network(torch.from_numpy(of).permute(0, 3, 1, 2)) for of in (a, b)]
    with torch.inference_mode():
        expected = lpips_package(net, path)(*tensors).flatten().tolist()
    measure = Lpips(net, path)
    assert measure(a, b).tolist() == pytest.approx(expected, rel=1e-5)
    assert set(measure.settings) == {"net", "version", "library", "weights", "weights_sha256", "heads_sha256"}


def test_distances_are_float64_on_the_host_alone(alexnet_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apple's GPUs have no float64: a tensor that is asked for one there is a TypeError."""
    fetched, fetch = [], torch.Tensor.cpu

    def cpu(tensor: torch.Tensor) -> torch.Tensor:
        fetched.append(tensor.dtype)
        return fetch(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", cpu)
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), dtype=np.uint8)
    assert Lpips("alex", alexnet_file)(images, images[::-1]).dtype == np.float64
    assert set(fetched) == {torch.float32}


def test_linear_layers_that_are_not_those_published_are_refused(
    alexnet_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = tmp_path / "alex.pth"
    changed.write_bytes(lpips.heads_file("alex").read_bytes() + b"!")
    monkeypatch.setattr(lpips, "heads_file", lambda net: changed)
    with pytest.raises(WeightsError, match=r"not the linear layers of LPIPS v0\.1.*reinstall"):
        Lpips("alex", alexnet_file)


def test_lpips_refuses_a_file_that_is_not_the_backbone(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"features.0.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="not the backbone 'alex'"):
        Lpips("alex", path)
    torch.save({"classifier.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"no features\.\* tensors"):
        Lpips("alex", path)
    path.write_bytes(b"not a torch file")
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        Lpips("alex", path)


def test_the_least_sides_are_the_least_that_work(tmp_path: Path) -> None:
    import torchvision

    models = {"alex": "alexnet", "squeeze": "squeezenet1_1", "vgg": "vgg16"}
    scores: dict[str, paired.PairedMetric] = {"ssim": paired.ssim}
    for net, model in models.items():
        path = tmp_path / "x.pth"
        torch.save(getattr(torchvision.models, model)(weights=None).state_dict(), path)
        scores["lpips" if net == "alex" else f"lpips-{net}"] = Lpips(net, path)
    for name, score in scores.items():
        side = METRICS[name].least_side
        assert np.isfinite(score(images(1, side), images(1, side, 1))).all(), name
        with pytest.raises((RuntimeError, ValueError)):
            score(images(1, side - 1), images(1, side - 1, 1))


def test_lpips_with_weights_of_the_right_layout_is_a_distance(tmp_path: Path) -> None:
    """Random weights in torchvision's layout: the real code, without the real numbers."""
    import torchvision

    torch.manual_seed(0)
    for net, build in (("alex", torchvision.models.alexnet), ("squeeze", torchvision.models.squeezenet1_1)):
        path = tmp_path / f"{net}.pth"
        torch.save(build(weights=None).state_dict(), path)
        measure = Lpips(net, path)
        a, b = images(2, 64, 0), images(2, 64, 1)
        assert (measure(a, b) > 0).all()
        assert measure(a, a).tolist() == [0.0, 0.0]
        assert measure(a, b) == pytest.approx(measure(b, a), rel=1e-6)
        assert set(NETS) >= {net}
