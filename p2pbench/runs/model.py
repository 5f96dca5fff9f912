"""A trained model by its name: a run's folder, a run's id, weights of the PyTorch port, or an exported ONNX file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from torch import nn

from p2pbench.config.resolve import Layer, flatten, from_mapping, resolve
from p2pbench.config.schema import RunConfig
from p2pbench.data.dataset import wanted_by_role
from p2pbench.errors import ConfigError, WeightsError
from p2pbench.inference.onnx import OnnxGenerator
from p2pbench.models.build import build_generator
from p2pbench.models.port import load_port, read_port
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.store import Store
from p2pbench.system.hardware import available_cores
from p2pbench.training import checkpoint
from p2pbench.training.engine import prepare_engine


@dataclass(frozen=True)
class Model:
    """A generator, on the CPU, and what it was trained for."""

    name: str
    config: RunConfig
    generator: nn.Module
    run: RunFolder | None
    """None for weights alone: of the port, or exported."""
    bits: int | None = None
    """Of the images that it was trained on, where that is known: 8 or 16."""

    @property
    def modes(self) -> tuple[str, ...]:
        """The inference modes it can be run in, as ``scoring.inference``; its own first."""
        if isinstance(self.generator, OnnxGenerator):
            return ("statistics",)
        return tuple(dict.fromkeys((self.config.scoring.inference, "paper", "statistics", "eval")))

    @property
    def deep(self) -> bool:
        """Whether outputs have 16 bits also where conditions have 8: trained on a range, or on 16 bits."""
        return wanted_by_role(self.config.data)[1].range is not None or self.bits == 16

    @property
    def has_noise(self) -> bool:
        """Whether its outputs differ from one seed to another in the mode ``paper``."""
        return any(isinstance(module, nn.Dropout | nn.Dropout2d) for module in self.generator.modules())


def place_model(model: Model) -> None:
    """Put the generator on the device that its configuration runs on, and set this process up for it.

    Raises:
        ConfigError: a device that is not here.
    """
    training = model.config.training
    model.generator.to(prepare_engine(training, training.threads or available_cores()).device)


def load_model(name: str, runs: Path, layers: Sequence[Layer] = ()) -> Model:
    """The model ``name``: a run's folder or id, a port's ``latest_net_G.pth``, or an ``.onnx`` that was exported.

    Args:
        layers: settings for a port's weights (the data, say), which say nothing but the shape of their network.
    Raises:
        ConfigError: no such run; settings for a run, which has its own; or settings that the weights decide.
        WeightsError: weights that are missing, damaged, or of another network.
    """
    path = Path(name).expanduser()
    if path.suffix not in (".pth", ".pt"):
        settings = {key: value for layer in layers for key, value in layer.settings.items()}
        if settings.keys() - {"scoring.palette"}:
            raise ConfigError(
                f"{name!r} has settings of its own; leave --protocol and --set out (but for scoring.palette)"
            )
        if path.suffix == ".onnx":
            return _load_onnx(name, path)
        run = Store(runs).find_run(name)
        config = from_mapping({**flatten(run.config().model_dump(mode="json"), name), **settings}, f"run {name}")
        _check_whole(run)
        status = run.status()
        return Model(name, config, load_generator(run), run, None if status is None else status.bits)
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file")
    tensors, shape = read_port(path)
    for key in layers[-1].settings.keys() & shape.keys() if layers else ():
        raise ConfigError(f"--set {key}: {path} decides it ({shape[key]}); leave it out")
    port = Layer(str(path), {"training.preset": "pytorch"})
    config = resolve([port, *layers, Layer(str(path), shape)]).config
    return Model(name, config, load_port(config, tensors, path), None)


def _load_onnx(name: str, path: Path) -> Model:
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file")
    generator = OnnxGenerator(path, available_cores())
    config = from_mapping(generator.about["config"], str(path))
    scoring = config.scoring.model_copy(update={"inference": generator.about["inference"]})
    return Model(name, config.model_copy(update={"scoring": scoring}), generator, None, generator.about["bits"])


def _check_whole(run: RunFolder) -> None:
    if run.trained() and not run.generator_is_whole():
        raise WeightsError(
            f"{run.generator_file} is not what training left, by its hash in {run.status_file.name}: remove it, and "
            "ablate, or train --resume, trains it anew"
        )


def load_generator(run: RunFolder) -> nn.Module:
    """The trained generator of a run, on the CPU. Raises :class:`WeightsError` if it is missing or damaged."""
    generator = build_generator(run.config())
    try:
        checkpoint.load_generator(run.generator_file, generator)
    except FileNotFoundError:
        raise WeightsError(f"{run.path} has no generator.safetensors: its training has not finished") from None
    except (SafetensorError, RuntimeError, OSError) as error:
        raise WeightsError(
            f"{run.generator_file} does not fit the run's configuration: {str(error).splitlines()[0]}"
        ) from None
    return generator
