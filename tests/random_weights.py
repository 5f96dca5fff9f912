"""Files of weights with the right layout and random content: the numbers they lead to mean nothing."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch


def write_inception(folder: Path) -> Path:
    """A file of torch-fidelity's layout."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    empty = folder / "empty.pth"
    torch.save({}, empty)
    original = FeatureExtractorInceptionV3.load_state_dict
    FeatureExtractorInceptionV3.load_state_dict = lambda self, state: None
    try:
        torch.manual_seed(0)
        network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(empty))
    finally:
        FeatureExtractorInceptionV3.load_state_dict = original
    path = folder / "weights-inception-2015-12-05-6726825d.pth"
    torch.save(network.state_dict(), path)
    return path


def write_alexnet(folder: Path) -> Path:
    """AlexNet's convolutions, as torchvision names them."""
    random = torch.Generator().manual_seed(0)
    shapes = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}
    tensors = {}
    for layer, shape in shapes.items():
        spread = (2 / (shape[1] * shape[2] * shape[3])) ** 0.5
        tensors[f"features.{layer}.weight"] = torch.randn(shape, generator=random) * spread
        tensors[f"features.{layer}.bias"] = torch.randn(shape[0], generator=random) * 0.1
    path = folder / "alexnet_features.pth"
    torch.save(tensors, path)
    return path


def write_squeezenet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """SqueezeNet's convolutions under the name and, for the test, with the hash of the published ones."""
    import torchvision

    from p2pbench.scoring.weights import NETS
    from p2pbench.system.files import sha256_of

    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "squeezenet1_1_features.pth"
    state = torchvision.models.squeezenet1_1(weights=None).state_dict()
    torch.save({name: tensor for name, tensor in state.items() if name.startswith("features.")}, path)
    monkeypatch.setitem(NETS["squeeze"].files, path.name, sha256_of(path))
    return path


def lpips_package(net: str, path: Path) -> Any:
    """The lpips package's own model, with the backbone in torchvision's layout at ``path``."""
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision's advice on an argument that lpips passes
        model = lpips.LPIPS(net=net, version="0.1", pnet_rand=True, verbose=False)
    tensors = torch.load(path, weights_only=True)
    # lpips cuts torchvision's ``features`` into slices that keep the layers' numbers.
    model.net.load_state_dict({name: tensors[f"features.{name.split('.', 1)[1]}"] for name in model.net.state_dict()})
    return model.requires_grad_(False).eval()
