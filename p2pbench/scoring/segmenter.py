"""The segmentation network of the FCN-scores: a U-Net with a class head, trained once for each data set and size.

It takes the place of the FCN-8s of pix2pix §5.1, which was trained on real photographs and their labels too. It is
trained on the training split and measured on the real photographs of the test split: no output can be expected to score
better. Both are stored in the cache folder, keyed by everything that decides them.
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
from torch.nn.functional import cross_entropy

from p2pbench.config.metrics import FCN_RECIPE
from p2pbench.data.batches import plan_epoch
from p2pbench.data.label_classes import Palette
from p2pbench.data.transforms import to_network
from p2pbench.models.unet import UNet
from p2pbench.scoring.confusion import confusion_matrices
from p2pbench.system.cache_dir import home
from p2pbench.system.files import atomic, locked, sha256_of, write_json
from p2pbench.system.progress import Count, no_progress

log = logging.getLogger(__name__)

SEED = 0
STEPS = 1200
"""Tried on facades at 64x64, class IoU of the validation photographs: 0.159 after 600 steps, 0.192 after 1,200, 0.196
with what is read in the mirrored photographs averaged in; a second training gave 0.191, so less than 0.005 is chance.
Cutting and colouring them otherwise in each step (0.189) is no better, nor are twice the steps of half the batch
(0.185), which take 1.5 times as long. What three networks read, averaged, gave 0.006 more than the mean of one (0.009
at 128x128, where single ones lie 0.009 apart), in three times the time: not enough to make all scores by the one
network others."""
BATCH_SIZE = 8
WIDTH = 16
"""Channels after the first convolution, and of the class head's input."""
MOST_DEPTH = 6
LEARNING_RATE = 4e-3
"""The highest rate: it rises for a tenth of the steps and falls to nothing (one cycle, Smith and Topin 2018)."""

WEIGHT_DECAY = 1e-4


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
        return _classes_of(self.network, images, self.device)


def obtain(photographs: Photographs, device: torch.device, progress: Count = no_progress) -> Segmenter:
    """The segmenter of ``photographs``, from the cache or trained now, by one process while others wait.

    Raises:
        StorageError: it cannot be written to the cache.
    """
    path = home() / "segmenters" / f"{_key(photographs)}.safetensors"
    with locked(path.with_suffix(".lock")):
        found = _load(path, photographs, device)
        if found is None:
            _keep(path, photographs, device, progress)
            found = _load(path, photographs, device)
    assert found is not None
    return found


def build(n_classes: int, shape: tuple[int, int]) -> nn.Module:
    """The network, initialised from ``SEED``: (N, 3, H, W), float in [-1, 1], to class scores (N, K, H, W)."""
    depth = min(MOST_DEPTH, min(shape).bit_length() - 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)  # with PyTorch's own initialisation it learns faster than with the paper's 0.02
        body = UNet(
            3, WIDTH, ngf=WIDTH, depth=depth, skips=True, dropout="none", norm="batch", upsampling="transposed",
            bias=False,
        )  # fmt: skip
        return nn.Sequential(body, nn.Conv2d(WIDTH, n_classes, 1))


def train(photographs: Photographs, device: torch.device, progress: Count) -> nn.Module:
    """A network trained for ``STEPS`` steps with cross-entropy on the training split, half of it mirrored."""
    images, labels = photographs.train
    n_classes = len(photographs.palette.classes)
    network = build(n_classes, images.shape[1:3]).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=STEPS, pct_start=0.1)
    size = min(BATCH_SIZE, len(images))
    steps_per_epoch = len(images) // size
    for step in range(STEPS):
        epoch, position = divmod(step, steps_per_epoch)
        plan = plan_epoch(len(images), seed=SEED, epoch=epoch, margin=(0, 0), mirror=True)
        now = slice(position * size, (position + 1) * size)
        chosen, mirrored = plan.pair[now], plan.mirror[now, None, None].astype(bool)
        photos, true = images[chosen], photographs.palette.classes_of(labels[chosen])
        photos = np.where(mirrored[..., None], photos[:, :, ::-1], photos)
        true = np.where(mirrored, true[:, :, ::-1], true)
        scores = network(to_network(torch.from_numpy(photos).to(device).permute(0, 3, 1, 2).contiguous()))
        # Void, the class after the last, is ignored.
        loss = cross_entropy(scores, torch.from_numpy(true).to(device).long(), ignore_index=n_classes)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        progress(step + 1, STEPS)
    return network.eval()


def _classes_of(network: nn.Module, images: np.ndarray, device: torch.device) -> np.ndarray:
    """The likeliest class of each pixel, in the mean of what is read in the image and in its mirror image."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(images), BATCH_SIZE):
            batch = torch.from_numpy(np.array(images[start : start + BATCH_SIZE])).to(device).permute(0, 3, 1, 2)
            shown = to_network(batch)
            likely = network(shown).softmax(dim=1) + network(shown.flip(3)).softmax(dim=1).flip(3)
            found.append(likely.argmax(dim=1).to(torch.uint8).cpu().numpy())
    return np.concatenate(found)


def _key(photographs: Photographs) -> str:
    palette, shape = photographs.palette, photographs.train[0].shape[1:3]
    settings = (FCN_RECIPE, SEED, STEPS, BATCH_SIZE, WIDTH, MOST_DEPTH, LEARNING_RATE)
    recipe = (settings, photographs.key, tuple(shape), palette.name, tuple(palette.classes.values()), palette.void)
    return hashlib.sha256(repr(recipe).encode()).hexdigest()[:24]


def _keep(path: Path, photographs: Photographs, device: torch.device, progress: Count) -> None:
    palette, start = photographs.palette, time.monotonic()
    log.info("training the segmentation network of the %s palette on %d pairs", palette.name, len(photographs.train[0]))
    network = train(photographs, device, progress)
    seconds = time.monotonic() - start
    log.info("trained %d steps in %.0f s", STEPS, seconds)
    images, labels = photographs.test
    found = _classes_of(network, images, device)
    real = confusion_matrices(palette.classes_of(labels), found, len(palette.classes))
    tensors = {name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}
    with atomic(path) as part:
        save_file({**tensors, "real": torch.from_numpy(real)}, part)
        digest = sha256_of(part)
    about: dict[str, Any] = {
        "sha256": digest, "palette": palette.name, "size": images.shape[1:3], "train": len(photographs.train[0]),
        "steps": STEPS, "seconds": seconds, "threads": torch.get_num_threads(), "device": device.type,
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
