"""A trained generator as a function: integer conditions in, integer images out; for scoring, samples, benchmarks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from p2pbench.config.schema import DataConfig, RunConfig
from p2pbench.data.dataset import wanted_by_role
from p2pbench.data.images import Stored, as_wanted
from p2pbench.data.transforms import condition_to_model, from_model
from p2pbench.errors import NotFinite
from p2pbench.inference.modes import inference, noise
from p2pbench.inference.onnx import OnnxGenerator
from p2pbench.models.noise import Noise
from p2pbench.models.timed import TimedGenerator
from p2pbench.training.engine import prepare_engine


@dataclass(frozen=True)
class Model:
    """A generator, on the CPU until :func:`place_model` moves it, and what it was trained for."""

    name: str
    config: RunConfig
    generator: nn.Module
    folder: Path | None = None
    """The folder of its run; None for weights alone, as those of the port and of an ONNX file."""
    weights: Path | None = None
    """The file that the generator was read from."""
    bits: int | None = None
    """Bits of the images that it was trained on, 8 or 16, where that is known."""

    @property
    def modes(self) -> tuple[str, ...]:
        """The inference modes that it can run in, its own first."""
        if isinstance(self.generator, OnnxGenerator):
            return (self.config.scoring.inference,)
        return tuple(dict.fromkeys((self.config.scoring.inference, *self.config.objective.inference_modes)))

    @property
    def deep(self) -> bool:
        """Whether outputs have 16 bits where conditions have 8: it was trained on a range of values, or on 16 bits."""
        return wanted_by_role(self.config.data)[1].range is not None or self.bits == 16

    @property
    def has_noise(self) -> bool:
        """Whether its outputs differ from one seed to another in the mode ``paper``, or in those of a flow."""
        if isinstance(self.generator, TimedGenerator):
            return self.generator.transport.draws(2)
        return any(isinstance(module, nn.Dropout | nn.Dropout2d | Noise) for module in self.generator.modules())

    def as_condition(self, picture: Stored) -> np.ndarray:
        """A picture as the model takes it, (H, W, C), uint8 or uint16.

        Raises:
            UnsupportedImage: the picture is not of the kind that the model was trained on.
        """
        condition, target = wanted_by_role(self.config.data)
        return as_wanted(picture, target if self.config.data.colours == "lab" else condition)


def place_model(model: Model) -> None:
    """Move the generator to the device that its configuration runs on, and set this process up for it.

    Raises:
        ConfigError: the device is not on this machine.
    """
    training = model.config.training
    model.generator.to(prepare_engine(training).device)


def translate(
    generator: nn.Module,
    conditions: np.ndarray,
    data: DataConfig,
    *,
    seed: int,
    mode: str = "paper",
    batch_size: int = 8,
    keys: Sequence[int] | None = None,
    deep: bool = False,
) -> np.ndarray:
    """The generator's outputs, with its dropout's noise drawn for each image from (seed, key).

    Args:
        generator: maps (N, C, H, W) to (N, C', H, W), float in [-1, 1]; left as it is.
        conditions: (N, H, W, C), uint8 or uint16; RGB for colorization.
        data: what of them the generator sees, and how its output is shown (``data.colours``, ``data.channels``).
        mode: how norm and dropout behave, as ``scoring.inference``.
        keys: what distinguishes the images' noise; their positions unless given.
        deep: give 16 bits also where conditions have 8.
    Returns:
        (N, H, W, C'), of the type of the conditions unless ``deep``; RGB for colorization.
    Raises:
        NotFinite: an output is NaN or infinite somewhere; an integer would hide it.
    """
    device = next(generator.parameters()).device
    keys = range(len(conditions)) if keys is None else keys
    outputs = []
    with inference(generator, mode) as (network, random):
        for start in range(0, len(conditions), batch_size):
            batch = np.array(conditions[start : start + batch_size])
            random[:] = [noise(seed, key) for key in keys[start : start + batch_size]]
            images = torch.from_numpy(batch).to(device).permute(0, 3, 1, 2)
            dtype = torch.uint16 if deep else images.dtype
            given = network(condition_to_model(images, data))
            if not given.isfinite().all():
                raise NotFinite("the generator gives NaN or infinity, of which no picture can be made")
            translated = from_model(given, images, data, dtype)
            outputs.append(translated.permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(outputs)
