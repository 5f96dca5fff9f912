"""What this machine has, for ``p2pbench doctor``."""

import importlib.util
import platform
import shutil
from pathlib import Path
from typing import Any

from p2pbench.errors import WeightsError
from p2pbench.scoring import weights
from p2pbench.system.cache_dir import home
from p2pbench.system.console import bytes_text
from p2pbench.system.hardware import describe_machine, fast_bf16, versions


def examine(weights_dir: Path | None) -> dict[str, dict[str, Any]]:
    """Sections of facts: machine, versions, training, weights, storage, untested."""
    import torch

    from p2pbench.training.device import available_device, has_tensor_cores, unusable_gpu

    untested, why = {}, unusable_gpu()
    device = torch.device("cpu" if why else available_device("auto"))
    if platform.system() != "Linux":
        untested[platform.system()] = "p2pbench is tested on Linux alone; reports of what fails are welcome"
    if device.type == "mps":
        untested["mps"] = "eager, fp32; not tested"
    if device.type == "cuda":
        fast, no_bf16 = has_tensor_cores(device), "this GPU has no units for it (Ampere was the first)"
    else:
        fast, no_bf16 = device.type == "cpu" and fast_bf16(), "this processor has neither avx512_bf16 nor amx"
    return {
        "machine": describe_machine(device),
        "versions": versions(),
        "training": {
            "device": f"none for auto: the NVIDIA GPU cannot be used, {why}" if why else device.type,
            "bf16": "fast" if fast else f"slow: {no_bf16}; fp32 is faster",
            "tf32": "needs CUDA" if device.type != "cuda" else "available" if fast else "no units: Turing or older",
            "tensorboard log": "on" if importlib.util.find_spec("tensorboard") else "off (extra: tensorboard)",
        },
        "weights": {name: _weights(name, weights_dir) for name in weights.NETS},
        "storage": {
            "cache": str(home()),
            "free": bytes_text(_free(home())),
            "free here": bytes_text(_free(Path.cwd())),
        },
        "untested": untested or {"nothing": "this kind of machine runs the tests"},
    }


def _weights(name: str, weights_dir: Path | None) -> str:
    serves = ", ".join([*weights.scores_of(name), *weights.trainings_of(name)])
    path = weights.locate(name, weights_dir)
    if path is None:
        net = weights.NETS[name]
        return f"not here; {net.megabytes} MB are fetched when first needed (for {serves})"
    try:
        weights.verify(path, name)
    except WeightsError as error:
        return f"unusable: {error}"
    return f"{path} (for {serves})"


def _free(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
