"""Files of weights with the right layout and random content: the numbers they lead to mean nothing."""

from __future__ import annotations

from pathlib import Path

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
