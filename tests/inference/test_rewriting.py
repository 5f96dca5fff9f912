"""What is exported computes what the network does: every generator, every mode without noise, odd weights."""

from __future__ import annotations

import pytest
import torch
from levels import Settings, config_of, random
from torch import nn

from p2pbench.inference.modes import inference
from p2pbench.inference.onnx import MODES
from p2pbench.inference.rewriting import ShuffledConvolution, rewritten
from p2pbench.models.build import build_generator
from p2pbench.models.convolution import TransposedConvolution
from p2pbench.models.layers import apply_spectral_norm

GENERATORS: dict[str, Settings] = {
    "unet": {},
    "port": {"training.preset": "pytorch"},
    "encoder_decoder": {"generator.name": "encoder_decoder"},
    "resnet6": {"generator.name": "resnet6"},
    "nafnet": {"generator.name": "nafnet"},
    "convnext_unet": {"generator.name": "convnext_unet"},
    "instance norm": {"generator.norm": "instance"},
    "no norm": {"generator.norm": "none"},
    "pixel-shuffle": {"generator.upsampling": "pixel-shuffle"},
    "nearest": {"generator.upsampling": "nearest"},
    "blur, attention": {"generator.downsampling": "blur", "generator.attention": True},
    "spade": {"generator.spade": "labels"},
}


def trained(settings: Settings) -> nn.Module:
    """A small generator whose norms and biases are not those of its start."""
    generator = build_generator(config_of(settings, data__crop_size=32, data__load_size=32, generator__ngf=4))
    draw = torch.Generator().manual_seed(0)
    for tensor in [*generator.parameters(), *generator.buffers()]:
        if tensor.is_floating_point() and tensor.dim() == 1:
            tensor.data.add_(torch.rand(tensor.shape, generator=draw))  # variances stay above 0
    return generator


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", GENERATORS)
def test_the_rewritten_network_gives_the_same(name: str, mode: str) -> None:
    generator, images = trained(GENERATORS[name]), random(2, 3, 32, 64).clamp(-1, 1)
    before = {key: tensor.clone() for key, tensor in generator.state_dict().items()}
    with inference(generator, mode) as (network, _):
        faster = rewritten(network)
        expected = network(images)
        # Rounding alone: sums in another order, of values below 10.
        assert torch.allclose(faster(images), expected, atol=2e-5)
    assert all(torch.equal(tensor, before[key]) for key, tensor in generator.state_dict().items())


def test_of_the_papers_u_net_in_eval_convolutions_and_activations_are_left() -> None:
    with inference(trained({}), "eval") as (network, _):
        kinds = {type(module).__name__ for module in rewritten(network).modules()}
        whole = {type(module).__name__ for module in rewritten(network, folded=False).modules()}
    assert not {"BatchNorm2d", "TransposedConvolution"} & kinds
    assert "BatchNorm2d" in whole


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5)])
def test_a_transposed_convolution_is_a_convolution_and_a_shuffle(shape: tuple[int, int], bias: bool) -> None:
    layer = TransposedConvolution(3, 5, 4, stride=2, padding=1, bias=bias).double()
    images = random(2, 3, *shape).double()
    assert torch.allclose(ShuffledConvolution(layer)(images), layer(images), atol=1e-12)


def test_other_layers_stay_as_they_are() -> None:
    layers = [
        nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, output_padding=1),
        nn.ConvTranspose2d(4, 4, 4, stride=2, padding=1, groups=2),
        nn.ConvTranspose2d(4, 4, 4, stride=1, padding=1),
    ]
    normed = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    apply_spectral_norm(normed, 0)
    network = nn.ModuleList([*layers, normed]).eval()
    assert [type(m) for m in rewritten(network).modules()] == [type(m) for m in network.modules()]
