"""Scores of a set of images against a set of targets: FID and KID, through torch-fidelity."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from p2pbench.scoring import weights

if TYPE_CHECKING:
    from torch import Tensor

LEAST_IMAGES = 4
"""Fewer leave no subset of two for KID, and no covariance to speak of for FID."""

FEW_IMAGES = 2048
"""Below this the covariance of the 2048 features is rank-deficient and FID is biased upward, the more the fewer."""


class _Images:
    """Images (N, H, W, 3), uint8, as the data set torch-fidelity takes: uint8 tensors (3, H, W)."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        import torch

        return torch.from_numpy(np.array(self.images[index].transpose(2, 0, 1), order="C"))


def kid_subset_size(n: int) -> int:
    """Images in each of KID's subsets: 1000 (torch-fidelity's own) where there are enough, else half of them."""
    return min(1000, n // 2)


def fid_and_kid(
    fakes: np.ndarray, targets: np.ndarray, metrics: Sequence[str], weights_path: Path, device: str = "cpu"
) -> dict[str, dict[str, Any]]:
    """FID (Heusel et al. 2017) and KID (Binkowski et al. 2018) of ``fakes`` against ``targets``.

    Args:
        fakes, targets: (N, H, W, 3), uint8, N >= 2.
        metrics: ``fid``, ``kid`` or both.
        weights_path: torch-fidelity's Inception, verified. It is read here with ``weights_only=True`` first, because
            torch-fidelity would unpickle whatever it is given.
    Returns:
        For each metric ``value`` and ``settings``.
    Raises:
        WeightsError: the file is not what it should be.
    """
    weights.load_tensors(weights_path)
    import torch_fidelity
    from torch.utils.data import Dataset

    class Images(_Images, Dataset):  # type: ignore[type-arg]
        """torch-fidelity asks for a Dataset by class."""

    n = min(len(fakes), len(targets))
    subset = kid_subset_size(n)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # torch-fidelity's own use of deprecated calls
        found = torch_fidelity.calculate_metrics(
            input1=Images(fakes),
            input2=Images(targets),
            cuda=device.startswith("cuda"),
            fid="fid" in metrics,
            kid="kid" in metrics,
            kid_subset_size=subset,
            kid_subsets=100,
            cache=False,
            save_cpu_ram=True,
            verbose=False,
            batch_size=min(32, n),
            feature_extractor_weights_path=str(weights_path),
        )
    common = {"extractor": "inception-v3-compat", "library": f"torch-fidelity {torch_fidelity.__version__}"}
    scores: dict[str, dict[str, Any]] = {}
    if "fid" in metrics:
        scores["fid"] = {"value": float(found["frechet_inception_distance"]), "settings": common}
    if "kid" in metrics:
        spread = float(found["kernel_inception_distance_std"])
        scores["kid"] = {
            "value": float(found["kernel_inception_distance_mean"]),
            "settings": {**common, "subsets": 100, "subset_size": subset, "std_over_subsets": spread},
        }
    return scores
