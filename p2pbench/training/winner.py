"""How ``auto`` runs steps on a GPU: as ``bench step --race`` found to be the fastest for such networks on this machine.

A record lies in the cache folder. Without one, for a network of one's own, and under ``training.deterministic``, it is
one CUDA graph in channels-last; elsewhere than on CUDA ``auto`` is always the same, so that the bits are.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from p2pbench.config.run_id import cost_key
from p2pbench.config.schema import RunConfig
from p2pbench.system.cache_dir import home
from p2pbench.system.files import locked, write_json


@dataclass(frozen=True)
class Way:
    """A way to run a step; the losses of all agree to rounding."""

    kind: str = "graph"
    """``eager``, ``compile``, ``graph``, or ``graph+compile``, a graph of compiled passes."""
    channels_last: bool = True
    search: bool = False
    """``cudnn.benchmark``."""

    def __str__(self) -> str:
        return f"{self.kind}, {'NHWC' if self.channels_last else 'NCHW'}{', cudnn.benchmark' * self.search}"


def recorded_way(config: RunConfig) -> Way | None:
    """The way that won for the networks and sizes of ``config`` on this GPU by this torch; None without a record."""
    try:
        return Way(**_records()[key_of(config)])
    except (OSError, ValueError, KeyError, TypeError):  # made again by a race
        return None


def record_way(config: RunConfig, way: Way) -> Path:
    """Have ``auto`` take ``way`` from now on; returns the file.

    Raises:
        StorageError: it cannot be written.
    """
    path = _file()
    with locked(path.with_suffix(".lock")):
        try:
            records = _records()
        except (OSError, ValueError):
            records = {}
        write_json(path, {**records, key_of(config): asdict(way)})
    return path


def key_of(config: RunConfig) -> str:
    """What a record holds for: the GPU, the version of torch, and all that decides the time of a step."""
    plain = config.changed("training", device="cuda", engine="auto")
    return f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {cost_key(plain)}"


def _file() -> Path:
    return home() / "fastest-steps.json"


def _records() -> dict[str, Any]:
    return dict(json.loads(_file().read_text(encoding="utf-8")))
