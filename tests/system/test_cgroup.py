"""Limits of control groups, from files as Linux has them: version 2, version 1, nested, in a container, none."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pbench.system import cgroup, hardware

GIB = 2**30


def make_groups(folder: Path, monkeypatch: pytest.MonkeyPatch, membership: str, files: dict[str, str]) -> None:
    (folder / "membership").write_text(membership)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content + "\n")
    monkeypatch.setattr(cgroup, "MEMBERSHIP", folder / "membership")
    monkeypatch.setattr(cgroup, "ROOT", folder)


CASES = {
    "version 2": ("0::/job\n", {"job/cpu.max": "150000 100000", "job/memory.max": f"{GIB}"}, 1.5, GIB),
    "version 2, the outer group is narrower": (
        "0::/user/job\n",
        {"user/cpu.max": "100000 100000", "user/memory.max": f"{GIB}", "user/job/cpu.max": "max 100000",
         "user/job/memory.max": "max"},
        1.0, GIB,
    ),
    "version 2, in a container that sees its root alone": (
        "0::/system.slice/docker-1234.scope\n", {"cpu.max": "200000 100000", "memory.max": f"{2 * GIB}"}, 2.0, 2 * GIB
    ),
    "version 1": (
        "5:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n0::/\n",
        {"cpu,cpuacct/docker/1/cpu.cfs_quota_us": "50000", "cpu,cpuacct/docker/1/cpu.cfs_period_us": "100000",
         "memory/docker/1/memory.limit_in_bytes": f"{GIB}"},
        0.5, GIB,
    ),
    "version 1 without limits": (
        "5:memory:/\n4:cpu,cpuacct:/\n",
        {"cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu,cpuacct/cpu.cfs_period_us": "100000",
         "memory/memory.limit_in_bytes": "9223372036854771712"},
        None, 9223372036854771712,
    ),
    "none": ("", {}, None, None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_limits_are_read_from_the_groups_files(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    membership, files, cores, memory = CASES[case]
    make_groups(tmp_path, monkeypatch, membership, files)
    assert (cgroup.cpu_limit(), cgroup.memory_limit()) == (cores, memory)


@pytest.mark.parametrize(("quota", "expected"), [("50000", 1), ("150000", 1), ("200000", 2), ("99900000", 8)])
def test_cores_and_memory_keep_to_the_limits(
    quota: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    make_groups(tmp_path, monkeypatch, "0::/\n", {"cpu.max": f"{quota} 100000", "memory.max": f"{GIB // 2}"})
    assert hardware.available_cores() == expected
    assert hardware.memory_bytes() == GIB // 2
    described = hardware.describe_machine()
    assert (described["cores"], described["memory_gib"]) == (expected, 0.5)


def test_as_many_tests_run_at_once_as_there_are_cores_for(
    pytestconfig: pytest.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ``-n auto`` asks; pytest-xdist by itself would count the machine's."""
    make_groups(tmp_path, monkeypatch, "0::/\n", {"cpu.max": "100000 100000"})
    hook = getattr(pytestconfig.hook, "pytest_xdist_auto_num_workers", None)
    if hook is None:
        pytest.skip("pytest-xdist is not installed")
    assert hook(config=pytestconfig) == 1
