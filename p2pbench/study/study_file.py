"""``study.yaml``: the record of a question, its protocol and its resolved cells, which grows seed by seed."""

import json
from dataclasses import asdict

from p2pbench.config.resolve import from_mapping
from p2pbench.config.run_id import identity
from p2pbench.errors import ConfigError
from p2pbench.runs import records
from p2pbench.runs.records import SCHEMA_VERSION, StudyCell, StudyFile
from p2pbench.runs.store import Store
from p2pbench.study.plan import Study
from p2pbench.system.files import locked


def write_study(study: Study, store: Store) -> None:
    """Record the question, the protocol and the resolved cells of ``study``, with other seeds recorded before.

    Reading, merging and writing happen under a lock: two processes that record different seeds lose nothing.

    Raises:
        StorageError: the store cannot be written.
    """
    cells = [
        StudyCell(
            run_id=str(c.run_id), variant=c.variant, levels=c.levels, seed=c.seed,
            config=c.config.model_dump(mode="json"),
        )
        for c in study.cells
    ]  # fmt: skip
    path = store.study_file(study.name)
    with locked(path.with_name("study.lock")):
        record = StudyFile(
            schema_version=SCHEMA_VERSION, name=study.name, question=study.grid.question,
            published=study.grid.published, protocol=asdict(study.protocol), baseline=study.baseline,
            command=study.command, primary=list(study.grid.primary), contrasts=study.grid.contrasts,
            margins=study.grid.margins,
            cells=cells + _other_seeds(study.name, store, cells),
            factors={factor: [level.label for level in levels] for factor, levels in study.grid.factors.items()},
        )  # fmt: skip
        # JSON is YAML 1.2, and a thousand cells are read in milliseconds instead of half a minute.
        records.write(path, record)


def _other_seeds(study: str, store: Store, cells: list[StudyCell]) -> list[StudyCell]:
    """The recorded cells that are one of ``cells`` with a seed that none of these has."""

    def without_seed(cell: StudyCell) -> str:
        # What decides the weights, and how they are scored: neither other scores nor another device make another study.
        config = from_mapping(cell.config, study)
        decisive = identity(config, f"{config.data.source}, {config.data.condition}")
        decisive["training"].pop("seed")
        return json.dumps([cell.variant, cell.inference, decisive], sort_keys=True)

    seeds = {cell.seed for cell in cells}
    try:
        others = [cell for cell in store.read_study(study).cells if cell.seed not in seeds]
        known = {without_seed(cell) for cell in cells} if others else set()
        return [cell for cell in others if without_seed(cell) in known]
    except ConfigError:
        return []
