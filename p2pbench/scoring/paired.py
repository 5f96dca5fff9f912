"""Scores of one image against its target. Every function takes uint8 images and gives one number per pair."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from p2pbench.scoring import weights

PairedMetric = Callable[[np.ndarray, np.ndarray], np.ndarray]

SSIM_SETTINGS = {
    # Wang et al. 2004; without these scikit-image uses a 7x7 box.
    "data_range": 255,
    "channel_axis": -1,
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
}


def l1(fakes: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Mean absolute difference as a fraction of full range, in [0, 1].

    Args:
        fakes, targets: (N, H, W, 3), uint8.
    Returns:
        (N,), float64. The other functions here alike.
    """
    return np.stack([np.abs(f.astype(np.int16) - t).mean() / 255.0 for f, t in zip(fakes, targets, strict=True)])


def psnr(fakes: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio, 10 log10(255² / MSE), in dB; infinite for identical images."""
    errors = np.stack([((f.astype(np.float64) - t) ** 2).mean() for f, t in zip(fakes, targets, strict=True)])
    with np.errstate(divide="ignore"):
        return np.asarray(10.0 * np.log10(255.0**2 / errors))


def ssim(fakes: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Structural similarity with an 11-tap Gaussian window (Wang et al. 2004), by scikit-image, in [-1, 1]."""
    from skimage.metrics import structural_similarity

    def of_pair(fake: np.ndarray, target: np.ndarray) -> float:
        return float(structural_similarity(fake, target, **SSIM_SETTINGS))

    with ThreadPoolExecutor() as pool:
        return np.array(list(pool.map(of_pair, fakes, targets)))


def sharpness(fakes: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Root mean square of the luma's gradient, as a multiple of the target's: below 1 is blurred; 0 or more.

    The gradient is the difference between neighbouring pixels, along rows and along columns; by Parseval's theorem a
    power spectrum weighted by frequency. Infinite or undefined for a target of one colour.
    """

    def energy(image: np.ndarray) -> float:
        luma = image @ np.array([0.299, 0.587, 0.114])
        return float((np.diff(luma, axis=0) ** 2).mean() + (np.diff(luma, axis=1) ** 2).mean())

    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: np.ndarray = np.sqrt(np.array([energy(f) for f in fakes]) / np.array([energy(t) for t in targets]))
    return ratios


def diversity(draws: Sequence[np.ndarray]) -> np.ndarray:
    """Mean absolute difference between outputs for one condition with other noise, over all pairs of ``draws``.

    Args:
        draws: two or more arrays (N, H, W, 3), uint8, of the same conditions in the same order.
    Returns:
        (N,), float64, as a fraction of full range, in [0, 1].
    """
    differences: np.ndarray = np.stack([l1(a, b) for a, b in itertools.combinations(draws, 2)])
    return np.asarray(differences.mean(axis=0))


def build_lpips(net: str, path: Path, device: str = "cpu") -> PairedMetric:
    """LPIPS v0.1 (Zhang et al. 2018) with backbone ``net`` from the weights at ``path``, as a function like the others.

    The linear layers come with the lpips package. Images are given to it as RGB in [-1, 1].

    Raises:
        WeightsError: ``path`` does not hold that backbone.
    """
    import torch

    from p2pbench.data.transforms import to_network

    model = _lpips_model(net, path).to(device)

    def lpips_of(fakes: np.ndarray, targets: np.ndarray) -> np.ndarray:
        values = []
        with torch.inference_mode():
            for start in range(0, len(fakes), 8):
                pair = [
                    to_network(torch.from_numpy(np.array(images[start : start + 8])).to(device))
                    for images in (fakes, targets)
                ]
                values.append(model(*(images.permute(0, 3, 1, 2) for images in pair)).flatten().double().cpu())
        return np.asarray(torch.cat(values).numpy())

    return lpips_of


def _lpips_model(net: str, path: Path):  # type: ignore[no-untyped-def]  # lpips has no types
    import lpips

    from p2pbench.errors import WeightsError

    with warnings.catch_warnings():
        # torchvision's advice on an argument that lpips passes.
        warnings.filterwarnings("ignore", message="The parameter 'pretrained' is deprecated")
        warnings.filterwarnings("ignore", message="Arguments other than a weight enum")
        model = lpips.LPIPS(net=net, version="0.1", pnet_rand=True, verbose=False)
    # lpips cuts torchvision's ``features`` into slices that keep the layers' numbers.
    backbone = {name.removeprefix("features."): value for name, value in weights.load_backbone(path).items()}
    own = {}
    for name in model.net.state_dict():
        layer = name.split(".", 1)[1]  # "slice1.0.weight" is features "0.weight"
        if layer not in backbone:
            raise WeightsError(f"{path} lacks features.{layer}: not the backbone {net!r}")
        own[name] = backbone[layer]
    try:
        model.net.load_state_dict(own)
    except RuntimeError:
        raise WeightsError(f"{path} holds layers of other shapes than backbone {net!r}") from None
    return model.requires_grad_(False).eval()
