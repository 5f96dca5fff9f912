"""The reference rows of a study: when they are made, and the process that makes them. Imports no torch.

    runs/studies/<study>/    references.json references-per_image.csv references-log.txt

``python -m p2pbench.study.references`` is that process: a job comes and events go as a cell's worker has them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from p2pbench.config.metrics import METRICS
from p2pbench.config.plugins import code_hash, is_reference
from p2pbench.config.resolve import from_mapping
from p2pbench.config.run_id import run_id
from p2pbench.config.schema import RunConfig
from p2pbench.data.dataset import DataSet, as_tested, open_dataset
from p2pbench.errors import DataError, P2PBenchError, StorageError
from p2pbench.runs import records
from p2pbench.runs.records import SCHEMA_VERSION, ReferenceRow, References
from p2pbench.runs.store import Store
from p2pbench.scoring.weights import usable
from p2pbench.study.local import ENDS, exit_reason, start_worker
from p2pbench.study.worker import Send, Stop, reason_of, receive_job, redirect, stopping_on_signals
from p2pbench.system.files import locked, write_text
from p2pbench.system.hardware import available_cores
from p2pbench.system.progress import Count, counted

RECIPE = 1
"""Counted up when the same data and settings give other rows."""


def make_references(store: Store, name: str, *, weights_dir: Path | None, console: Console) -> tuple[str, str | None]:
    """Make the reference rows of study ``name``, in a process of their own, unless they are there.

    They are those of the baseline's first seed, with every score that any cell is asked for.

    Returns:
        ``made``, ``kept`` or ``failed``, and why they failed, which is recorded too.
    Raises:
        KeyboardInterrupt: the user stopped it.
    """
    study = store.read_study(name)
    first = min((c for c in study.cells if c.variant == study.baseline), key=lambda c: c.seed)
    config = from_mapping(first.config, str(store.study_file(name)))
    metrics = study.asked
    key = None
    try:
        dataset = open_dataset(config.data)
        key = key_of(config, dataset, metrics)
        if up_to_date(store.references(name), key, weights_dir):
            return "kept", None
        _decode(dataset, console)
        job = {
            "runs": str(store.root), "study": name, "key": key, "metrics": metrics,
            "variant": study.baseline, "config": first.config,
            "threads": config.training.threads or available_cores(),
            "weights_dir": str(weights_dir) if weights_dir else None,
        }  # fmt: skip
        with counted(console, "references", "rows") as progress:
            reason = _in_a_process(job, progress)
    except P2PBenchError as error:
        reason = str(error)
    if reason is None:
        return "made", None
    record = References(schema_version=SCHEMA_VERSION, key=key, state="failed", reason=reason, rows=[])
    with contextlib.suppress(StorageError):  # told all the same
        records.write(store.references_file(name), record)
    return "failed", reason


def key_of(config: RunConfig, dataset: DataSet, metrics: Sequence[str]) -> str:
    """A hash of all that decides the rows but for the pretrained networks, of which the record says what it lacks."""
    recipe = {
        "recipe": (RECIPE, version("p2pbench")),
        "run_id": run_id(config, dataset.key),  # the data by content, their size, the generator, the seed
        "inference": config.scoring.inference,
        "metrics": {name: code_hash(name) if is_reference(name) else None for name in metrics},
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:24]


def up_to_date(record: References | None, key: str, weights_dir: Path | None) -> bool:
    """Whether ``record`` holds the rows of ``key``, with all scores that can be made here."""
    if record is None or record.key != key or record.state != "made":
        return False
    return not any(usable(net, weights_dir) for net in record.without)


def _decode(dataset: DataSet, console: Console) -> None:
    from p2pbench.data.cache import decoded

    for split in ("train", "test"):
        with counted(console, f"decode {split}", "pairs") as progress:
            decoded(as_tested(dataset), split, progress)


def _in_a_process(job: dict[str, Any], progress: Count) -> str | None:
    """Have ``job`` done; returns why it failed, if it did. However this ends, the process ends too."""
    with stopping_on_signals(Stop()), start_worker("p2pbench.study.references", job) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] in ENDS:
                    reason: str | None = event.get("reason")
                    return reason
                progress(event["done"], event["total"])
            return exit_reason(process.wait())
        finally:
            process.kill()


def main() -> int:
    job = receive_job()
    if job is None:
        return 1
    store = Store(Path(job["runs"]))
    log_file = store.references_file(job["study"]).with_name("references-log.txt")
    send = redirect(log_file)
    try:
        _carry_out(job, store, send)
    except Exception as error:  # the cells are not lost for that
        send(event="failed", reason=reason_of(error, log_file))
        return 1
    send(event="finished")
    return 0


def _carry_out(job: dict[str, Any], store: Store, send: Send) -> None:
    import pandas as pd

    from p2pbench.study.reference_rows import measure_rows  # torch is imported here
    from p2pbench.system.hardware import versions
    from p2pbench.training.engine import prepare_engine

    weights_dir = Path(job["weights_dir"]) if job["weights_dir"] else None
    path, metrics = store.references_file(job["study"]), job["metrics"]
    with locked(path.with_name("references.lock")):
        if up_to_date(store.references(job["study"]), job["key"], weights_dir):
            return  # another process has made them meanwhile
        config = from_mapping(job["config"], "the job")
        dataset = open_dataset(config.data)
        if key_of(config, dataset, metrics) != job["key"]:
            raise DataError("the data or the code of a network or a score changed while the study ran; run it again")
        without = [net for net in dict.fromkeys(METRICS[name].net for name in metrics if name in METRICS)
                   if net is not None and not usable(net, weights_dir)]  # fmt: skip
        rows = measure_rows(
            config, job["variant"], dataset, metrics, prepare_engine(config.training, job["threads"]), weights_dir,
            lambda done, total: send(event="progress", done=done, total=total),
        )  # fmt: skip
        table = pd.concat([row.to_frame() for row in rows])
        write_text(path.with_name("references-per_image.csv"), table.to_csv(index=False))
        record = References(
            schema_version=SCHEMA_VERSION, key=job["key"], state="made", reason=None,
            run_id=run_id(config, dataset.key), without=without, versions=versions(),
            rows=[ReferenceRow.model_validate(row.to_json()) for row in rows],
        )  # fmt: skip
        records.write(path, record)


if __name__ == "__main__":
    sys.exit(main())
