"""LPIPS (Zhang et al. 2018), and the convolutions of torchvision's classifiers by which it compares images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from p2pbench.errors import WeightsError
from p2pbench.scoring import weights
from p2pbench.scoring.images import Images
from p2pbench.scoring.paired import MetricResult, over_images
from p2pbench.system.torch_files import load_tensors

if TYPE_CHECKING:
    from torch import Tensor, nn

Backbone = Callable[["Tensor"], "list[Tensor]"]
"""From images, (B, 3, H, W), uint8, to the maps of the layers in ``TAPS``, each (B, C, h, w), float32."""

MODELS = {"alex": "alexnet", "squeeze": "squeezenet1_1", "vgg": "vgg16"}
"""torchvision's names of the backbones."""
TAPS = {"alex": (1, 4, 7, 9, 11), "squeeze": (1, 4, 7, 9, 10, 11, 12), "vgg": (3, 8, 15, 22, 29)}
"""The layers of ``features`` that LPIPS compares: those after a ReLU or a fire module."""

CHUNK_PIXELS = 8 * 256 * 256
"""Pixels of the images that a network gets at once, which bounds the memory of its activations."""

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""ImageNet's mean and standard deviation for images in [-1, 1], by which LPIPS scales its input."""


def load_backbone(net: str, path: Path, device: str) -> Backbone:
    """The backbone ``net`` with the weights at ``path``, cut after the last layer that LPIPS compares.

    It runs channels-last, which on a CPU halves SqueezeNet's time and saves a tenth of AlexNet's.

    Raises:
        WeightsError: ``path`` does not hold that backbone.
    """
    import torch

    from p2pbench.data.transforms import to_network

    taps, layers = TAPS[net], load_layers(net, path).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    shift, scale = (torch.tensor(values, device=device)[:, None, None] for values in (SHIFT, SCALE))

    def backbone(images: Tensor) -> list[Tensor]:
        scaled = ((to_network(images) - shift) / scale).contiguous(memory_format=torch.channels_last)
        return maps_of(scaled, layers, taps)

    return backbone


def maps_of(images: Tensor, layers: nn.Sequential, taps: Collection[int]) -> list[Tensor]:
    """What the layers at ``taps`` make of ``images``, (B, 3, H, W), scaled by ``SHIFT`` and ``SCALE``."""
    h, maps = images, []
    for index, layer in enumerate(layers):
        h = layer(h)
        if index in taps:
            maps.append(h)
    return maps


def load_layers(net: str, path: Path) -> nn.Sequential:
    """The layers of backbone ``net`` up to the last that LPIPS compares, with the weights at ``path``, on the CPU.

    Raises:
        WeightsError: ``path`` does not hold that backbone.
    """
    import torch
    import torchvision

    taps = TAPS[net]
    with torch.device("meta"):  # so that the classifier's millions of parameters are not drawn
        layers = getattr(torchvision.models, MODELS[net])(weights=None).features[: taps[-1] + 1]
    tensors = {name.removeprefix("features."): tensor for name, tensor in backbone_tensors(path).items()}
    names = layers.state_dict().keys()
    if lacking := [name for name in names if name not in tensors]:
        raise WeightsError(f"{path} lacks features.{lacking[0]}: not the backbone {net!r}")
    try:
        layers.load_state_dict({name: tensors[name] for name in names}, assign=True)
    except RuntimeError:
        raise WeightsError(f"{path} holds layers of other shapes than backbone {net!r}") from None
    found: nn.Sequential = layers.requires_grad_(False).eval()
    return found


def backbone_tensors(path: Path) -> dict[str, Tensor]:
    """The convolutional part of a torchvision classifier: the ``features.*`` tensors of the file at ``path``.

    Raises:
        WeightsError: the file is not a plain dictionary of tensors with such names.
    """
    features = {name: tensor for name, tensor in load_tensors(path).items() if name.startswith("features.")}
    if not features:
        raise WeightsError(f"{path} holds no features.* tensors: not a torchvision backbone")
    return features


def chunk_size(height: int, width: int) -> int:
    """The number of images of that size that a network gets at once, 1 to 8."""
    return max(1, min(8, CHUNK_PIXELS // (height * width)))


def on_device(images: np.ndarray, device: str) -> Tensor:
    """Images (B, H, W, 3), uint8, as (B, 3, H, W), uint8, on ``device``."""
    import torch

    return torch.from_numpy(np.array(images)).to(device).permute(0, 3, 1, 2)


def mean_over_space(maps: list[Tensor]) -> Tensor:
    """The last of a backbone's maps averaged over space: (B, C), float32."""
    return maps[-1].mean(dim=(2, 3))


class Lpips:
    """LPIPS v0.1 (Zhang et al. 2018, eq. 1) with one backbone; a :class:`paired.Measure` and a function of two images.

    The linear layers are those of the lpips package. The distance is calculated here in half the package's time; a test
    compares the two. The means of the last layer over the outputs are kept, because ``fd-alexnet`` is made of them.
    """

    def __init__(self, net: str, path: Path, device: str = "cpu") -> None:
        """LPIPS with backbone ``net``, whose weights are at ``path``.

        Raises:
            WeightsError: ``path`` does not hold that backbone, or the linear layers are not those published.
        """
        self._heads = [head.to(device) for head in load_heads(net)]
        self.settings = {
            "net": net, "version": "0.1", "library": f"lpips {version('lpips')}",
            "weights": path.name, "weights_sha256": weights.sha256(path), "heads_sha256": HEADS[net],
        }  # fmt: skip
        self._backbone = load_backbone(net, path, device)
        self._device = device
        self._values: list[np.ndarray] = []
        self.means: list[np.ndarray] = []
        """The means of the last layer over each batch of outputs, (B, C), float32."""

    def add(self, fakes: np.ndarray, targets: np.ndarray) -> None:
        values, means = self.with_means(fakes, targets)
        self._values.append(values)
        self.means.append(means)

    def results(self, _targets: Images, common: dict[str, Any]) -> Iterable[MetricResult]:
        net = self.settings["net"]
        name = "lpips" if net == "alex" else f"lpips-{net}"
        yield over_images(name, np.concatenate(self._values), {**self.settings, **common})

    def __call__(self, fakes: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return self.with_means(fakes, targets)[0]

    def with_means(self, fakes: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The distances, (N,), float64, and the means over space of the last layer for ``fakes``, (N, C), float32."""
        import torch

        size = chunk_size(*fakes.shape[1:3])
        values, means = [], []
        with torch.inference_mode():
            for start in range(0, len(fakes), size):
                ours, theirs = (
                    self._backbone(on_device(images[start : start + size], self._device)) for images in (fakes, targets)
                )
                means.append(mean_over_space(ours).cpu().numpy())
                distances = [_distance(*layer) for layer in zip(ours, theirs, self._heads, strict=True)]
                values.append(torch.stack(distances).sum(dim=0).cpu().double().numpy())  # MPS has no float64
        return np.concatenate(values), np.concatenate(means)


def heads_file(net: str) -> Path:
    """The file of the lpips package that holds the linear layers for backbone ``net``."""
    import importlib.util

    found = importlib.util.find_spec("lpips")  # importing it would import torchvision and more
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "weights" / "v0.1" / f"{net}.pth"


HEADS = {
    "alex": "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    "squeeze": "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
    "vgg": "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
}
"""The SHA-256 of each file of linear layers in lpips 0.1.4."""


def load_heads(net: str) -> list[Tensor]:
    """The weight of each channel, (C,), of each layer that LPIPS compares with backbone ``net``.

    Raises:
        WeightsError: the linear layers are not those published.
    """
    heads = heads_file(net)
    if (found := weights.sha256(heads)) != HEADS[net]:
        raise WeightsError(
            f"{heads} is not the linear layers of LPIPS v0.1: its SHA-256 begins {found[:12]}, expected "
            f"{HEADS[net][:12]}; reinstall the package lpips"
        )
    tensors = load_tensors(heads)
    return [tensors[f"lin{k}.model.1.weight"].flatten() for k in range(len(tensors))]


def _distance(ours: Tensor, theirs: Tensor, head: Tensor) -> Tensor:
    """Weighted squared difference of unit vectors, averaged over space: (B, C, h, w) twice and (C,) to (B,).

    It overwrites both maps, so that those of large layers are not copied.
    """
    import torch

    for maps in (ours, theirs):
        maps.div_(torch.linalg.vector_norm(maps, dim=1, keepdim=True) + 1e-10)
    squares = ours.sub_(theirs).square_()
    return torch.matmul(squares.permute(0, 2, 3, 1).flatten(1, 2), head).mean(dim=1)
