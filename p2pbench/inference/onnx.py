"""Generators as ONNX files: what ``export`` writes is read back, and runs as any other generator does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from p2pbench.errors import ConfigError, DataError, WeightsError, first_line
from p2pbench.models.layers import pad_to_multiple

METADATA = "p2pbench"
"""The key of the metadata of an exported file: JSON with ``config``, ``multiple`` and what else is known of the run."""
MODES = ("instance-stats", "eval")
"""The inference modes that are exported: an ONNX file that draws its own noise would answer differently everywhere."""
LOSSLESS_BF16 = ("unet", "encoder_decoder")
"""The generators of which no loss by bf16 was measured; see reports/benchmarks."""


def runtime() -> Any:
    """The module ``onnxruntime``. Raises :class:`ConfigError` where the extra is not installed."""
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError("ONNX files need the extra onnx: pip install 'p2pbench[onnx]'") from None
    return onnxruntime


def has_openvino() -> bool:
    """Whether the extra openvino is installed."""
    return find_spec("openvino") is not None


class _Session(NamedTuple):
    """A file in a runtime, ready to run."""

    run: Callable[[np.ndarray], np.ndarray]
    about: dict[str, Any]
    """What ``export`` wrote of the model."""
    sides: Sequence[Any]
    """Height and width that it takes, where it takes one size alone."""
    precision: str


class OnnxGenerator(nn.Module):
    """Maps conditions (N, C, H, W) to images (N, C', H, W), float32 in [-1, 1], on the CPU.

    Sides that are no multiple of what the network halves are padded, and cropped back; a flow of several passes, which
    torch pads in each, raises :class:`DataError` there. A network of the user's own
    takes the size it was trained at alone; another one raises :class:`DataError`.
    """

    def __init__(self, path: Path, threads: int, *, openvino: bool = False, precision: str | None = None) -> None:
        """Read ``path`` into onnxruntime, in float32, or into OpenVINO.

        Args:
            precision: OpenVINO's, ``fp32`` or ``bf16``; by default bf16 where the processor multiplies that in hardware
                and no loss was measured: with :data:`LOSSLESS_BF16`, in :data:`MODES`, for outputs of 8 bits.
        Raises:
            WeightsError: a file that cannot be read or that ``export`` has not written.
        """
        super().__init__()
        if not openvino:
            runtime()
        try:
            found = _openvino(path, threads, precision) if openvino else _onnxruntime(path, threads)
            self.about = found.about
            self.multiple = int(self.about["multiple"])
            passes = re.fullmatch(r"euler-(\d+)", str(self.about["inference"]))
            self._passes = int(passes[1]) if passes else 1
        except KeyError:
            raise WeightsError(
                f"{path} was not written by p2pbench export: it does not say what it was trained on"
            ) from None
        except Exception as error:  # each runtime has classes of its own for each way to fail
            raise WeightsError(f"{path} cannot be read as an ONNX file: {first_line(error)}") from None
        self._session = found
        self.runtime = f"{'openvino' if openvino else 'onnxruntime'} {found.precision}"
        self.where = nn.Parameter(torch.empty(0), requires_grad=False)
        """An empty parameter: its device is the one that outputs go to."""

    def forward(self, condition: Tensor) -> Tensor:
        given, taken = list(condition.shape[2:]), list(self._session.sides)
        if not self.multiple and given != taken:
            raise DataError(f"this ONNX file takes {taken[1]}x{taken[0]} pixels alone, not {given[1]}x{given[0]}")
        if self.multiple and self._passes > 1 and any(side % self.multiple for side in given):
            raise DataError(
                f"this ONNX file, of {self._passes} passes, takes sides that are multiples of {self.multiple}, not "
                f"{given[1]}x{given[0]}: torch pads in each pass, and a file can only once"
            )
        padded, (rows, columns) = pad_to_multiple(condition, self.multiple or 1)
        image = self._session.run(padded.float().cpu().contiguous().numpy())
        return torch.from_numpy(image).to(condition.device)[..., rows, columns]

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxGenerator:
        return self  # a session keeps nothing from one image to the next


def _onnxruntime(path: Path, threads: int) -> _Session:
    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map[METADATA])

    def run(condition: np.ndarray) -> np.ndarray:
        (image,) = session.run(None, {"condition": condition})
        return np.asarray(image)

    return _Session(run, about, session.get_inputs()[0].shape[2:], "fp32")


@cache
def _core() -> Any:
    """OpenVINO, once for the process. It gives signals a stack of its own: collected in another thread, that goes, and
    the next Ctrl-C ends the process (2026.4)."""
    import openvino

    return openvino.Core()


def _openvino(path: Path, threads: int, precision: str | None) -> _Session:
    core = _core()
    model = core.read_model(str(path))
    if not model.has_rt_info(["framework", METADATA]):
        raise KeyError(METADATA)
    about = json.loads(model.get_rt_info(["framework", METADATA]).astype(str))
    if precision is None:
        fast = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        precision = "bf16" if fast and _bf16_is_lossless(about) else "fp32"
    hints = {"INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision]}
    compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, **hints})

    def run(condition: np.ndarray) -> np.ndarray:
        # A request of its own for each call, which may come from another thread; it costs next to nothing.
        return np.array(compiled.create_infer_request().infer([condition])[0])

    sides = [side.get_length() if side.is_static else None for side in model.inputs[0].partial_shape][2:]
    return _Session(run, about, sides, precision)


def _bf16_is_lossless(about: dict[str, Any]) -> bool:
    config = about["config"]
    of_8_bits = about["bits"] != 16 and config["data"].get("range") is None
    return of_8_bits and about["inference"] in MODES and config["generator"]["name"] in LOSSLESS_BF16
