"""A job, one cell or the reference rows of a study, and what happens to it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from p2pbench.config.schema import RunConfig

ENDS = ("finished", "failed", "interrupted")
"""The kinds of a job's last event."""


@dataclass(frozen=True, eq=False)
class Job:
    kind: Literal["cell", "reference_rows"]
    key: str
    """A cell's run id, or the hash of all that decides the reference rows. The worker checks that it still holds."""
    label: str
    """What people call it: ``l1+cgan seed 0``."""
    config: RunConfig
    log: Path
    """Where everything that the worker prints goes."""
    order: dict[str, Any]
    """What the worker has to know beside this, as plain values."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a job: ``started``, ``stage``, ``progress``, ``lost``, or one of ``ENDS``."""

    job: Job
    kind: str
    about: dict[str, Any] = field(default_factory=dict)
