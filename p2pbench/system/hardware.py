"""What ran where: the machine and the versions that stand in every record."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from p2pbench.system.cores import available_cores

if TYPE_CHECKING:
    import torch

PACKAGES = (
    "p2pbench",
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    "scikit-image",
    "lpips",
    "torch-fidelity",
    "safetensors",
)


def describe_machine(device: torch.device | None = None) -> dict[str, Any]:
    """Processor, cores, memory, system, and the GPU where ``device`` is one. No host name, user or path."""
    machine: dict[str, Any] = {
        "processor": _processor(),
        "cores": available_cores(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "device": "cpu" if device is None else device.type,
    }
    if device is not None and device.type == "cuda":
        import torch

        machine["gpu"] = torch.cuda.get_device_name(device)
        machine["cuda"] = torch.version.cuda
    return machine


@cache
def versions() -> dict[str, str]:
    """The versions of p2pbench and of what decides its numbers, and the git revision where there is one."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    if revision := _git_revision():
        found["git"] = revision
    return found


def cpu_flags() -> set[str]:
    """The processor's instruction sets, as Linux names them; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split(":", 1)[1].split()) for line in lines if line.startswith("flags")), set())


def fast_bf16() -> bool:
    """Whether this CPU multiplies bf16 in hardware (avx512_bf16 or amx)."""
    return bool(cpu_flags() & {"avx512_bf16", "amx_bf16"})


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _git_revision() -> str | None:
    here = Path(__file__).parents[2]
    if not (here / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
