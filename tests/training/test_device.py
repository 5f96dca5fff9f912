"""Which device there is, and what is said of a GPU that cannot be used. No test here needs one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from p2pbench.cli import doctor
from p2pbench.errors import ConfigError
from p2pbench.training import device
from p2pbench.training.device import available_device, has_tensor_cores, runs_on, unusable_gpu, visible_gpus


@pytest.mark.parametrize(
    ("capability", "built_for", "runs"),
    [
        ((9, 0), ["sm_80", "sm_90"], True),
        ((8, 9), ["sm_75", "sm_86", "sm_100"], True),
        ((8, 0), ["sm_86"], False),
        ((7, 0), ["sm_75", "sm_80", "compute_120"], False),
        ((12, 1), ["sm_90a", "sm_120"], True),
        ((12, 0), ["sm_90", "compute_90"], True),
        ((10, 0), ["sm_90", "sm_120"], False),
    ],
)
def test_code_runs_within_its_major_version(capability: tuple[int, int], built_for: list[str], runs: bool) -> None:
    assert runs_on(capability, built_for) is runs


@pytest.fixture
def with_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has the file of a GPU, which this torch cannot use."""
    if torch.cuda.is_available():
        pytest.skip("this torch can use a GPU")
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(device, "DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("with_a_gpu")
def test_a_gpu_that_torch_cannot_use_is_no_silent_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for asked in ("auto", "cuda"):
        with pytest.raises(ConfigError, match=rf"training.device is {asked}, .*cannot be used: .*; install a torch"):
            available_device(asked)
    assert available_device("cpu") == "cpu"
    said = doctor.examine(None)["training"]["device"]
    assert said == f"none for auto: the NVIDIA GPU cannot be used, {unusable_gpu()}"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # hidden on purpose
    assert available_device("auto") == "cpu"


@pytest.mark.usefixtures("with_a_gpu")
@pytest.mark.parametrize("built_with", ["13.2", None])
def test_why_it_cannot_be_used(built_with: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def old_driver() -> None:  # device_count_impl in CUDAFunctions.cpp
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 12020). Please update\nmore")

    monkeypatch.setattr(torch.version, "cuda", built_with)
    monkeypatch.setattr(torch.cuda, "init", old_driver)
    why = unusable_gpu()
    assert why is not None
    assert why.startswith("torch " if built_with is None else "The NVIDIA driver on your system is too old")

    def none() -> None:  # a job without a GPU on a node that has some
        raise RuntimeError("No CUDA GPUs are available")

    monkeypatch.setattr(torch.cuda, "init", none)
    assert (unusable_gpu() is None) is (built_with is not None)


def test_a_gpu_that_the_wheel_has_no_code_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _=None: (7, 0))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_90"])
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(ConfigError, match=r"compute capability 7.0, and this torch is built for sm_75 sm_90"):
        available_device("auto")


def test_turing_has_no_units_for_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    for capability, has in (((7, 5), False), ((8, 0), True), ((9, 0), True)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _=None, found=capability: found)
        assert has_tensor_cores(torch.device("cuda")) is has


@pytest.mark.parametrize(
    ("named", "found"), [(None, ["0", "1"]), ("3,1", ["3", "1"]), ("GPU-a,GPU-b,GPU-none", ["GPU-a", "GPU-b"])]
)
def test_gpus_keep_the_names_that_the_environment_gives(
    named: str | None, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == found
