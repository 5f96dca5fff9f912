"""Generators trained by the PyTorch port: ``latest_net_G.pth``, with its tensors renamed to ours.

The port (junyanz/pytorch-CycleGAN-and-pix2pix) nests the levels of its U-Net, each inside the one above. The layers of
a level are numbered in the order in which they run, and everything below counts as one of them. Its ResNet is a chain
like ours.
"""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from p2pbench.config.schema import RunConfig
from p2pbench.errors import WeightsError
from p2pbench.models.build import build_generator
from p2pbench.system.torch_files import load_tensors

Tensors = dict[str, Tensor]


def read_port(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """The tensors of ``path`` under our names, and the settings that they fit, by dotted key.

    Dropout leaves no trace in a file of weights; it is assumed where the port has it by default.

    Raises:
        WeightsError: the file cannot be read, or holds no generator of the port.
    """
    theirs = {name.removeprefix("module."): tensor for name, tensor in load_tensors(path).items()}
    batch = any(name.endswith(".weight") and tensor.dim() == 1 for name, tensor in theirs.items())
    # Old releases stored running statistics of instance norm, which newer ones drop on loading.
    unused = ("num_batches_tracked",) if batch else ("num_batches_tracked", "running_mean", "running_var")
    theirs = {name: tensor for name, tensor in theirs.items() if not name.endswith(unused)}
    try:
        nested = "model.model.0.weight" in theirs
        tensors, settings = _unet(theirs) if nested else _resnet(theirs)
    except (KeyError, IndexError, ValueError):
        raise WeightsError(
            f"{path} holds no generator of the PyTorch port (its first layer is {next(iter(theirs), 'none')!r}); give "
            "a U-Net or ResNet saved as latest_net_G.pth"
        ) from None
    inner_bias = any(name.endswith(("model.1.model.1.bias", "model.4.bias")) for name in theirs)
    settings |= {
        "training.preset": "pytorch",
        "generator.norm": "batch" if batch else "instance" if inner_bias else "none",
    }
    return tensors, settings


def load_port(generator_config: RunConfig, tensors: Tensors, path: Path) -> nn.Module:
    """The generator of ``generator_config`` with the port's ``tensors``, as :func:`read_port` gives them.

    The port has no biases in some convolutions and no scale and shift in instance norm; ours become 0, 1 and 0.

    Raises:
        WeightsError: a layer is missing or of another shape.
    """
    generator = build_generator(generator_config)
    state = generator.state_dict()
    for name, tensor in state.items():
        if name.endswith(".bias"):
            tensor.zero_()
        elif name.endswith(".weight") and tensor.dim() == 1:
            tensor.fill_(1.0)
    needed = {name for name, tensor in state.items() if tensor.dim() > 1 or name.endswith("running_mean")}
    wrong = sorted((tensors.keys() - state.keys()) | (needed - tensors.keys()))
    wrong += [name for name, tensor in tensors.items() if name in state and state[name].shape != tensor.shape]
    if wrong:
        raise WeightsError(
            f"{path} does not fit generator {generator_config.generator.name!r}: {len(wrong)} layers differ, "
            f"the first {wrong[0]}"
        )
    generator.load_state_dict({**state, **tensors})
    return generator


def _unet(theirs: Tensors) -> tuple[Tensors, dict[str, Any]]:
    depth = max(name.count("model.") for name in theirs) - 1
    ours = {}
    for name, tensor in theirs.items():
        level = name.count("model.") - 2
        layer, kind = name.split(".")[-2:]
        side, position = _place(int(layer), level, depth)
        index = level if side == "encoder" else depth - 1 - level
        ours[f"{side}.{index}.{position}.{kind}"] = tensor
    first, last = ours["encoder.0.0.weight"], ours[f"decoder.{depth - 1}.1.weight"]
    return ours, {
        "generator.name": "unet",
        "generator.ngf": first.shape[0],
        "generator.depth": depth,
        "data.channels": [first.shape[1], last.shape[1]],
    }


def _place(layer: int, level: int, depth: int) -> tuple[str, int]:
    """The place in our U-Net of layer ``layer`` in the port's block ``level``, counted from the outermost."""
    if level == 0:
        places = {0: ("encoder", 0), 3: ("decoder", 1)}
    elif level == depth - 1:
        places = {1: ("encoder", 1), 3: ("decoder", 1), 4: ("decoder", 2)}
    else:
        places = {1: ("encoder", 1), 2: ("encoder", 2), 5: ("decoder", 1), 6: ("decoder", 2)}
    return places[layer]


def _resnet(theirs: Tensors) -> tuple[Tensors, dict[str, Any]]:
    ours = {name.removeprefix("model.").replace("conv_block", "residual"): tensor for name, tensor in theirs.items()}
    blocks = len({name.split(".")[0] for name in ours if ".residual." in name})
    if blocks not in (6, 9):
        raise ValueError(blocks)
    convolutions = [tensor for tensor in ours.values() if tensor.dim() == 4]
    # The second convolution of a block comes one place later if a dropout is between the two.
    dropout = any(name.endswith(".residual.6.weight") and tensor.dim() == 4 for name, tensor in ours.items())
    return ours, {
        "generator.name": f"resnet{blocks}",
        "generator.ngf": convolutions[0].shape[0],
        "generator.dropout": "middle" if dropout else "none",
        "data.channels": [convolutions[0].shape[1], convolutions[-1].shape[0]],
    }
