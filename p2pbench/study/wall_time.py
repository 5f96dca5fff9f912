"""Variants at equal wall time: ``training.seconds`` becomes epochs, once, and the study's record says how."""

import contextlib
from dataclasses import replace

from p2pbench.config.run_id import cost_key, run_id
from p2pbench.errors import ConfigError
from p2pbench.runs.records import Fit
from p2pbench.runs.store import Store
from p2pbench.study.budget import PROBE_SECONDS, Probe
from p2pbench.study.plan import Cell, Study
from p2pbench.study.study_file import write_study
from p2pbench.system.files import locked


def in_seconds(
    study: Study, store: Store, probe: Probe | None, *, record: bool = True, replace_other: bool = False
) -> Study:
    """``study``, each variant that has ``training.seconds`` with as many whole epochs as fit, and at least one.

    What the study's record says of a variant holds: its runs stay its runs. The steps of others are timed by ``probe``,
    one after another, and what comes of it is recorded at once, so that jobs that share the study agree.

    Args:
        record: write it down; a plan does not.
        replace_other: let the study take the place of another one of its name.
    Raises:
        ConfigError: the name stands for another study, or there is nothing to time steps with.
    """
    timed = {cell.variant: cell for cell in study.cells if cell.config.training.seconds is not None}
    if not timed or study.missing_data is not None:
        return study
    path = store.study_file(study.name)
    with locked(path.with_name("seconds.lock")) if record else contextlib.nullcontext():
        recorded = _recorded(study, store)
        fits = {  # the same step has the same time, and as many epochs, whichever variant it was timed for
            variant: fit
            for variant, cell in timed.items()
            if (fit := next((f for f in (recorded.get(variant), *recorded.values()) if f and _is_of(f, cell)), None))
        }
        steps = {fit.cost_key: fit.seconds_per_step for fit in recorded.values()}
        unknown = {
            key: cell.config
            for name, cell in timed.items()
            if name not in fits and (key := cost_key(cell.config)) not in steps
        }
        if unknown and probe is None:
            raise ConfigError(f"study {study.name!r} has training.seconds, and nothing times its steps; use ablate")
        assert probe is not None or not unknown
        steps |= {key: probe(config, PROBE_SECONDS / len(unknown)) for key, config in unknown.items()}  # type: ignore[misc]
        new = {name: _fit(cell, steps[cost_key(cell.config)]) for name, cell in timed.items() if name not in fits}
        new |= {variant: fit for variant, fit in fits.items() if variant not in recorded}
        fits |= new
        cells = [_fitted(cell, fits[cell.variant]) if cell.variant in fits else cell for cell in study.cells]
        found = replace(study, cells=cells, fits=fits)
        if record and new:
            write_study(found, store, replace=replace_other)
    return found


def _recorded(study: Study, store: Store) -> dict[str, Fit]:
    try:
        return store.read_study(study.name).fits if store.study_file(study.name).is_file() else {}
    except ConfigError:  # it cannot be read, and will be refused or replaced
        return {}


def _is_of(fit: Fit, cell: Cell) -> bool:
    """Whether ``fit`` was made of steps like those of ``cell``, as many an epoch, for as many seconds."""
    if fit.steps_per_epoch not in (None, _steps_per_epoch(cell)):
        return False
    return (fit.seconds, fit.cost_key) == (cell.config.training.seconds, cost_key(cell.config))


def _steps_per_epoch(cell: Cell) -> int:
    assert cell.steps is not None
    return cell.steps // cell.config.training.epochs


def _fit(cell: Cell, seconds_per_step: float) -> Fit:
    training = cell.config.training
    assert training.seconds is not None
    epochs = training.seconds / (seconds_per_step * _steps_per_epoch(cell))
    return Fit(
        seconds=training.seconds, seconds_per_step=seconds_per_step, epochs=max(1, int(epochs)),
        cost_key=cost_key(cell.config), steps_per_epoch=_steps_per_epoch(cell),
    )  # fmt: skip


def _fitted(cell: Cell, fit: Fit) -> Cell:
    """The cell, which trains for the epochs of ``fit``: its run is that of any study with so many."""
    before, config = cell.config.training.epochs, cell.config.changed("training", epochs=fit.epochs, seconds=None)
    assert cell.steps is not None
    assert cell.data_key is not None
    origin = cell.origin | {"training.epochs": "training.seconds", "training.seconds": "default"}
    return replace(
        cell, config=config, origin=origin, run_id=run_id(config, cell.data_key),
        steps=cell.steps // before * fit.epochs,
    )  # fmt: skip
