"""What a person wants to know of the runs of a store: their state, their size, whether they are whole, what may go.

Imports no torch.
"""

import datetime
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from p2pbench.errors import ConfigError, RunBusy, StorageError, WeightsError
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.records import INFERENCE_MODES, OF_TRAINING, TEST_SAMPLES, Status
from p2pbench.runs.store import Store
from p2pbench.system.files import sha256_of

VANISHED = "its process ended without a word; the same command resumes from its last checkpoint"
NOT_BEGUN = "it is only starting, or its process ended before it began; the same command begins it"


@dataclass(frozen=True)
class RunFacts:
    """One run as its folder shows it."""

    run: RunFolder
    state: str
    """The recorded state; ``damaged`` where there is no record that can be believed, ``unreadable`` where this user
    may not look."""
    reason: str | None
    status: Status | None
    bytes: int
    changed: float
    """When a file of the run was last written, in seconds since 1970."""
    part_of: list[str]
    """The cells of studies that the run is, as ``Studies.of_run`` has them."""

    @property
    def run_id(self) -> str:
        return self.run.path.name

    def to_json(self) -> dict[str, Any]:
        moment = datetime.datetime.fromtimestamp(self.changed, datetime.UTC)
        changed = moment.isoformat(timespec="seconds")
        about = {"run_id": self.run_id, "state": self.state, "reason": self.reason, "studies": self.part_of}
        return {**about, "bytes": self.bytes, "changed": changed, "folder": str(self.run.path)}


@dataclass(frozen=True)
class Studies:
    """The runs that the studies of a store are made of."""

    of_run: dict[str, list[str]]
    """For each run id ``STUDY: VARIANT seed SEED`` of every study that has the run, or an earlier version of one."""
    unread: list[str]
    """A line for each study that cannot be read, whose runs are not known."""


def all_runs(store: Store, studies: Studies) -> list[RunFacts]:
    """Every run in ``store``, the one changed last first."""
    return sorted((look_at(run, studies) for run in store.runs()), key=lambda facts: -facts.changed)


def look_at(run: RunFolder, studies: Studies) -> RunFacts:
    """The state, size and studies of ``run``."""
    size, changed = 0, 0.0
    for path in run.path.rglob("*"):
        try:
            found = path.stat()
        except OSError:  # it was removed meanwhile
            continue
        if path.is_file():
            size, changed = size + found.st_size, max(changed, found.st_mtime)
    state, reason, status = _state_of(run)
    return RunFacts(run, state, reason, status, size, changed, studies.of_run.get(run.path.name, []))


def _state_of(run: RunFolder) -> tuple[str, str | None, Status | None]:
    """The state of ``run``, the reason for it, and the record."""
    if (why := run.why_unreadable()) is not None:
        return "unreadable", f"{why}; ask whose it is", None
    status = run.status()
    if status is None and run.status_file.exists():
        return "damaged", f"{run.status_file.name} is damaged; run ablate again to renew it", None
    if (status is None or status.state == "running") and not run.is_held():
        return "interrupted", NOT_BEGUN if status is None else VANISHED, status
    return ("running", None, None) if status is None else (status.state, status.reason, status)


def read_studies(store: Store) -> Studies:
    """Every study in ``store``, each read once."""
    found = Studies({}, [])
    for study in store.studies():
        for version in (None, *store.versions(study)):
            try:
                cells = store.read_study(study, version).cells
            except ConfigError as error:  # it is damaged
                found.unread.append(str(error))
                continue
            begin = f"{study}: " if version is None else in_version(study, version)
            for cell in cells:
                found.of_run.setdefault(cell.run_id, []).append(f"{begin}{cell.variant} seed {cell.seed}")
    return found


class Problem(NamedTuple):
    """Something in a run that is not what was recorded."""

    run_id: str
    file: str
    detail: str


def verify(run: RunFolder) -> Iterator[Problem]:
    """The problems of ``run``: records that cannot be read, and files that are missing or have changed.

    A run that a process holds is passed over; the checkpoints of an unfinished run are read.
    """

    def problem(path: Path, detail: str) -> Problem:
        return Problem(run.path.name, path.relative_to(run.path).as_posix(), detail)

    if (why := run.why_unreadable()) is not None:
        yield problem(run.path, why)
        return
    if run.is_held():
        return
    status = run.status()
    if status is None:
        if run.generator_file.exists() or run.status_file.exists():  # otherwise it was killed before it began
            yield problem(run.status_file, "missing or damaged")
        return
    in_a_store = run.path.parent.name == "cells"  # the folder of train --out has a name of the user's
    if in_a_store and status.run_id not in (None, run.path.name):  # a run that never began names no id
        yield problem(run.status_file, f"is the record of another run, {status.run_id}")
    try:
        if run.config_file.exists() or (status.state == "finished" and not run.images_file.exists()):
            run.config()
    except ConfigError as error:
        yield problem(run.config_file, f"cannot be read: {error}")
    for path in sorted(run.checkpoint.glob("step-*.safetensors")):
        from p2pbench.training import checkpoint  # imports torch, where there is a checkpoint to read

        try:
            checkpoint.read(path)
        except WeightsError as error:
            yield problem(path, f"{error}; remove it")
    if status.state == "finished":
        for name, recorded in status.files.items():
            if detail := _differs(run.path / name, recorded):
                then = "which goes on without it" if name in OF_TRAINING else "which makes it anew"
                yield problem(run.path / name, f"{detail}; run ablate again, {then}")
        weights = run.generator_file
        left = status.training.generator_sha256 if status.training else None
        exported = TEST_SAMPLES not in status.files and not weights.exists()  # `study export` copies records alone
        if left and not exported and (detail := _differs(weights, left)):
            again = "run ablate" if in_a_store else "train"
            yield problem(weights, f"{detail}; remove it and {again} again, which trains it anew")
        if not any(RunFolder(run.path, mode).scores() for mode in INFERENCE_MODES):
            yield problem(run.scores_file, "holds no scores that can be read")


def _differs(path: Path, recorded: str) -> str | None:
    """How a file, or the folder of pictures, differs from its recorded hash; None where it does not."""
    try:
        if not (path.is_file() or path.is_dir()):
            return "is missing"
        return None if sha256_of(path) == recorded else "is not what the run left: it was changed or is damaged"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


@dataclass(frozen=True)
class Waste:
    """Something that may be removed: a run, or a part of one."""

    run: RunFolder
    path: Path
    why: str
    bytes: int

    def to_json(self) -> dict[str, Any]:
        return {"run_id": self.run.path.name, "path": str(self.path), "why": self.why, "bytes": self.bytes}


def in_version(study: str, version: int) -> str:
    """How a cell of an earlier version of a study begins in ``RunFacts.part_of``."""
    return f"{study} (version {version}): "


def find_waste(
    runs: list[RunFacts], *, failed: bool, unused: bool, older_days: float | None, versions: Sequence[str] = ()
) -> list[Waste]:
    """What can be removed: leftovers of killed writes, checkpoints of finished runs, and runs where that is asked.

    Args:
        failed: include runs that failed; of those that cannot be read, which may have their weights, those that no
            study names.
        unused: include runs that are in no study and no earlier version of one.
        versions: include runs that only these versions name, each as ``in_version`` has it.
        older_days: leave out runs that changed within so many days.
    """
    before = time.time() - 86400 * (older_days or 0)
    found = []
    for facts in runs:
        run = facts.run
        recent = older_days is not None and facts.changed > before
        if recent or facts.state == "unreadable" or run.is_held():
            continue
        if failed and (facts.state == "failed" or (facts.state == "damaged" and not facts.part_of)):
            found.append(Waste(run, run.path, facts.state, facts.bytes))
        elif unused and not facts.part_of:
            found.append(Waste(run, run.path, "in no study", facts.bytes))
        elif facts.part_of and all(part.startswith(tuple(versions)) for part in facts.part_of):
            found.append(Waste(run, run.path, "only in earlier versions", facts.bytes))
        else:
            for path in sorted(run.path.rglob(".*.part")):
                found.append(Waste(run, path, "left by a killed write", _size(path)))
            if facts.state == "finished" and run.checkpoint.is_dir() and not _keeps_checkpoints(run):
                found.append(Waste(run, run.checkpoint, "checkpoint of a finished run", _size(run.checkpoint)))
    return found


def _keeps_checkpoints(run: RunFolder) -> bool:
    try:
        return run.config().training.keep_checkpoints
    except ConfigError:
        return True  # what it says is not known, so the checkpoint stays


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def remove(waste: Waste) -> bool:
    """Remove ``waste`` unless a process holds its run by now; returns whether it is removed.

    Raises:
        StorageError: the file system refuses.
    """
    try:
        with waste.run.lock(seconds=0):
            if waste.path.is_dir() and not waste.path.is_symlink():
                shutil.rmtree(waste.path)
            else:
                waste.path.unlink(missing_ok=True)
    except RunBusy:
        return False
    except OSError as error:
        raise StorageError(f"{waste.path} cannot be removed: {error.strerror or error}") from None
    return True
