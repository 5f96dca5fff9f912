"""The Multi-Process Service around several trainings on a GPU: begun, ended, and left alone where it is another's.

Its control program is one that notes what it is asked; on a GPU machine the benchmarks use the real one.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
import torch

from p2pbench.study import shared_gpu
from p2pbench.study.shared_gpu import CONTROL, LOGS, PIPES, kernels_at_once


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the control program notes its arguments, its input and what it sees of the environment."""
    notes, program = tmp_path / "asked", tmp_path / "bin" / CONTROL
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ "$1" = -d ] && input= || input=$(cat)\n'
        f'echo "$1$input ${{CUDA_VISIBLE_DEVICES-every}} ${PIPES}" >> {notes}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.delenv(PIPES, raising=False)
    monkeypatch.setattr(shared_gpu, "USUAL_PIPES", tmp_path / "none")
    return notes


def python_that(ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have processes under the service end as the shell command ``ends`` does."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{ends}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))


def test_the_service_knows_all_gpus_and_ends_with_the_block(
    asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python_that(f'[ -n "${PIPES}" ] && [ "$CUDA_VISIBLE_DEVICES" = 1 ]', tmp_path, monkeypatch)
    said: list[str] = []
    with kernels_at_once(said.append):
        folder = os.environ[PIPES]
        assert os.environ[LOGS] == folder
        assert asked.read_text() == f"-d every {folder}\n"
    assert asked.read_text() == f"-d every {folder}\nquit every {folder}\n"
    assert PIPES not in os.environ
    assert not Path(folder).exists()
    assert said == []


def test_a_service_that_does_not_work_is_ended_and_named(
    asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python_that("echo 'RuntimeError: CUDA error: MPS server is not ready' >&2; exit 1", tmp_path, monkeypatch)
    said: list[str] = []
    with kernels_at_once(said.append):
        assert PIPES not in os.environ
    assert len(asked.read_text().splitlines()) == 2
    assert said == [
        "the GPU takes turns: NVIDIA's Multi-Process Service does not work here "
        "(RuntimeError: CUDA error: MPS server is not ready)"
    ]


@pytest.mark.parametrize("place", ["named", "usual"])
def test_a_service_that_runs_already_is_its_owners(
    place: str, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "named":
        monkeypatch.setenv(PIPES, str(tmp_path))
    else:
        monkeypatch.setattr(shared_gpu, "USUAL_PIPES", tmp_path)
    before = dict(os.environ)
    with kernels_at_once(print):
        assert dict(os.environ) == before
    assert not asked.exists()


def test_a_machine_without_the_service_goes_on_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    before = dict(os.environ)
    with kernels_at_once(print):
        assert dict(os.environ) == before


@pytest.mark.cuda
@pytest.mark.skipif(
    not torch.cuda.is_available() or shutil.which(CONTROL) is None, reason="no CUDA device, or no such service"
)
def test_processes_under_the_real_service_use_the_gpu() -> None:
    said: list[str] = []
    with kernels_at_once(said.append):  # which tries one
        assert said == []
