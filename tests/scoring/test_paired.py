"""Per-image scores: against formulas, against the libraries called by hand, against published figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from random_weights import lpips_package
from skimage.metrics import structural_similarity

from p2pbench.config.metrics import METRICS
from p2pbench.data.transforms import to_network
from p2pbench.errors import WeightsError
from p2pbench.scoring import backbones, paired
from p2pbench.scoring.weights import NETS


def images(n: int = 3, size: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def test_l1_and_psnr_by_hand() -> None:
    fake, target = np.zeros((1, 2, 2, 3), np.uint8), np.full((1, 2, 2, 3), 51, np.uint8)
    assert paired.l1(fake, target).tolist() == [0.2]
    assert paired.psnr(fake, target)[0] == pytest.approx(10 * np.log10(255**2 / 51**2), rel=1e-12)
    assert paired.psnr(fake, fake).tolist() == [np.inf]


def test_ssim_is_scikit_images_with_wang_et_al_s_settings() -> None:
    fake, target = images(seed=0), images(seed=1)
    wanted = [
        structural_similarity(
            f, t, data_range=255, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for f, t in zip(fake, target, strict=True)
    ]
    assert paired.ssim(fake, target).tolist() == wanted


SCORES: list[tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], float]] = [(paired.l1, 0.0), (paired.ssim, 1.0)]


@pytest.mark.parametrize(("score", "perfect"), SCORES)
@given(seed=st.integers(0, 2**16))
def test_identical_images_are_perfect_and_both_sides_count_alike(
    score: Callable[[np.ndarray, np.ndarray], np.ndarray], perfect: float, seed: int
) -> None:
    a, b = images(2, 16, seed), images(2, 16, seed + 1)
    assert score(a, a).tolist() == [perfect, perfect]
    assert score(a, b) == pytest.approx(score(b, a), rel=1e-12)
    assert score(a[::-1], b[::-1])[::-1] == pytest.approx(score(a, b), rel=1e-12)


@pytest.mark.shared
@pytest.mark.parametrize(("net", "file"), [("alex", "alexnet"), ("squeeze", "squeezenet1_1")])
def test_lpips_equals_the_package_and_the_published_figures(net: str, file: str, shared: Path) -> None:
    """0.722 and 0.138 are the lpips repository's own example with its default net, alex."""
    folder = shared / "data" / "lpips_examples"
    ref, p0, p1 = (
        np.asarray(Image.open(folder / f"ex_{name}.png").convert("RGB"))[None] for name in ("ref", "p0", "p1")
    )
    weights = shared / "weights" / f"{file}_features.pth"
    measure = paired.Lpips(net, weights)
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


@pytest.mark.parametrize(("net", "model"), backbones.MODELS.items())
def test_lpips_with_random_weights_is_the_packages_too(net: str, model: str, tmp_path: Path) -> None:
    import torchvision

    torch.manual_seed(0)
    path = tmp_path / "x.pth"
    torch.save(getattr(torchvision.models, model)(weights=None).state_dict(), path)
    a, b = images(3, 40, 0), images(3, 40, 1)
    tensors = [to_network(torch.from_numpy(of).permute(0, 3, 1, 2)) for of in (a, b)]
    with torch.inference_mode():
        expected = lpips_package(net, path)(*tensors).flatten().tolist()
    measure = paired.Lpips(net, path)
    assert measure(a, b).tolist() == pytest.approx(expected, rel=1e-5)
    assert set(measure.settings) == {"net", "version", "library", "weights", "weights_sha256", "heads_sha256"}


def test_linear_layers_that_are_not_those_published_are_refused(
    alexnet_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = tmp_path / "alex.pth"
    changed.write_bytes(paired.heads_file("alex").read_bytes() + b"!")
    monkeypatch.setattr(paired, "heads_file", lambda net: changed)
    with pytest.raises(WeightsError, match=r"not the linear layers of LPIPS v0\.1.*reinstall"):
        paired.Lpips("alex", alexnet_file)


def test_lpips_refuses_a_file_that_is_not_the_backbone(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"features.0.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="not the backbone 'alex'"):
        paired.Lpips("alex", path)
    torch.save({"classifier.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"no features\.\* tensors"):
        paired.Lpips("alex", path)
    path.write_bytes(b"not a torch file")
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        paired.Lpips("alex", path)


def test_the_least_sides_are_the_least_that_work(tmp_path: Path) -> None:
    import torchvision

    models = {"alex": "alexnet", "squeeze": "squeezenet1_1", "vgg": "vgg16"}
    scores: dict[str, paired.PairedMetric] = {"ssim": paired.ssim}
    for net, model in models.items():
        path = tmp_path / "x.pth"
        torch.save(getattr(torchvision.models, model)(weights=None).state_dict(), path)
        scores["lpips" if net == "alex" else f"lpips-{net}"] = paired.Lpips(net, path)
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
        measure = paired.Lpips(net, path)
        a, b = images(2, 64, 0), images(2, 64, 1)
        assert (measure(a, b) > 0).all()
        assert measure(a, a).tolist() == [0.0, 0.0]
        assert measure(a, b) == pytest.approx(measure(b, a), rel=1e-6)
        assert set(NETS) >= {net}


def test_sharpness_is_the_ratio_of_gradients() -> None:
    stripes = np.zeros((1, 8, 8, 3), np.uint8)
    stripes[:, :, ::2] = 200
    faint = stripes // 2
    assert paired.sharpness(faint, stripes) == pytest.approx([0.5])
    assert paired.sharpness(stripes, stripes) == pytest.approx([1.0])
    assert paired.sharpness(255 - stripes, stripes) == pytest.approx([1.0])


@given(seed=st.integers(0, 1000), radius=st.floats(0.6, 3))
def test_blurring_lowers_sharpness(seed: int, radius: float) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    blurred = np.asarray(Image.fromarray(image[0]).filter(ImageFilter.GaussianBlur(radius)))[None]
    assert paired.sharpness(blurred, image)[0] < 0.9


def test_a_target_of_one_colour_has_no_sharpness() -> None:
    flat = np.full((1, 8, 8, 3), 9, np.uint8)
    assert not np.isfinite(paired.sharpness(flat, flat)).any()


def test_diversity_is_the_mean_distance_of_all_pairs() -> None:
    draws = [np.full((2, 4, 4, 3), value, np.uint8) for value in (0, 51, 255)]
    assert paired.diversity(draws) == pytest.approx([(51 + 255 + 204) / 3 / 255] * 2)
    assert paired.diversity([draws[0], draws[0]]) == pytest.approx([0, 0])
