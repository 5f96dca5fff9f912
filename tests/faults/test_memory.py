"""A cell that needs more memory than there is: the kernel kills its process, and nothing else is lost.

In a memory cgroup of its own; needs root, or skips.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from study_workplace import Workplace

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="cgroups are Linux's")

LIMIT_BYTES = 1200 * 2**20
"""Enough for a process with torch and a small network in it."""

TWO_SIZES = """
question: What does width buy?
protocol: tiny.yaml
baseline: {generator.ngf: "4"}
factors: {generator.ngf: [4, 512]}
"""
"""The wide one has 394 million parameters: 1.5 GiB."""

ROOTS = {"/sys/fs/cgroup/memory": "memory.limit_in_bytes", "/sys/fs/cgroup": "memory.max"}
"""Of cgroups v1 and v2, and the file that takes the limit."""


@pytest.fixture
def group() -> Iterator[Path]:
    """A cgroup whose processes share ``LIMIT_BYTES``."""
    for root, limit in ROOTS.items():
        path = Path(root, f"p2pbench-test-{os.getpid()}")
        try:
            path.mkdir()
        except OSError:
            continue
        try:
            (path / limit).write_text(str(LIMIT_BYTES))
        except OSError:
            path.rmdir()
            continue
        yield path
        for _ in range(100):  # until the last process is gone
            try:
                return path.rmdir()
            except OSError:
                time.sleep(0.1)
    pytest.skip("this user may not limit memory")


def test_a_cell_that_does_not_fit_fails_alone_and_says_so(workplace: Workplace, trained: Path, group: Path) -> None:
    """``trained`` comes first: libraries that are read for the first time inside would be the group's memory."""
    (workplace.folder / "sizes.yaml").write_text(TWO_SIZES)
    inside = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(group)]

    done = workplace.run("ablate", "--grid", "sizes.yaml", "--jobs", "2", code=4, within=inside)

    assert "SIGKILL" in done.stderr
    assert "out of memory" in " ".join(done.stderr.split())
    states = [row["state"] for row in workplace.json("runs", "list")["runs"]]
    assert sorted(states) == ["failed", "finished"]
    workplace.run("runs", "verify")
