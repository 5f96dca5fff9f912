"""What a worker is started with."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from p2pbench.system.hardware import with_large_pages

ALLOWED = Path("/sys/kernel/mm/transparent_hugepage/enabled")
HELD = """
import re
kept = bytearray(b"1") * 2**26
print(sum(map(int, re.findall(r"AnonHugePages: +([0-9]+)", open("/proc/self/smaps").read()))) // 1024)
"""


def test_a_users_own_tunables_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"": "glibc.malloc.hugetlb=1", "glibc.malloc.check=1": "glibc.malloc.check=1:glibc.malloc.hugetlb=1"}
    for own, given in asked.items():
        monkeypatch.setenv("GLIBC_TUNABLES", own)
        assert with_large_pages() == {"GLIBC_TUNABLES": given}
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0")
    assert with_large_pages() == {}


@pytest.mark.skipif(
    not ALLOWED.exists() or "[madvise]" not in ALLOWED.read_text() or platform.libc_ver()[1] < "2.35",
    reason="this Linux has no pages of 2 MiB for who asks",
)
def test_memory_lies_in_large_pages() -> None:
    def held(environment: dict[str, str]) -> int:
        program = [sys.executable, "-c", HELD]
        done = subprocess.run(program, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert held({"GLIBC_TUNABLES": ""}) < held(with_large_pages())  # all 64 MiB, where there is enough in one piece
