"""The segmentation network of the FCN-scores: a U-Net with a class head, trained once for each data set and size.

It takes the place of the FCN-8s of pix2pix §4.1, which was trained on real photographs and their labels too. It is
trained on the training split (:mod:`p2pbench.scoring.segmenter_training`) and measured on the real photographs of the
test split: no output can be expected to score better. Both are stored in the cache folder, keyed by everything that
decides them.
"""

import hashlib
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from p2pbench.config.metrics import FCN_RECIPE
from p2pbench.data.label_classes import Palette
from p2pbench.scoring.confusion import confusion_matrices
from p2pbench.scoring.segmenter_training import RECIPE, build, read, train_apart
from p2pbench.system.cache_dir import home
from p2pbench.system.files import atomic, locked, sha256_of, write_json
from p2pbench.system.progress import Count, no_progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Photographs:
    """The photographs and label maps on which a segmenter is trained and measured."""

    key: str
    """A hash of their content."""
    palette: Palette
    train: tuple[np.ndarray, np.ndarray]
    """Photographs and label maps of the training split, each (N, H, W, 3), uint8."""
    test: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Segmenter:
    """A trained network, and its confusion matrices on the real photographs of the test split."""

    network: nn.Module
    device: torch.device
    real: np.ndarray
    """(N, K, K + 1), int64, as :func:`confusion_matrices` returns."""
    sha256: str
    """The hash of the file that holds both."""

    def classes_of(self, images: np.ndarray) -> np.ndarray:
        """The class of each pixel of (N, H, W, 3), uint8, as positions in the palette: (N, H, W), uint8."""
        return read(self.network, images, self.device)


def obtain(photographs: Photographs, device: torch.device, progress: Count = no_progress) -> Segmenter:
    """The segmenter of ``photographs``, from the cache or trained now, by one process while others wait.

    Raises:
        StorageError: it cannot be written to the cache.
        TrainingError: the process that trains it ended early.
    """
    path = home() / "segmenters" / f"{_key(photographs)}.safetensors"
    with locked(path.with_suffix(".lock")):
        found = _load(path, photographs, device)
        if found is None:
            _keep(path, photographs, progress)
            found = _load(path, photographs, device)
    assert found is not None
    return found


def _key(photographs: Photographs) -> str:
    palette, shape = photographs.palette, photographs.train[0].shape[1:3]
    of_palette = (palette.name, tuple(palette.classes.values()), palette.void)
    recipe = (FCN_RECIPE, RECIPE, photographs.key, tuple(shape), *of_palette)
    return hashlib.sha256(repr(recipe).encode()).hexdigest()[:24]


def _keep(path: Path, photographs: Photographs, progress: Count) -> None:
    palette, start = photographs.palette, time.monotonic()
    (photos, labels), (test_photos, test_labels) = photographs.train, photographs.test
    log.info("training the segmentation network of the %s palette on %d pairs", palette.name, len(photos))
    weights, found = train_apart(photos, palette.classes_of(labels), len(palette.classes), test_photos, progress)
    seconds = time.monotonic() - start
    log.info("trained in %.0f s", seconds)
    real = confusion_matrices(palette.classes_of(test_labels), found, len(palette.classes))
    with atomic(path) as part:
        save_file({**weights, "real": torch.from_numpy(real)}, part)
        digest = sha256_of(part)
    about: dict[str, Any] = {
        "sha256": digest, "palette": palette.name, "size": photos.shape[1:3], "train": len(photos), "seconds": seconds,
    }  # fmt: skip
    write_json(path.with_suffix(".json"), about)  # last: without it the file does not count


def _load(path: Path, photographs: Photographs, device: torch.device) -> Segmenter | None:
    """The segmenter cached at ``path``; None if it is absent or not what was written."""
    try:
        digest = json.loads(path.with_suffix(".json").read_text())["sha256"]
        if sha256_of(path) != digest:
            return None
        tensors = load_file(path)
        real = tensors.pop("real").numpy()
        network = build(len(photographs.palette.classes), photographs.train[0].shape[1:3])
        network.load_state_dict(tensors)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, RuntimeError):
        return None
    return Segmenter(network.eval().requires_grad_(False).to(device), device, real, digest)
