"""Scores of one image against its target. Every function takes uint8 images and gives one number per pair."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from p2pbench.errors import WeightsError
from p2pbench.scoring import backbones, weights
from p2pbench.scoring.images import LUMA
from p2pbench.system.hardware import on_all_cores

if TYPE_CHECKING:
    from torch import Tensor

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

    return np.array(on_all_cores(of_pair, fakes, targets))


def sharpness(fakes: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Root mean square of the luma's gradient, as a multiple of the target's: below 1 is blurred; 0 or more.

    The gradient is the difference between neighbouring pixels, along rows and along columns; by Parseval's theorem a
    power spectrum weighted by frequency. Infinite or undefined for a target of one colour.
    """

    def energy(image: np.ndarray) -> float:
        luma = image @ LUMA
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


class Lpips:
    """LPIPS v0.1 (Zhang et al. 2018, eq. 1) with one backbone, as a function like the others.

    The linear layers are the lpips package's; what it calculates is calculated here in half its time, and a test
    compares the two.
    """

    def __init__(self, net: str, path: Path, device: str = "cpu") -> None:
        """With backbone ``net`` from the weights at ``path``.

        Raises:
            WeightsError: ``path`` does not hold that backbone, or the linear layers are not those published.
        """
        heads = heads_file(net)
        if (found := weights.sha256(heads)) != HEADS[net]:
            raise WeightsError(
                f"{heads} is not the linear layers of LPIPS v0.1: its SHA-256 begins {found[:12]}, expected "
                f"{HEADS[net][:12]}; reinstall the package lpips"
            )
        self.settings = {
            "net": net, "version": "0.1", "library": f"lpips {version('lpips')}",
            "weights": path.name, "weights_sha256": weights.sha256(path), "heads_sha256": found,
        }  # fmt: skip
        self._backbone = backbones.load(net, path, device)
        tensors = weights.load_tensors(heads)
        self._heads = [tensors[f"lin{k}.model.1.weight"].flatten().to(device) for k in range(len(tensors))]
        self._device = device

    def __call__(self, fakes: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return self.with_means(fakes, targets)[0]

    def with_means(self, fakes: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The distances, (N,), and what the last layer gives of ``fakes``, averaged over space, (N, C), float32."""
        import torch

        size = backbones.chunk_size(*fakes.shape[1:3])
        values, means = [], []
        with torch.inference_mode():
            for start in range(0, len(fakes), size):
                ours, theirs = (
                    self._backbone(backbones.on_device(images[start : start + size], self._device))
                    for images in (fakes, targets)
                )
                means.append(backbones.mean_over_space(ours).cpu().numpy())
                distances = [_distance(*layer) for layer in zip(ours, theirs, self._heads, strict=True)]
                values.append(torch.stack(distances).sum(dim=0).double().cpu().numpy())
        return np.concatenate(values), np.concatenate(means)


def heads_file(net: str) -> Path:
    """Where the lpips package has the linear layers for backbone ``net``."""
    import importlib.util

    found = importlib.util.find_spec("lpips")  # not imported: it would import torchvision and more
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "weights" / "v0.1" / f"{net}.pth"


HEADS = {
    "alex": "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    "squeeze": "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
    "vgg": "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
}
"""SHA-256 of the linear layers, as lpips 0.1.4 has them."""


def _distance(ours: Tensor, theirs: Tensor, head: Tensor) -> Tensor:
    """Weighted squared difference of unit vectors, averaged over space: (B, C, h, w) twice and (C,) to (B,).

    It uses up both: what large layers give is not copied.
    """
    import torch

    for maps in (ours, theirs):
        maps.div_(torch.linalg.vector_norm(maps, dim=1, keepdim=True) + 1e-10)
    squares = ours.sub_(theirs).square_()
    return torch.matmul(squares.permute(0, 2, 3, 1).flatten(1, 2), head).mean(dim=1)
