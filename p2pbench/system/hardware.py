"""What this machine has, what a record says of it, and how its cores and memory are used."""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from p2pbench.system import cgroup

if TYPE_CHECKING:
    import numpy as np
    import torch

PACKAGES = (
    "p2pbench", "torch", "torchvision", "numpy", "pillow", "scikit-image", "lpips", "torch-fidelity", "safetensors",
)  # fmt: skip


def describe_machine(device: torch.device | None = None) -> dict[str, Any]:
    """The processor, cores, memory and system, and the GPU where ``device`` is one; no host name, user or path."""
    memory = memory_bytes()
    machine: dict[str, Any] = {
        "processor": _cpuinfo("model name") or platform.processor() or "unknown",
        "cores": available_cores(),
        "memory_gib": None if memory is None else round(memory / 2**30, 1),
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
    """The versions of p2pbench and of the packages that decide its numbers, and the git revision of a checkout."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    if revision := _git_revision():
        found["git"] = revision
    return found


def fast_bf16() -> bool:
    """Whether this CPU multiplies bf16 in hardware (avx512_bf16 or amx)."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(_cpuinfo("flags").split())


def has_avx2() -> bool:
    """Whether this CPU has AVX2, as x86-64 processors have since 2013; False where it is not Linux that says so."""
    return "avx2" in _cpuinfo("flags").split()


def _cpuinfo(field: str) -> str:
    """What Linux says of the first processor; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def memory_bytes() -> int | None:
    """The memory that this process may use: the machine's, or less in a control group; None where it is not known."""
    try:
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return cgroup.memory_limit()
    return min(physical, cgroup.memory_limit() or physical)


def peak_resident_bytes() -> int:
    """The most memory that this process has held. On Linux it is not ``ru_maxrss``, which begins at its parent's."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
    except (OSError, StopIteration):
        import resource  # not on Windows

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


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


T = TypeVar("T")


def available_cores() -> int:
    """The cores that this process may use: those of the machine, of its affinity, or less in a control group.

    A limit of 1.5 cores counts as one: two threads would be stopped a quarter of the time.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = cgroup.cpu_limit()
    return cores if limit is None else max(1, min(cores, int(limit)))


def on_all_cores(function: Callable[..., T], *arguments: Iterable[Any]) -> list[T]:
    """``map`` in a thread for each core, for functions that release the interpreter's lock."""
    with ThreadPoolExecutor(available_cores()) as pool:
        return list(pool.map(function, *arguments))


def keep_freed_memory() -> None:
    """Let glibc reuse freed blocks instead of returning them to the kernel, for as long as this process lives.

    The weights of a 1024 -> 512 convolution are exactly as large as the blocks that malloc maps anew each time, so that
    every gradient and every cast of them would touch fresh pages: a fifth of the time of a bf16 step was measured. For
    threads that decode images by the hundred it was a seventh.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        libc = ctypes.CDLL("libc.so.6")
        m_mmap_max, m_trim_threshold = -4, -1  # malloc.h
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, 2**31 - 1)
    except (OSError, AttributeError):
        pass  # another C library: it is only slower


def with_large_pages() -> dict[str, str]:
    """The variable of the environment with which a process has its memory in pages of 2 MiB, where Linux has them.

    A step goes through a GiB of weights and images. At 128x128 (``facades-128``) it took 7 % less processor time, at
    64x64 5 %, and 1 % more memory. A user's own choice stays.
    """
    own = os.environ.get("GLIBC_TUNABLES", "")
    return {} if "glibc.malloc.hugetlb" in own else {"GLIBC_TUNABLES": f"{own}:glibc.malloc.hugetlb=1".lstrip(":")}


def let_go(mapped: np.ndarray) -> None:
    """Give the pages of a mapped array that were read back to the system, whose cache still holds them.

    Otherwise they count as this process's memory. Arrays that are not mapped are left alone; values that were written
    to a mapped one would be lost.
    """
    pages = getattr(mapped, "_mmap", None)
    if pages is not None and hasattr(pages, "madvise"):
        pages.madvise(mmap.MADV_DONTNEED)
