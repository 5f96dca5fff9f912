"""``study.yaml``: the record of a question, its protocol and its resolved cells. It grows, and is never diluted.

Reading, merging and writing happen under a lock: two processes that record other seeds or levels lose nothing.
"""

import datetime
import re
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from p2pbench.errors import ConfigError, DataError
from p2pbench.runs import records
from p2pbench.runs.records import SCHEMA_VERSION, Change, StudyCell, StudyFile
from p2pbench.runs.store import Store
from p2pbench.study.definition import differences, named, of_study
from p2pbench.study.plan import Cell, Study
from p2pbench.system.files import atomic_folder, check_writable, copy_file, locked

VERSIONED = ("study.yaml", "references.json", "references-per_image.csv")
"""The files of a study that a version of it keeps."""


def write_study(study: Study, store: Store, *, replace: bool = False) -> None:
    """Record the question, the protocol and the resolved cells of ``study``, with all that was recorded before.

    Args:
        replace: where the name stands for another definition, keep that as a version and take its place.
    Raises:
        ConfigError: the name stands for another definition, or its record cannot be read.
        StorageError: the store cannot be written.
    """
    path = store.study_file(study.name)
    with locked(path.with_name("study.lock")):
        try:
            before = recorded_alike(study, store)
        except ConfigError:
            if not replace:
                raise
            keep_version(store, study.name)
            before = None
        record = _record(study) if before is None else grown(before, _record(study))
        if record != before:
            # JSON is YAML 1.2, and a thousand cells are read in milliseconds instead of half a minute.
            records.write(path, record)


def check_may_write(name: str, store: Store) -> None:
    """Find out before the work whether the study can be recorded. Raises :class:`StorageError` where it cannot."""
    check_writable(store.study_file(name).parent, "name a folder of your own with --runs")


def recorded_alike(study: Study, store: Store) -> StudyFile | None:
    """What is recorded under the name of ``study``; None where nothing is.

    Raises:
        ConfigError: it has another definition, or cannot be read.
    """
    if not store.study_file(study.name).is_file():
        return None
    try:
        recorded = store.read_study(study.name)
    except ConfigError as error:
        raise ConfigError(f"{error}; ablate --replace keeps it as a version and begins the study anew") from None
    if found := differences(recorded, of_study(study), store.data_key):
        raise ConfigError(
            f"study {study.name!r} is another one in {store.root}: {named(found)}; give this one a name of its own "
            "with --name, or let it take the place with --replace, which keeps the other as a version of it"
        )
    return recorded


def keep_version(store: Store, name: str) -> int:
    """Keep what is recorded of the study ``name`` as a version of it; returns the version's number."""
    numbers, path = store.versions(name), store.study_file(name)
    for number in numbers:
        kept = store.study_file(name, number)
        if kept.is_file() and kept.read_bytes() == path.read_bytes():
            return number  # it was brought back, or a process was killed before it wrote the new one
    number = max(numbers, default=0) + 1
    with atomic_folder(store.study_file(name, number).parent) as new:
        for file in VERSIONED:
            if path.with_name(file).is_file():
                shutil.copyfile(path.with_name(file), new / file)
    return number


def restore_version(store: Store, name: str, number: int) -> int:
    """Bring a version of the study ``name`` back, and keep what it replaces; returns the number of the latter.

    Raises:
        ConfigError: there is no such version, or it cannot be read.
    """
    path = store.study_file(name)
    with locked(path.with_name("study.lock")):
        if number not in store.versions(name):
            known = ", ".join(map(str, store.versions(name))) or "none"
            raise ConfigError(f"study {name!r} has no version {number}; it has {known}")
        store.read_study(name, number)
        kept = keep_version(store, name)
        for file in reversed(VERSIONED):  # study.yaml last: until it is written, nothing has changed
            source = store.study_file(name, number).with_name(file)
            if source.is_file():
                copy_file(source, path.with_name(file))
        return kept


def check_label(record: StudyFile, cell: StudyCell) -> None:
    """Whether images that another program made may be the cell ``cell`` of the study ``record``.

    Raises:
        ConfigError: the label is that of another variant, or of other images.
        DataError: the images are in the study under another label or seed.
    """
    for other in record.cells:
        if other.variant == cell.variant and not other.made_elsewhere:
            raise ConfigError(
                f"--label {cell.variant!r}: study {record.name!r} has a variant of that name; choose another"
            )
        if (other.variant, other.seed) == (cell.variant, cell.seed) and other.run_id != cell.run_id:
            raise ConfigError(
                f"study {record.name!r} has other images of {cell.variant!r}, seed {cell.seed}; give these another "
                "--label, or another --seed if they are of another training"
            )
        if other.run_id == cell.run_id and (other.variant, other.seed) != (cell.variant, cell.seed):
            raise DataError(
                f"these images are in study {record.name!r} already, as {other.variant!r}, seed {other.seed}: the same "
                "images are no other training and no other method"
            )


def _record(study: Study) -> StudyFile:
    record = StudyFile(
        schema_version=SCHEMA_VERSION, name=study.name, question=study.grid.question,
        published=study.grid.published, protocol={**asdict(study.protocol), "about": study.about_protocol},
        baseline=study.baseline, reads=study.reads, command=study.command,
        primary=list(study.grid.primary), contrasts=study.grid.contrasts,
        margins=study.grid.margins, cells=[_recorded_cell(cell) for cell in study.cells],
        factors={factor: [level.label for level in levels] for factor, levels in study.grid.factors.items()},
    )  # fmt: skip
    return record.model_copy(update={"fits": study.fits}) if study.fits else record


def _recorded_cell(cell: Cell) -> StudyCell:
    return StudyCell(
        run_id=str(cell.run_id), variant=cell.variant, levels=cell.levels, seed=cell.seed,
        config=cell.config.model_dump(mode="json"),
    )  # fmt: skip


def grown(before: StudyFile, now: StudyFile) -> StudyFile:
    """The record ``now`` with the cells, levels and scores that only ``before`` has; both have one definition."""
    variants = _together(*((c.variant for c in record.cells if not c.made_elsewhere) for record in (before, now)))
    cells = {(cell.variant, cell.seed): cell for cell in before.cells}
    for cell in now.cells:
        earlier = cells.get((cell.variant, cell.seed))
        cells[cell.variant, cell.seed] = cell if earlier is None else _with_scores_of(earlier, cell)
    place = {variant: number for number, variant in enumerate(variants)}
    ordered = sorted(cells.values(), key=lambda cell: (cell.seed, place.get(cell.variant, len(place))))
    update: dict[str, Any] = {
        "cells": ordered,
        "factors": {key: _together(before.factors.get(key, []), levels) for key, levels in now.factors.items()},
        "reads": list(dict.fromkeys((*before.reads, *now.reads))),
        "command": _command(before, now, {cell.seed for cell in ordered if not cell.made_elsewhere}),
    }
    if fits := {**before.fits, **now.fits}:
        update["fits"] = fits
    changes = [*before.changes, *(change for change in now.changes if change not in before.changes)]
    if changes := [*changes, *_changes(before, now)]:
        update["changes"] = changes
    return StudyFile.model_validate({**(before.model_extra or {}), **now.model_copy(update=update).to_json()})


def _together(before: Iterable[str], now: Iterable[str]) -> list[str]:
    """Both, each once: in the order of ``now`` where that has them all, else with what is new at the end."""
    old, new = dict.fromkeys(before), dict.fromkeys(now)
    return list(new if old.keys() <= new.keys() else old | new)


def _with_scores_of(before: StudyCell, cell: StudyCell) -> StudyCell:
    """``cell``, which is asked for the scores of ``before`` too, and keeps what a later version recorded of it."""
    extra = before.model_extra or {}
    asked = list(dict.fromkeys((*before.asked, *cell.asked)))
    config = cell.config
    if len(asked) > len(cell.asked):
        scoring = {**config["scoring"], "metrics": asked, "extra_metrics": []}
        config = {**config, "scoring": scoring}
    return StudyCell.model_validate({**extra, **cell.to_json(), "config": config})


def _command(before: StudyFile, now: StudyFile, seeds: set[int]) -> str:
    """What to type to run all of it again: the command of the grid with more levels, with all seeds."""
    variants = {cell.variant for cell in before.cells if not cell.made_elsewhere}
    command = now.command if variants <= {cell.variant for cell in now.cells} else before.command
    return re.sub(r"--seeds [\d,]+$", f"--seeds {','.join(map(str, sorted(seeds)))}", command)


def _changes(before: StudyFile, now: StudyFile) -> list[Change]:
    """The ways of answering that ``now`` changes. Version 0.1 recorded none, so that its records lose none."""
    moment = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    old, new = before.to_json(), now.to_json()
    return [
        Change(key=key, before=old[key], changed=moment)
        for key in ("primary", "margins", "contrasts")
        if key in old and old[key] != new[key]
    ]
