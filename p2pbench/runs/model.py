"""A trained model by its name: a run's folder, a run's id, weights of the PyTorch port, or an exported ONNX file."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn

from p2pbench.config.renamed import current_value
from p2pbench.config.resolve import Layer, flatten, from_mapping, resolve
from p2pbench.errors import ConfigError, WeightsError, first_line, unknown
from p2pbench.inference.generator import Model
from p2pbench.inference.model_card import Background
from p2pbench.inference.onnx import OnnxGenerator, has_openvino
from p2pbench.models.build import build_generator
from p2pbench.models.port import load_port, read_port
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.store import Store
from p2pbench.system.hardware import available_cores
from p2pbench.training import checkpoint

PORT_FILE = "latest_net_G.pth"


def load_model(
    name: str, runs: Path, layers: Sequence[Layer] = (), *, inference: str | None = None, fast: bool = False
) -> Model:
    """The model ``name``: a run's folder or id, a port's ``latest_net_G.pth``, or an ``.onnx`` that was exported.

    Args:
        layers: settings for a port's weights (the data, say), which say nothing but the shape of their network.
        inference: the mode that it runs in, instead of the one that it is scored in.
        fast: run an ``.onnx`` in OpenVINO where that is installed, which is for pictures to look at: its bf16 differs
            by about a grey level. Scores are of onnxruntime's float32.
    Raises:
        ConfigError: no such run; settings for a run, which has its own; settings that the weights decide; or a mode
            that the model does not have.
        WeightsError: weights that are missing, damaged, or of another network.
    """
    model = _load(name, runs, layers, fast)
    mode = current_value("scoring.inference", inference, "--inference")
    if mode is None:
        return model
    if mode not in model.modes:
        raise ConfigError(f"--inference: {unknown('mode', mode, model.modes)}")
    return replace(model, config=model.config.changed("scoring", inference=mode))


def _load(name: str, runs: Path, layers: Sequence[Layer], fast: bool) -> Model:
    path = Path(name).expanduser()
    if (path / PORT_FILE).is_file():  # a folder of the port's checkpoints
        path = path / PORT_FILE
    if path.suffix in (".pth", ".pt", ".onnx") and not path.is_file():
        raise WeightsError(f"{path}: there is no such file")
    if path.suffix in (".pth", ".pt"):
        return _load_port(path, layers)
    settings = {key: value for layer in layers for key, value in layer.settings.items()}
    if settings.keys() - {"scoring.palette", "data.source"}:
        raise ConfigError(
            f"{name!r} has settings of its own; leave --protocol and --set out (but for data.source, where its data "
            "lie elsewhere, and scoring.palette)"
        )
    if path.suffix == ".onnx":
        return _load_onnx(name, path, settings, openvino=fast and has_openvino())
    run = Store(runs).find_run(name)
    config = from_mapping({**flatten(run.config().model_dump(mode="json"), name), **settings}, f"run {name}")
    if run.trained() and not run.generator_is_whole():
        raise WeightsError(
            f"{run.generator_file} is not what training left, by its hash in {run.status_file.name}: remove it, and "
            "ablate, or train --resume, trains it anew"
        )
    status = run.status()
    return Model(
        name, config, load_generator(run), folder=run.path, weights=run.generator_file,
        bits=None if status is None else status.bits,
    )  # fmt: skip


def _load_port(path: Path, layers: Sequence[Layer]) -> Model:
    tensors, shape = read_port(path)
    for key in layers[-1].settings.keys() & shape.keys() if layers else ():
        raise ConfigError(f"--set {key}: {path} decides it ({shape[key]}); leave it out")
    # A side that unet_512 can halve, where no setting says one.
    size = max(256, 2 ** shape.get("generator.depth", 0))
    sizes = {"data.crop_size": size, "data.load_size": size} if size > 256 else {}
    port = Layer(str(path), {"training.preset": "pytorch", **sizes})
    config = resolve([port, *layers, Layer(str(path), shape)]).config
    return Model(str(path), config, load_port(config, tensors, path), weights=path)


def _load_onnx(name: str, path: Path, settings: Mapping[str, Any], *, openvino: bool) -> Model:
    generator = OnnxGenerator(path, available_cores(), openvino=openvino)
    config = from_mapping({**flatten(generator.about["config"], str(path)), **settings}, str(path))
    mode = current_value("scoring.inference", generator.about["inference"], str(path))
    return Model(name, config.changed("scoring", inference=mode), generator, weights=path, bits=generator.about["bits"])


def load_generator(run: RunFolder) -> nn.Module:
    """The trained generator of a run, on the CPU. Raises :class:`WeightsError` if it is missing or damaged."""
    generator = build_generator(run.config())
    try:
        checkpoint.load_generator(run.generator_file, generator)
    except FileNotFoundError:
        raise WeightsError(f"{run.path} has no generator.safetensors: its training has not finished") from None
    except (SafetensorError, RuntimeError, OSError) as error:
        raise WeightsError(f"{run.generator_file} does not fit the run's configuration: {first_line(error)}") from None
    return generator


def background_of(model: Model) -> Background:
    """What the run that ``model`` came from recorded, for its model card; empty where it came from weights alone."""
    if model.folder is None:
        return Background()
    run = RunFolder(model.folder)
    training = run.training()
    scores = {
        mode: {name: score.to_json() for name, score in found.items()}
        for mode in model.modes
        if (found := RunFolder(model.folder, mode).scores())
    }
    return Background(
        run.recorded_id(), training.steps if training else None, training.seconds if training else None, scores
    )
