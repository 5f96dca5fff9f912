"""CUDA's Multi-Process Service, by which kernels of several trainings run on one GPU at the same time.

Without it a GPU turns from process to process. A step at batch 1 is hundreds of kernels too small to fill a large GPU:
on an H100, eight trainings at 128x128 make 300 steps/s in turns, as one alone does, and 1,118 with the service.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CONTROL = "nvidia-cuda-mps-control"
PIPES, LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
USUAL_PIPES = Path("/tmp/nvidia-mps")  # noqa: S108 - the driver's own
MOST_SECONDS = 120.0
"""For a first process to start under the service."""


@contextmanager
def kernels_at_once(say: Callable[[str], None]) -> Iterator[None]:
    """Processes started in the block run their kernels at the same time, where the driver has the service.

    A service that runs already (``CUDA_MPS_PIPE_DIRECTORY``, or the driver's usual place) is left to its owner. One
    that does not work, as in some containers, is ended, and ``say`` told so: the processes then take turns.
    """
    if shutil.which(CONTROL) is None or PIPES in os.environ or USUAL_PIPES.exists():
        yield
        return
    with tempfile.TemporaryDirectory(prefix="p2pbench-mps-") as folder:
        own = {PIPES: folder, LOGS: folder}
        # It is to know all GPUs: a process's own CUDA_VISIBLE_DEVICES would else count among those of the service.
        every = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        subprocess.run([CONTROL, "-d"], env={**every, **own}, capture_output=True, check=False)
        try:
            if problem := _problem({**os.environ, **own}):
                say(f"the GPU takes turns: NVIDIA's Multi-Process Service does not work here ({problem})")
            else:
                os.environ |= own
            yield
        finally:
            for name in own:
                os.environ.pop(name, None)
            subprocess.run([CONTROL], env={**every, **own}, input="quit\n", text=True, capture_output=True, check=False)


def _problem(environment: dict[str, str]) -> str | None:
    """Why a process cannot use the GPU under the service; None where it can."""
    try:
        tried = subprocess.run(
            [sys.executable, "-c", "import torch; torch.zeros(1, device='cuda')"],
            env=environment, capture_output=True, text=True, errors="replace", timeout=MOST_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"no answer in {MOST_SECONDS:.0f} s"
    if tried.returncode == 0:
        return None
    said = [line for line in tried.stderr.splitlines() if "Error" in line]
    return said[0].strip() if said else f"exit code {tried.returncode}"
