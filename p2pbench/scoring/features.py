"""Features of whole sets of images from a pretrained network; those of the targets are cached between cells.

The cache is keyed by the content of the images, the hash of the weights, and how the network was run.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from p2pbench.errors import StorageError, WeightsError
from p2pbench.scoring import lpips, weights
from p2pbench.scoring.images import Images, batches
from p2pbench.system.cache_dir import home
from p2pbench.system.files import atomic, locked
from p2pbench.system.torch_files import load_tensors

if TYPE_CHECKING:
    from torch import Tensor

Network = Callable[["Tensor"], "Tensor"]
"""From images, (B, 3, H, W), uint8, to features, (B, d), float32."""

SCHEMA_VERSION = 2
"""Raised when the same images and weights give other features."""


@dataclass(frozen=True)
class Extractor:
    """A pretrained network with the verified weights at ``path``.

    Attributes:
        net: ``alex`` or ``inception``, keys of ``scoring.weights.NETS``.
    """

    net: str
    path: Path
    device: str = "cpu"

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that are recorded with every score made of these features."""
        name, library = NAMES[self.net]
        return {
            "extractor": name,
            "library": f"{library} {version(library)}",
            "weights": self.path.name,
            "weights_sha256": weights.sha256(self.path),
        }

    def features(self, images: Images) -> np.ndarray:
        """The features of ``images``, (N, H, W, 3), uint8, in one pass over them: (N, d), float32.

        Raises:
            WeightsError: the file holds another network, or one whose features are not finite.
        """
        return self.checked(np.concatenate([self.of_batch(batch) for (batch,) in batches(images)]))

    def of_batch(self, images: np.ndarray) -> np.ndarray:
        """The unchecked :meth:`features` of one batch, in chunks that bound the memory of activations."""
        import torch

        size = lpips.chunk_size(*images.shape[1:3])
        found = []
        with torch.inference_mode():
            for start in range(0, len(images), size):
                chunk = lpips.on_device(images[start : start + size], self.device)
                found.append(self._network(chunk).float().cpu().numpy())
        return np.concatenate(found)

    def checked(self, features: np.ndarray) -> np.ndarray:
        """``features`` themselves. Raises :class:`WeightsError` if they are not finite."""
        if not np.isfinite(features).all():
            raise WeightsError(f"{self.path} gives features that are not finite")
        return features

    def cached_features(self, images: Images) -> np.ndarray:
        """:meth:`features` from the cache, or computed and written to it.

        Where the cache folder cannot be written they are computed each time.
        """
        path = home() / "features" / f"{self._key(images)}.npy"
        if (kept := _load(path, len(images))) is not None:
            return kept
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(StorageError):
                stack.enter_context(locked(path.with_suffix(".lock")))
            if (kept := _load(path, len(images))) is not None:  # another process has written them meanwhile
                return kept
            features = self.features(images)
            with contextlib.suppress(StorageError), atomic(path) as part, part.open("wb") as stream:
                np.save(stream, features)
        return features

    def _key(self, images: Images) -> str:
        import torch

        content = hashlib.sha256()
        for (batch,) in batches(images):
            content.update(batch.tobytes())
        device = torch.device(self.device).type
        how = (device, torch.backends.cudnn.allow_tf32 if device == "cuda" else None)
        recipe = (SCHEMA_VERSION, images.shape, content.hexdigest(), sorted(self.settings.items()), how)
        return hashlib.sha256(repr(recipe).encode()).hexdigest()[:24]

    @functools.cached_property
    def _network(self) -> Network:
        return NETWORKS[self.net](self.path, self.device)


def _load(path: Path, n: int) -> np.ndarray | None:
    try:
        features: np.ndarray = np.load(path, allow_pickle=False)
    except Exception:
        return None  # absent or damaged: computed again
    whole = features.ndim == 2 and len(features) == n and features.dtype == np.float32
    return features if whole and np.isfinite(features).all() else None


def _alexnet(path: Path, device: str) -> Network:
    """AlexNet's last convolution after its ReLU, averaged over space, with LPIPS's input scaling: 256 features."""
    backbone = lpips.load_backbone("alex", path, device)
    return lambda images: lpips.mean_over_space(backbone(images))


def _inception(path: Path, device: str) -> Network:
    """The last pooling of torch-fidelity's Inception v3, which resizes to 299x299 as FID's own did: 2048 features."""
    import torch

    # torch-fidelity unpickles whatever its file holds, and downloads one if it gets none. So it gets, in memory, the
    # tensors that were read here with weights_only=True.
    verified = io.BytesIO()
    torch.save(load_tensors(path), verified)
    verified.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch-fidelity itself uses deprecated calls
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        try:
            model = FeatureExtractorInceptionV3(
                "inception-v3-compat", ["2048"], feature_extractor_weights_path=verified
            )
        except RuntimeError:
            raise WeightsError(f"{path} does not hold torch-fidelity's Inception v3") from None
    model = model.to(device)
    return lambda images: model(images)[0]


NETWORKS: dict[str, Callable[[Path, str], Network]] = {"alex": _alexnet, "inception": _inception}
NAMES = {"alex": ("alexnet-conv5-mean", "torchvision"), "inception": ("inception-v3-compat", "torch-fidelity")}
"""The name of the features, and the library whose code computes them."""
