"""A study in an experiment tracker, W&B or MLflow: a run a cell, and one for the verdict.

What a cell left is logged once it is finished, from its records. Which cells a tracker has stands in a file beside the
study's, so that a study that is gone on with logs nothing twice and a cell that could not be logged is tried again.
"""

import importlib.util
import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from p2pbench.errors import ConfigError, unknown
from p2pbench.report.comparisons import comparisons
from p2pbench.report.primary import primary_metric
from p2pbench.report.records import CellRecord, StudyRecord, read_study
from p2pbench.report.verdict import answer, headline
from p2pbench.runs.events import Event
from p2pbench.runs.logged import Logged, logged
from p2pbench.runs.store import Store
from p2pbench.system.files import write_json

log = logging.getLogger(__name__)


class WandB:
    """Weights & Biases, by its own settings (``WANDB_MODE=offline`` writes a folder and asks no server)."""

    def cell(self, study: str, cell: CellRecord, settings: Mapping[str, Any], found: Logged) -> None:
        """Log a finished cell as a run of its own."""
        import wandb

        with wandb.init(
            project="p2pbench", group=study, name=f"{cell.variant} seed {cell.seed}", config=dict(settings),
            job_type="cell", reinit="finish_previous", settings=wandb.Settings(console="off"),
        ) as run:  # fmt: skip
            run.define_metric("*", step_metric="step")
            run.define_metric("samples", step_metric="epoch")
            rows: dict[int, dict[str, float]] = {}
            for name, step, value in found.points:
                rows.setdefault(step, {"step": step})[name] = value
            for _, row in sorted(rows.items()):
                run.log(row)
            for epoch, path in found.sheets.items():
                run.log({"epoch": epoch, "samples": wandb.Image(str(path))})
            run.summary.update({f"test/{name}": value for name, value in found.scores.items()})

    def verdict(self, study: str, text: str, numbers: Mapping[str, float]) -> None:
        """Log what the study says: ``text``, and the differences of the primary score by variant."""
        import wandb

        with wandb.init(
            project="p2pbench", group=study, name="verdict", job_type="verdict", notes=text, reinit="finish_previous",
            settings=wandb.Settings(console="off"),
        ) as run:  # fmt: skip
            run.summary.update({"verdict": text, **{f"difference/{name}": value for name, value in numbers.items()}})


class MLflow:
    """MLflow, by its own settings (``MLFLOW_TRACKING_URI``; without, files or a database in this folder)."""

    def cell(self, study: str, cell: CellRecord, settings: Mapping[str, Any], found: Logged) -> None:
        import mlflow
        from mlflow.entities import Metric

        mlflow.set_experiment(study)
        tags = {"variant": cell.variant, "seed": str(cell.seed), "run_id": cell.run.path.name}
        with mlflow.start_run(run_name=f"{cell.variant} seed {cell.seed}", tags=tags) as run:
            mlflow.log_params({key: str(value)[:MOST_LETTERS] for key, value in settings.items()})
            metrics = [Metric(name, value, 0, step) for name, step, value in found.points]
            for first in range(0, len(metrics), MOST_METRICS):
                mlflow.MlflowClient().log_batch(run.info.run_id, metrics=metrics[first : first + MOST_METRICS])
            mlflow.log_metrics({f"test/{name.replace(':', '.')}": value for name, value in found.scores.items()})
            for path in found.sheets.values():
                mlflow.log_artifact(str(path), "samples")

    def verdict(self, study: str, text: str, numbers: Mapping[str, float]) -> None:
        import mlflow

        mlflow.set_experiment(study)
        with mlflow.start_run(run_name="verdict", description=text):
            mlflow.log_text(text + "\n", "verdict.txt")
            mlflow.log_dict(dict(numbers), "differences.json")


TRACKERS: dict[str, type[WandB | MLflow]] = {"wandb": WandB, "mlflow": MLflow}
MOST_METRICS, MOST_LETTERS = 1000, 500
"""What MLflow takes at once: values, and letters of a setting."""


class Tracking:
    """Keeps a tracker up to date while it is told of every event of a study, and at its end."""

    def __init__(self, store: Store, study: str, name: str) -> None:
        """
        Raises:
            ConfigError: there is no such tracker, or its package is not installed.
        """
        if name not in TRACKERS:
            raise ConfigError(unknown("--track", name, TRACKERS))
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"--track {name} needs the package {name}: pip install 'p2pbench[{name}]'")
        self.store, self.study, self.name = store, study, name
        self.tracker = TRACKERS[name]()
        self._file = store.study_file(study).with_name(f"tracked-{name}.json")

    def __call__(self, event: Event) -> None:
        """Log the cell that ``event`` says has finished."""
        if event.kind == "finished" and event.job.kind == "cell":
            self._log_cells(read_study(self.store, self.study), {event.job.key})

    def end(self) -> None:
        """Log the cells that were finished before, and the verdict where it is another than was logged last."""
        study = read_study(self.store, self.study)
        self._log_cells(study, {cell.run.path.name for cell in study.cells})
        text = "\n".join([headline(study), *answer(study)])
        if text == self._tracked().get("verdict"):
            return
        metric = primary_metric(study)
        found = comparisons(study, metric) if metric else []
        numbers = {c.variant: c.found.value for c in found if c.found is not None}
        if self._try("the verdict", lambda: self.tracker.verdict(study.about.name, text, numbers)):
            self._note("verdict", text)

    def _log_cells(self, study: StudyRecord, runs: set[str]) -> None:
        """Log those of the finished cells of ``runs`` that the tracker does not have as they are."""
        for cell in study.cells:
            key, finished = f"{cell.variant} seed {cell.seed}", cell.status.finished if cell.status else None
            if cell.state != "finished" or cell.run.path.name not in runs or self._tracked().get(key) == finished:
                continue
            settings = {f"{section}.{key}": value for section, own in cell.config.items() for key, value in own.items()}
            if self._try(key, lambda c=cell, s=settings: self.tracker.cell(self.study, c, s, logged(c.run))):
                self._note(key, finished)

    def _try(self, what: str, act: Any) -> bool:
        """Whether ``act`` went well; a tracker that does not is no reason to stop a study."""
        try:
            act()
        except Exception as error:
            log.warning("%s was not logged to %s, and will be by the next ablate: %s", what, self.name, error)
            return False
        return True

    def _tracked(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            content = json.loads(self._file.read_text(encoding="utf-8"))
            return content if isinstance(content, dict) else {}
        return {}

    def _note(self, key: str, what: str | None) -> None:
        write_json(self._file, self._tracked() | {key: what})
