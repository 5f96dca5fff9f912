"""Weights of the PyTorch port: a network nested as the port nests it gives what ours gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from port_network import Port, trained
from torch import Tensor, nn

from p2pbench.config.resolve import Layer, resolve
from p2pbench.errors import WeightsError
from p2pbench.models.port import load_port, read_port


def ours(path: Path, **settings: object) -> nn.Module:
    tensors, shape = read_port(path)
    layer = {"data.crop_size": 32, "data.load_size": 32, "objective.name": "l1"} | settings
    return load_port(resolve([Layer("data", layer), Layer("port", shape)]).config, tensors, path).eval()


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize(("depth", "channels"), [(5, (3, 3)), (5, (1, 2)), (4, (3, 1))])
def test_a_nested_unet_gives_the_same_images(tmp_path: Path, norm: str, depth: int, channels: tuple[int, int]) -> None:
    theirs = trained(Port(depth, 4, norm, channels))
    path = tmp_path / "latest_net_G.pth"
    torch.save(theirs.state_dict(), path)
    images = torch.rand(2, channels[0], 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    generator = ours(path, **({"data.colours": "lab"} if channels == (1, 2) else {}))
    with torch.no_grad():
        torch.testing.assert_close(generator(images), theirs(images))
    _, shape = read_port(path)
    assert (shape["generator.depth"], shape["generator.ngf"], shape["generator.norm"]) == (depth, 4, norm)


class Block(nn.Module):
    def __init__(self, channels: int, dropout: bool) -> None:
        super().__init__()
        noise = [nn.Dropout(0.5)] if dropout else []
        half = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=False), nn.BatchNorm2d(channels)]
        again = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=False), nn.BatchNorm2d(channels)]
        self.conv_block = nn.Sequential(*half, nn.ReLU(), *noise, *again)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv_block(x)
        return x + y


@pytest.mark.parametrize("dropout", [False, True])
def test_a_resnet_gives_the_same_images(tmp_path: Path, dropout: bool) -> None:
    def layer(convolution: nn.Module, channels: int) -> list[nn.Module]:
        return [convolution, nn.BatchNorm2d(channels), nn.ReLU()]

    theirs = nn.Module()
    theirs.model = nn.Sequential(
        nn.ReflectionPad2d(3), *layer(nn.Conv2d(3, 4, 7, bias=False), 4),
        *layer(nn.Conv2d(4, 8, 3, 2, 1, bias=False), 8), *layer(nn.Conv2d(8, 16, 3, 2, 1, bias=False), 16),
        *(Block(16, dropout) for _ in range(6)),
        *layer(nn.ConvTranspose2d(16, 8, 3, 2, 1, 1, bias=False), 8),
        *layer(nn.ConvTranspose2d(8, 4, 3, 2, 1, 1, bias=False), 4),
        nn.ReflectionPad2d(3), nn.Conv2d(4, 3, 7), nn.Tanh(),
    )  # fmt: skip
    trained(theirs)
    path = tmp_path / "latest_net_G.pth"
    torch.save({f"module.{name}": tensor for name, tensor in theirs.state_dict().items()}, path)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    generator = ours(path)
    with torch.no_grad():
        torch.testing.assert_close(generator(images), theirs.model(images))
    assert sum(isinstance(module, nn.Dropout) for module in generator.modules()) == 6 * dropout


def test_what_is_no_generator_of_the_ports_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latest_net_G.pth"
    torch.save({"features.0.weight": torch.zeros(4, 3, 4, 4)}, path)
    with pytest.raises(WeightsError, match=r"no generator of the PyTorch port .*features\.0\.weight"):
        read_port(path)
    torch.save({}, path)
    with pytest.raises(WeightsError, match="no generator"):
        read_port(path)
    theirs = Port(5, 4, "batch", (3, 3)).state_dict()
    theirs.pop("model.model.1.model.1.weight")
    torch.save(theirs, path)
    with pytest.raises(WeightsError, match=r"1 layers differ, the first encoder\.1\.1\.weight"):
        ours(path)
    path.write_bytes(b"not weights")
    with pytest.raises(WeightsError, match="cannot be read"):
        read_port(path)
