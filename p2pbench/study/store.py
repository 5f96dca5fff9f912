"""The store: a folder for each run and each study, their records, and the locks that keep two processes apart.

    runs/cells/<run_id>/     config.yaml status.json losses.csv scores.json per_image.csv profile.json samples/
                             generator.safetensors checkpoint/ log.txt lock
    runs/studies/<study>/    study.yaml references.json references-per_image.csv references-log.txt

Imports no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from p2pbench import yaml12
from p2pbench.config import RunConfig, is_reference
from p2pbench.errors import ConfigError, RunBusy, StorageError
from p2pbench.files import sha256_of, write_json, write_text
from p2pbench.reference import code_hash
from p2pbench.scoring.metrics import FCN_SCORES, METRICS
from p2pbench.settings import from_mapping
from p2pbench.study.plan import Study

SCHEMA_VERSION = 1
LOCK_SECONDS = 5.0
SCORE_KEYS = {"value", "low", "high", "n", "unit", "better", "settings", "state", "reason", "notes"}
REFERENCE_KEYS = {"name", "about", "n", "reason", "scores"}
CELL_KEYS = {"run_id", "variant", "seed", "config"}
RUN_ID = r"[0-9a-f]{12}"
INFERENCE_MODES = ("paper", "statistics", "eval")
TEST_SAMPLES = "samples/test"
"""Pictures of test pairs, which have one hash together."""
TRAINING_KEYS = ("steps", "seconds", "seconds_per_step", "peak_memory_bytes")
STATES = ("running", "interrupted", "failed", "finished")


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run, and the names of what is in it."""

    path: Path
    inference: str = "paper"
    """One training is scored under several inference modes; each keeps files of its own."""

    @property
    def _mode(self) -> str:
        return "" if self.inference == "paper" else f"-{self.inference}"

    @property
    def config_file(self) -> Path:
        return self.path / "config.yaml"

    @property
    def status_file(self) -> Path:
        return self.path / "status.json"

    @property
    def losses_file(self) -> Path:
        return self.path / "losses.csv"

    @property
    def scores_file(self) -> Path:
        return self.path / f"scores{self._mode}.json"

    @property
    def per_image_file(self) -> Path:
        return self.path / f"per_image{self._mode}.csv"

    @property
    def profile_file(self) -> Path:
        return self.path / f"profile{self._mode}.json"

    @property
    def generator_file(self) -> Path:
        return self.path / "generator.safetensors"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    def sample_file(self, name: str, position: str | int) -> Path:
        """Where the picture ``name`` (condition, target, untrained, output, draw1, ...) of a test pair lies."""
        mode = self._mode if name.startswith(("output", "draw")) else ""
        return self.test_samples / f"{position:0>5}-{name}{mode}.png"

    @property
    def test_samples(self) -> Path:
        return self.path / TEST_SAMPLES

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint"

    @property
    def log_file(self) -> Path:
        return self.path / "log.txt"

    @contextmanager
    def lock(self, *, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Hold the run; the kernel lets go of it when the process ends, however it ends.

        Args:
            seconds: how long another process is waited for, -1 for ever. By default a little: the workers of a parent
                that was just killed need a moment to end.

        Raises:
            RunBusy: another process has it.
            StorageError: the folder cannot be written.
        """
        from filelock import FileLock, Timeout

        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / "lock", timeout=seconds)
            lock.acquire()
        except Timeout:
            raise RunBusy(f"{self.path} is in use by another p2pbench process; wait for it or stop it") from None
        except OSError as error:
            raise StorageError(f"{self.path} cannot be written: {error.strerror or error}") from None
        with lock:
            yield

    def is_held(self) -> bool:
        """Whether a process has the run now."""
        if not (self.path / "lock").is_file():
            return False
        try:
            with self.lock(seconds=0):
                return False
        except RunBusy:
            return True
        except StorageError:  # a colleague's store, read-only here: what the record says must do
            return bool(self.status().get("state") == "running")

    def status(self) -> dict[str, Any]:
        """What ``status.json`` says; empty where there is none that can be believed."""
        status = _read_json(self.status_file)
        return status if status_is_whole(status) else {}

    def set_status(self, state: str, reason: str | None = None, **about: Any) -> None:
        """Record ``state``; what was recorded before and is not given anew stays."""
        assert state in STATES
        write_json(
            self.status_file,
            {**self.status(), "schema_version": SCHEMA_VERSION, "state": state, "reason": reason, **about},
        )

    def scores(self) -> dict[str, dict[str, Any]]:
        """The scores by name, as the documented JSON has them; empty where there are none that can be believed."""
        scores = _read_json(self.scores_file).get("scores")
        return scores if isinstance(scores, dict) and scores_are_whole(scores) else {}

    def profile(self) -> dict[str, Any]:
        """What :mod:`p2pbench.study.profile` recorded; empty where there is none that can be believed."""
        return _read_json(self.profile_file)

    def profiled(self) -> bool:
        """Whether all that reports show beside the scores is recorded; runs of before this was are scored again."""
        training = self.status().get("training")
        return bool(self.profile()) and isinstance(training, dict) and "generator_flops" in training

    def trained(self) -> bool:
        """Whether training is done and its generator is there."""
        return isinstance(self.status().get("training"), dict) and self.generator_file.is_file()

    def generator_is_whole(self) -> bool:
        """Whether the generator's file is still what training left."""
        return bool(self.status()["training"].get("generator_sha256") == sha256_of(self.generator_file))

    def finished(self) -> bool:
        """Whether training and scoring are done and what they left is there and unchanged, but for the weights."""
        scored = bool(self.scores()) and self.per_image_file.is_file()
        return self.status().get("state") == "finished" and scored and self.trained() and not self.damaged_records()

    def forget_scores(self) -> None:
        """Remove the scores, and what was recorded with them, of every inference mode."""
        for pattern in ("scores*.json", "per_image*.csv", "profile*.json"):
            for path in self.path.glob(pattern):
                path.unlink()

    def record_hashes(self) -> dict[str, str]:
        """The SHA-256 of every record of the run, by its name: what ``runs verify`` compares with.

        The pictures of test pairs have one together.
        """
        records = [
            self.config_file,
            self.losses_file,
            *self.path.glob("scores*.json"),
            *self.path.glob("per_image*.csv"),
            *self.path.glob("profile*.json"),
        ]
        found = {path.name: sha256_of(path) for path in sorted(records) if path.is_file()}
        if self.test_samples.is_dir():
            found[TEST_SAMPLES] = sha256_of(self.test_samples)
        return found

    def damaged_records(self) -> list[str]:
        """The names of the records that are gone or not what the run left."""
        recorded = self.status().get("files")
        found = self.record_hashes()
        return [name for name, sha256 in recorded.items() if found.get(name) != sha256] if recorded else []

    def recorded_threads(self) -> int:
        """The threads this run began with; 0 where that is not recorded."""
        threads = self.status().get("threads")
        return threads if isinstance(threads, int) else 0

    def missing_scores(self, config: RunConfig, weights_dir: Path | None = None) -> list[str]:
        """The scores that ``config`` asks for, that this run lacks, and that could be measured now."""
        from p2pbench.scoring.palettes import name_of
        from p2pbench.scoring.weights import usable

        scores = self.scores()
        missing = []
        for name in config.scoring.wanted:
            if name not in scores:
                missing.append(name)
            elif is_reference(name):
                if scores[name]["settings"].get("code") != code_hash(name):  # changed, or it failed
                    missing.append(name)
            elif name in FCN_SCORES:
                if scores[name]["settings"].get("palette") != name_of(config.data.source, config.scoring.palette):
                    missing.append(name)
            elif scores[name].get("state") != "measured":
                net = METRICS[name].net
                if net is not None and usable(net, weights_dir):
                    missing.append(name)
        return missing

    def write_config(self, config: RunConfig) -> None:
        write_text(self.config_file, yaml12.dump(plain(config)))


@dataclass(frozen=True)
class Store:
    """All runs and studies under one folder (``--runs``)."""

    root: Path

    def run(self, run_id: str, inference: str = "paper") -> RunFolder:
        return RunFolder(self.root / "cells" / run_id, inference)

    def study_file(self, study: str) -> Path:
        return self.root / "studies" / study / "study.yaml"

    def references_file(self, study: str) -> Path:
        return self.study_file(study).with_name("references.json")

    def references(self, study: str) -> dict[str, Any]:
        """The record of the study's reference rows; empty where there is none that can be believed."""
        record = _read_json(self.references_file(study))
        rows = record.get("rows")
        whole = isinstance(rows, list) and all(
            isinstance(row, dict) and row.keys() >= REFERENCE_KEYS and scores_are_whole(row["scores"]) for row in rows
        )
        return record if whole else {}

    def write_study(self, study: Study) -> None:
        """Record the question, the protocol and the resolved cells of ``study``."""
        content: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "name": study.name,
            "question": study.grid.question,
            "paper": study.grid.paper,
            "protocol": asdict(study.protocol),
            "baseline": study.baseline,
            "command": study.command,
            "factors": {factor: [level.label for level in levels] for factor, levels in study.grid.factors.items()},
            "cells": [
                {
                    "run_id": c.run_id,
                    "variant": c.variant,
                    "levels": c.levels,
                    "seed": c.seed,
                    "config": plain(c.config),
                }
                for c in study.cells
            ],
        }
        content["cells"] += self._other_seeds(study.name, content["cells"])
        # JSON is YAML 1.2, and a thousand cells are read in milliseconds instead of half a minute.
        write_json(self.study_file(study.name), content)

    def _other_seeds(self, study: str, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Cells recorded before that are these with another seed: a study grows seed by seed."""

        def without_seed(cell: dict[str, Any]) -> str:
            config = plain(from_mapping(cell["config"], study))  # a setting that came later has its default
            config["training"].pop("seed", None)
            return json.dumps([cell["variant"], config], sort_keys=True)

        seeds = {cell["seed"] for cell in cells}
        try:
            others = [cell for cell in self.read_study(study)["cells"] if cell["seed"] not in seeds]
            known = {without_seed(cell) for cell in cells} if others else set()
            return [cell for cell in others if without_seed(cell) in known]
        except (ConfigError, KeyError, TypeError, AttributeError):
            return []

    def studies(self) -> list[str]:
        return sorted(path.parent.name for path in (self.root / "studies").glob("*/study.yaml"))

    def read_study(self, name: str) -> dict[str, Any]:
        """What ``write_study`` recorded. Raises :class:`ConfigError` if it cannot be read or is another version's."""
        path = self.study_file(name)
        content = _read_json(path) or yaml12.read(path)  # as YAML by an older version
        whole = (
            isinstance(content, dict)
            and content.get("schema_version") == SCHEMA_VERSION
            and content.keys() >= {"name", "question", "paper", "protocol", "baseline", "command", "cells"}
            and isinstance(content["cells"], list)
            and isinstance(content["protocol"], dict)
            and all(map(_is_cell, content["cells"]))
        )
        if not whole:
            raise ConfigError(f"{path} is not a study of this version of p2pbench; run ablate again to renew it")
        study: dict[str, Any] = content
        return study

    def find_run(self, run: str) -> RunFolder:
        """A run by its folder, or by its id or the beginning of it. Raises :class:`ConfigError`."""
        folder = RunFolder(Path(run).expanduser())
        if folder.config_file.is_file():
            return folder
        ids = [path.parent.name for path in (self.root / "cells").glob("*/config.yaml")]
        matching = [name for name in ids if name.startswith(run)] if re.fullmatch(r"[0-9a-f]{4,12}", run) else []
        if len(matching) != 1:
            many = f" ({len(matching)} ids begin so)" if matching else ""
            raise ConfigError(f"run {run!r} is neither a run folder nor the id of a run under {self.root}{many}")
        return self.run(matching[0])


def _is_score(score: Any) -> bool:
    return (
        isinstance(score, dict)
        and score.keys() >= SCORE_KEYS
        and all(score[key] is None or _is_number(score[key]) for key in ("value", "low", "high"))
        and _is_number(score["n"])
        and isinstance(score["settings"], dict)
        and isinstance(score["notes"], list)
    )


def status_is_whole(status: Any) -> bool:
    """Whether ``status`` is a run's, with values of the kinds that are read of it and files in the run's folder."""
    kinds: dict[str, tuple[type, ...]] = {
        "state": (str,), "reason": (str, type(None)), "run_id": (str,), "training": (dict,), "machine": (dict,),
        "versions": (dict,), "files": (dict,),
    }  # fmt: skip
    return (
        isinstance(status, dict)
        and status.get("state") in STATES
        and all(isinstance(status[key], kind) for key, kind in kinds.items() if key in status)
        and all(_is_number(status.get("training", {}).get(key, 0)) for key in TRAINING_KEYS)
        and all(Path(name).name == name or name == TEST_SAMPLES for name in status.get("files", {}))
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_cell(cell: Any) -> bool:
    """Whether ``cell`` is one of a study's, and its id an id: it names a folder, which is not to lie elsewhere."""
    return (
        isinstance(cell, dict)
        and cell.keys() >= CELL_KEYS
        and isinstance(cell["run_id"], str)
        and re.fullmatch(RUN_ID, cell["run_id"]) is not None
        and isinstance(cell["variant"], str)
        and type(cell["seed"]) is int
        and isinstance(cell["config"], dict)
        and all(isinstance(section, dict) for section in cell["config"].values())
        and cell["config"].get("scoring", {}).get("inference") in INFERENCE_MODES
    )


def scores_are_whole(scores: Any) -> bool:
    """Whether ``scores`` are scores by name, as the documented JSON has them."""
    return isinstance(scores, dict) and all(
        (name in METRICS or is_reference(name)) and _is_score(score) for name, score in scores.items()
    )


def plain(config: RunConfig) -> dict[str, Any]:
    """The configuration as plain values, for YAML and JSON."""
    return config.model_dump(mode="json")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        return {}
    return content
