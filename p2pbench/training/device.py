"""The device that networks run on: which one there is, why a GPU cannot be used, and what it has."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import torch

from p2pbench.errors import ConfigError, first_line

DEVICES = Path("/dev")
"""Where Linux has a file for each GPU."""


def available_device(device: str) -> str:
    """``device``, or for ``auto`` the fastest one of this machine.

    Raises:
        ConfigError: this machine does not have the device, or has a GPU that this torch cannot use.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device in ("auto", "cuda") and (why := unusable_gpu()):
        raise ConfigError(
            f"training.device is {device}, and this machine's NVIDIA GPU cannot be used: {why}; install a torch that "
            "fits its driver, or use training.device cpu"
        )
    if device == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    if (device == "cuda" and not cuda) or (device == "mps" and not mps):
        raise ConfigError(f"training.device is {device}, which this machine does not have; use auto or cpu")
    return device


def unusable_gpu() -> str | None:
    """Why torch cannot use this machine's NVIDIA GPU; None where it can, or where this process is given none."""
    if torch.cuda.is_available():
        capability, built_for = torch.cuda.get_device_capability(), torch.cuda.get_arch_list()
        if torch.version.cuda is None or not built_for or runs_on(capability, built_for):
            return None
        major, minor = capability
        return f"it has compute capability {major}.{minor}, and this torch is built for {' '.join(built_for)}"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if hidden or not any(map(_opens, DEVICES.glob("nvidia[0-9]*"))):
        return None
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    try:
        torch.cuda.init()  # says what is_available() keeps to itself: most often a driver older than the wheel
    except RuntimeError as error:
        return None if "No CUDA GPUs are available" in str(error) else first_line(error).rstrip(".")
    return None


def _opens(device: Path) -> bool:
    """Whether this process may use a device file: schedulers and containers leave the others' visible."""
    try:
        os.close(os.open(device, os.O_RDWR))
    except OSError:
        return False
    return True


def runs_on(capability: tuple[int, int], built_for: Sequence[str]) -> bool:
    """Whether a GPU of compute ``capability`` runs code that is built for one of these architectures.

    Args:
        built_for: as ``torch.cuda.get_arch_list`` has them. ``sm_86`` is machine code, for 8.6 to 8.9; ``compute_90``
            is what the driver compiles for 9.0 and all later ones.
    """
    for kind, major, minor in (re.findall(r"([a-z]+)_(\d+)(\d)", name)[0] for name in built_for):
        least = int(major), int(minor)
        if capability >= least and (kind == "compute" or capability[0] == least[0]):
            return True
    return False


def has_tensor_cores(device: torch.device) -> bool:
    """Whether a CUDA device computes in bf16 and tf32: from Ampere (8.0) on. Turing has neither, and emulates bf16."""
    return torch.version.cuda is None or torch.cuda.get_device_capability(device) >= (8, 0)


def visible_gpus() -> list[str]:
    """What ``CUDA_VISIBLE_DEVICES`` calls each GPU that this process may use. No context is created on any."""
    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [str(index) for index in range(count)] if named is None else named.split(",")[:count]
