"""One generator in torch, ONNX Runtime and OpenVINO, in float32, bf16 and int8: to be timed, and what each loses."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from p2pbench.config.schema import RunConfig
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import open_dataset
from p2pbench.data.images import as_scored
from p2pbench.data.transforms import conditions_of, targets_of
from p2pbench.errors import ConfigError
from p2pbench.inference.export import exported_modes, padded, quiet, size_multiple, some_conditions, write_onnx
from p2pbench.inference.generator import Model, translate
from p2pbench.inference.modes import inference
from p2pbench.inference.onnx import OnnxGenerator, has_openvino, runtime
from p2pbench.inference.rewriting import rewritten
from p2pbench.scoring import weights
from p2pbench.scoring.lpips import Lpips
from p2pbench.scoring.paired import PairedMetric, l1
from p2pbench.statistics.intervals import image_interval
from p2pbench.system.hardware import fast_bf16

N_CALIBRATED, N_COMPARED = 16, 128
"""Training images whose ranges int8 is calibrated on, and the most test images that losses are means over."""


class Way(NamedTuple):
    """A way to run a generator."""

    runtime: str
    precision: str
    mode: str
    """The inference mode: that which is asked for or, where it draws noise, that in which a file is exported."""
    file: Path | None = None
    """What a runtime other than torch reads."""

    def generator(self, own: nn.Module, threads: int) -> nn.Module:
        """``own``, a generator, run in this way: (N, C, H, W) to (N, C', H, W), both float32 in [-1, 1]."""
        if self.file is None:
            return own if self.precision == "fp32" else Bf16(own)
        precision = "fp32" if self.precision == "int8" else self.precision  # int8 is in the file
        return OnnxGenerator(self.file, threads, openvino=self.runtime == "openvino", precision=precision)


class Bf16(nn.Module):
    """A generator rewritten, its weights in bf16 and channels last."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        # A copy: the rewritten network shares weights, which are converted in place.
        faster = rewritten(copy.deepcopy(generator), folded=False)
        self.network = faster.to(torch.bfloat16).to(memory_format=torch.channels_last)

    def forward(self, condition: Tensor) -> Tensor:
        images = condition.to(torch.bfloat16, memory_format=torch.channels_last)
        output: Tensor = self.network(images)
        return output.float().contiguous()


def ways_of(model: Model, scratch: Path) -> tuple[list[Way], str | None]:
    """The ways to run ``model`` on a CPU that this machine has, with files of it in ``scratch``; torch's float32 first.

    Returns:
        The ways, and why some are not among them.
    """
    wanted = model.config.scoring.inference
    ways = [Way("torch", "fp32", wanted)]
    try:
        runtime()
        exported = exported_modes(model)
        mode = wanted if wanted in exported else exported[0]
        plain, int8 = _write_files(model, mode, scratch)
    except ConfigError as error:
        return ways, str(error)
    if fast_bf16():
        ways.append(Way("torch", "bf16", mode))
    ways += [Way("onnxruntime", "fp32", mode, plain), Way("onnxruntime", "int8", mode, int8)]
    if not has_openvino():
        return ways, "OpenVINO is not installed: pip install 'p2pbench[openvino]'"
    ways.append(Way("openvino", "fp32", mode, plain))
    if fast_bf16():
        ways.append(Way("openvino", "bf16", mode, plain))
    return [*ways, Way("openvino", "int8", mode, int8)], None


def _write_files(model: Model, mode: str, folder: Path) -> tuple[Path, Path]:
    """``model`` as ONNX in float32, and quantised to int8 by the ranges that training conditions have."""
    from onnxruntime.quantization import QuantType, quantize_static

    folder.mkdir(parents=True, exist_ok=True)
    plain, int8 = folder / "plain.onnx", folder / "int8.onnx"
    images = padded(some_conditions(model.config, "train", N_CALIBRATED), size_multiple(model.config))
    with inference(model.generator, mode) as (network, _):
        write_onnx(model, network, mode, images[:1], plain)
    with quiet():
        quantize_static(
            plain, int8, _Calibration(images), per_channel=True, activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )  # fmt: skip
    return plain, int8


class _Calibration:
    """Images one by one, as onnxruntime asks for them."""

    def __init__(self, images: Tensor) -> None:
        self._images: Iterator[Tensor] = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {"condition": image[None].numpy()}


def losses(model: Model, ways: list[Way], threads: int) -> dict[Way, dict[str, Any]]:
    """What each of ``ways`` but torch's float32 loses against that in the same mode, on the first 128 test pairs.

    Returns:
        By score (L1, and LPIPS where its weights are on this machine) the mean over images of the paired difference of
        scores, ``value``, with its 95 % interval, ``low`` and ``high``; above 0 is worse.
    """
    pairs = decoded(open_dataset(model.config.data), "test")[:N_COMPARED]
    conditions = np.array(conditions_of(pairs, model.config.data))
    targets = as_scored(targets_of(np.array(pairs), model.config.data))
    measures = _measures(targets.shape)

    def scores(way: Way) -> dict[str, np.ndarray]:
        generator = way.generator(model.generator, threads)
        outputs = translate(generator, conditions, model.config.data, seed=0, mode=way.mode)
        return {name: measure(as_scored(outputs), targets) for name, measure in measures.items()}

    bare = {mode: scores(Way("torch", "fp32", mode)) for mode in {way.mode for way in ways[1:]}}
    found = {}
    for way in ways[1:]:
        found[way] = {
            name: image_interval(values - bare[way.mode][name])[0]._asdict() for name, values in scores(way).items()
        }
    return found


def _measures(shape: tuple[int, ...]) -> Mapping[str, PairedMetric]:
    found: dict[str, PairedMetric] = {"l1": l1}
    if shape[-1] == 3 and min(shape[1:3]) >= 31 and weights.usable("alex"):
        found["lpips"] = Lpips("alex", weights.obtain("alex", fetch=False))
    return found


def untrained(config: RunConfig) -> Model:
    """A generator of ``config`` as it is before training, which takes the same time."""
    from p2pbench.models.build import build_generator

    return Model("untrained", config, build_generator(config))
