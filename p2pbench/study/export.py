"""Copies a study's records without weights and pictures into a folder that ``report`` reads as a store.

What is there already grows by what the store has: seeds and levels of one definition, from whichever machine.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from p2pbench.errors import ConfigError, P2PBenchError
from p2pbench.runs import records
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.records import References, Status, StudyFile
from p2pbench.runs.store import Store
from p2pbench.study.definition import differences, named, of_record
from p2pbench.study.study_file import check_label, grown
from p2pbench.system.files import atomic, locked

MOST_LOSSES = 100
"""Rows of ``losses.csv`` in records: what a figure can show."""


@dataclass(frozen=True)
class Exported:
    """What became of each run of a study."""

    study: str
    folder: Path
    copied: list[str]
    """The ids of runs whose records are new or changed in the folder."""
    same: list[str]
    """Those that are there already."""
    left_out: dict[str, str]
    """Those that were not copied, and why."""
    bytes: int
    """What the folder's records of the study take."""

    def to_json(self) -> dict[str, Any]:
        return {
            "study": self.study, "to": str(self.folder), "copied": self.copied, "same": self.same,
            "left_out": self.left_out, "bytes": self.bytes,
        }  # fmt: skip


def export_records(store: Store, name: str, folder: Path) -> Exported:
    """Copy the records of the study ``name`` into the store of records ``folder``.

    Cells that only ``folder`` has stay, as do finished ones that ``store`` has not finished.

    Raises:
        ConfigError: ``folder`` has another study of that name, or is the store itself.
        StorageError: ``folder`` cannot be written.
    """
    target, now = Store(folder), store.read_study(name)
    if folder.resolve() == store.root.resolve():
        raise ConfigError(f"--to is {folder}, the store itself: name a folder for the records alone")
    path = target.study_file(name)
    with locked(path.with_name("study.lock")):
        merged = _merged(now, store, target)
        copied: list[str] = []
        same: list[str] = []
        left_out = {}
        for run_id, modes in _runs_of(now).items():
            try:
                (copied if _copy_run(store, target, run_id, modes) else same).append(run_id)
            except _LeftOut as why:
                left_out[run_id] = str(why)
        _copy_references(store, target, merged)
        if not path.is_file() or merged != target.read_study(name):
            records.write(path, merged)
        return Exported(name, folder, copied, same, left_out, _size(target, merged))


class _LeftOut(Exception):
    """Why the records of a run are not copied."""


def _merged(now: StudyFile, store: Store, target: Store) -> StudyFile:
    """The study as it is in ``target`` with what ``now`` adds."""
    if not target.study_file(now.name).is_file():
        return now
    before = target.read_study(now.name)
    if found := differences(before, of_record(now, store.data_key), target.data_key):
        raise ConfigError(
            f"study {now.name!r} is another one in {target.root}: {named(found)}; nothing was copied: name another "
            "folder with --to"
        )
    for cell in now.cells:
        if cell.made_elsewhere:
            try:
                check_label(before, cell)
            except P2PBenchError as error:
                raise ConfigError(f"{target.root}: {error}") from None
    return grown(before, now)


def _runs_of(study: StudyFile) -> dict[str, list[str]]:
    """The runs of a study, each with the inference modes that it is scored in."""
    found: dict[str, list[str]] = {}
    for cell in study.cells:
        found.setdefault(cell.run_id, []).append(cell.inference)
    return found


def _copy_run(store: Store, target: Store, run_id: str, modes: Sequence[str]) -> bool:
    """Copy the records of a run; returns whether that changed anything. Raises :class:`_LeftOut`."""
    run, there = store.run(run_id), target.run(run_id)
    status, before = run.status(), there.status()
    if status is None:
        raise _LeftOut("has no record" if run.status_file.is_file() else "was not run")
    if run.is_held():
        raise _LeftOut("is in use by another process; export again when that is done")
    # Pictures are not copied, and may be gone: a machine that trains for another sends a few of them.
    if damaged := [name for name in run.damaged_records() if not name.startswith("samples/")]:
        raise _LeftOut(f"{damaged[0]} is missing or not what the run left; p2pbench ablate makes it anew")
    if before is not None and before.state == "finished":
        if status.state != "finished":
            raise _LeftOut(f"is {status.state} here, and finished there, which stays")
        if _weights(before) != _weights(status):
            raise _LeftOut("was trained once more than the one there, which stays: their weights differ")
    changed = [_copied(path, there.path / path.name) for path in list(_records_of(run, there, modes))]
    if run.losses_file.is_file():
        losses = fewer_losses(run.losses_file.read_text(encoding="utf-8"))
        changed.append(_written(losses.encode(), there.losses_file))
    if status.state == "finished":
        status = status.model_copy(update={"files": there.record_hashes()})
    elif status.started_in is not None:  # a path of this machine, to go on with the run
        status = status.model_copy(update={"started_in": None})
    if before is None or status != before:  # last: without it the records are no run
        records.write(there.status_file, status)
        return True
    return any(changed)


def _records_of(run: RunFolder, there: RunFolder, modes: Sequence[str]) -> Iterator[Path]:
    """The records that reports read, but for the status. Scores that only ``there`` has are not replaced."""
    yield from (run.config_file, run.curve_file, run.images_file)
    for mode in modes:
        mine, other = RunFolder(run.path, mode), RunFolder(there.path, mode)
        lost = _measured(other) - _measured(mine)
        if lost:
            raise _LeftOut(f"lacks scores that are there, which stay: {', '.join(sorted(lost))}")
        yield from (mine.per_image_file, mine.jackknife_file, mine.profile_file, mine.scores_file)


def _weights(status: Status) -> tuple[str | None, float] | None:
    """What tells a training from another of the same id; None where another program made the images."""
    training = status.training
    return None if training is None else (training.generator_sha256, training.seconds)


def _measured(run: RunFolder) -> set[str]:
    return {name for name, score in run.scores().items() if score.value is not None}


def _copied(source: Path, target: Path) -> bool:
    """Copy a file where there is one and ``target`` is not the same; returns whether it did.

    JSON is copied without the white space, a third of it: records are to be kept with code.
    """
    if not source.is_file():
        return False
    content = source.read_bytes()
    if source.suffix == ".json":
        try:
            content = json.dumps(json.loads(content), separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        except ValueError:
            raise _LeftOut(f"has a {source.name} that cannot be read; p2pbench ablate makes it anew") from None
    return _written(content, target)


def _written(content: bytes, target: Path) -> bool:
    """Write ``content`` to ``target``, which may have it already; returns whether that changed anything."""
    if target.is_file() and target.read_bytes() == content:
        return False
    with atomic(target) as part:
        part.write_bytes(content)
    return True


def fewer_losses(text: str) -> str:
    """The rows of a ``losses.csv`` as at most ``MOST_LOSSES``: a row is still the mean since the one before."""
    header, *rows = [*csv.reader(io.StringIO(text))] or [[]]
    together = -(-len(rows) // MOST_LOSSES)
    if together < 2:
        return text
    steps = np.diff([0, *(int(row[0]) for row in rows)])

    def mean(column: int, group: slice) -> str:
        values = [row[column] for row in rows[group]]
        return f"{np.average(np.array(values, float), weights=steps[group]):.6g}" if all(values) else ""

    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow(header)
    for start in range(0, len(rows), together):
        group = slice(start, start + together)
        writer.writerow([*rows[group][-1][:2], *(mean(column, group) for column in range(2, len(header)))])
    return made.getvalue()


def _copy_references(store: Store, target: Store, study: StudyFile) -> None:
    """Copy the reference rows, unless those that are there are as good: another machine's differ in last digits."""
    first = min((cell for cell in study.cells if cell.variant == study.baseline), key=lambda cell: cell.seed)
    here, there = store.references(study.name), target.references(study.name)

    def worth(found: References) -> tuple[bool, bool, int]:
        return found.state == "made", found.run_id == first.run_id, sum(len(row.scores) for row in found.rows)

    if here is None:
        return
    if there is not None and (*worth(here), here.key != there.key) <= (*worth(there), False):
        return
    for file in ("references-per_image.csv", "references.json"):
        _copied(store.study_file(study.name).with_name(file), target.study_file(study.name).with_name(file))


def _size(store: Store, study: StudyFile) -> int:
    folders = [store.study_file(study.name).parent, *(store.run(run_id).path for run_id in _runs_of(study))]
    return sum(file.stat().st_size for folder in folders for file in folder.glob("*") if file.is_file())
