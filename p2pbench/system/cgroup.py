"""The limits on cores and memory that a container or a job scheduler sets through Linux's control groups."""

from collections.abc import Iterator
from pathlib import Path

MEMBERSHIP = Path("/proc/self/cgroup")
ROOT = Path("/sys/fs/cgroup")


def cpu_limit() -> float | None:
    """How many cores' time this process may use, such as 1.5; None where nothing limits it."""
    quotas = [_read(group / "cpu.max") for group in _groups("")]  # version 2: 150000 100000, or max 100000
    for group in _groups("cpu"):  # version 1: the quota is -1 where there is no limit
        quotas.append(f"{_read(group / 'cpu.cfs_quota_us')} {_read(group / 'cpu.cfs_period_us')}")
    limits = []
    for text in quotas:
        quota, _, period = text.partition(" ")
        if quota.isdecimal() and period.isdecimal() and int(period) > 0:
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def memory_limit() -> int | None:
    """How many bytes this process may use; None where nothing limits it."""
    version_2 = [_read(group / "memory.max") for group in _groups("")]
    version_1 = [_read(group / "memory.limit_in_bytes") for group in _groups("memory")]
    return min((int(limit) for limit in [*version_2, *version_1] if limit.isdecimal()), default=None)


def _groups(controller: str) -> Iterator[Path]:
    """The folder of this process's group and those of the groups around it; ``controller`` is "" in version 2.

    In a container the path may be one of the host, of which only the root is seen; other folders do not exist then.
    """
    for line in _read(MEMBERSHIP).splitlines():
        _, controllers, name = line.split(":", 2)
        if controller in controllers.split(","):
            path = Path(name.lstrip("/"))
            yield from (ROOT / controllers / group for group in (path, *path.parents))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
