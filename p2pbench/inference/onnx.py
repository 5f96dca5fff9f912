"""Generators as ONNX files: what ``export`` writes is read back, and runs as any other generator does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from p2pbench.errors import ConfigError, DataError, WeightsError, first_line
from p2pbench.models.layers import pad_to_multiple

METADATA = "p2pbench"
"""The key of the metadata of an exported file: JSON with ``config``, ``multiple`` and what else is known of the run."""


def runtime() -> Any:
    """The module ``onnxruntime``. Raises :class:`ConfigError` where the extra is not installed."""
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError("ONNX files need the extra onnx: pip install 'p2pbench[onnx]'") from None
    return onnxruntime


class OnnxGenerator(nn.Module):
    """Maps conditions (N, C, H, W) to images (N, C', H, W), float32 in [-1, 1], by onnxruntime on the CPU.

    Sides that are no multiple of what the network halves are padded, and cropped back. A network of the user's own
    takes the size it was trained at alone; another one raises :class:`DataError`.
    """

    def __init__(self, path: Path, threads: int) -> None:
        """Raises :class:`WeightsError` for a file that cannot be read or that ``export`` has not written."""
        super().__init__()
        onnxruntime = runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            self.about = json.loads(self.session.get_modelmeta().custom_metadata_map[METADATA])
            self.multiple = int(self.about["multiple"])
        except KeyError:
            raise WeightsError(
                f"{path} was not written by p2pbench export: it does not say what it was trained on"
            ) from None
        except Exception as error:  # onnxruntime has a class of its own for each way to fail
            raise WeightsError(f"{path} cannot be read as an ONNX file: {first_line(error)}") from None
        self.where = nn.Parameter(torch.empty(0), requires_grad=False)
        """An empty parameter: its device is the one that outputs go to."""

    def forward(self, condition: Tensor) -> Tensor:
        given, taken = list(condition.shape[2:]), self.session.get_inputs()[0].shape[2:]
        if not self.multiple and given != taken:
            raise DataError(f"this ONNX file takes {taken[1]}x{taken[0]} pixels alone, not {given[1]}x{given[0]}")
        padded, (rows, columns) = pad_to_multiple(condition, self.multiple or 1)
        (image,) = self.session.run(None, {"condition": padded.float().cpu().contiguous().numpy()})
        return torch.from_numpy(image).to(condition.device)[..., rows, columns]

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxGenerator:
        return self  # a session keeps nothing from one image to the next
