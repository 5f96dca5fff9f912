"""The folder of one run: the names of what is in it, its records, and the lock that keeps two processes apart.

Imports no torch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from p2pbench.config import yaml12
from p2pbench.config.metrics import FCN_RECIPE, FCN_SCORES, METRICS
from p2pbench.config.plugins import code_hash, is_reference
from p2pbench.config.resolve import from_mapping
from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError, RunBusy, StorageError
from p2pbench.runs import records
from p2pbench.runs.records import (
    HASHED,
    IMAGES,
    OF_MODES,
    SCHEMA_VERSION,
    TEST_SAMPLES,
    Score,
    Scores,
    Status,
    Training,
    of_mode,
)
from p2pbench.system.files import entries, locked, sha256_of, write_text

LOCK_SECONDS = 5.0


class RunFolder:
    """The folder of one run, and the names of what is in it."""

    def __init__(self, path: Path, inference: str = "paper") -> None:
        """
        Args:
            inference: the inference mode whose scores are meant: one training may be scored in several, each with
                files of its own.
        """
        self.path, self.inference = path, inference
        self.config_file = path / "config.yaml"
        self.status_file = path / "status.json"
        self.losses_file, self.curve_file = path / "losses.csv", path / "curve.csv"
        self.scores_file = path / of_mode("scores", ".json", inference)
        self.per_image_file = path / of_mode("per_image", ".csv", inference)
        self.jackknife_file = path / of_mode("jackknife", ".csv", inference)
        self.profile_file = path / of_mode("profile", ".json", inference)
        self.generator_file = path / "generator.safetensors"
        self.samples, self.test_samples = path / "samples", path / TEST_SAMPLES
        self.checkpoint, self.images_file = path / "checkpoint", path / IMAGES
        self.log_file = path / "log.txt"

    def sample_file(self, name: str, position: str | int) -> Path:
        """The path of the picture ``name`` (condition, target, untrained, output, draw1, ...) of a test pair."""
        mode = self.inference if name.startswith(("output", "draw")) else "paper"
        return self.test_samples / of_mode(f"{position:0>5}-{name}", ".png", mode)

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
        held = RunBusy(f"{self.path} is in use by another p2pbench process; wait for it or stop it")
        with locked(self.path / "lock", seconds=seconds, held=held):
            yield

    def is_held(self) -> bool:
        """Whether a process holds the run now."""
        if not (self.path / "lock").is_file():
            return False
        try:
            with self.lock(seconds=0):
                return False
        except RunBusy:
            return True
        except StorageError:  # a colleague's store is read-only here: what the record says must do
            return (status := self.status()) is not None and status.state == "running"

    def may_be_written(self) -> bool:
        """Whether the folder is empty or a run's; any other may hold the user's own files."""
        if self.status() or (self.status_file.is_file() and self.config_file.is_file()):
            return True
        # A run that had only begun has no more than these.
        return all(path.name in ("lock", "log.txt") or path.suffix == ".part" for path in entries(self.path))

    def why_unreadable(self) -> str | None:
        """Why this user may not read the run, which may be a colleague's; None where it can be read."""
        try:
            for path in self.path.iterdir():
                if path in (self.status_file, self.config_file) and path.is_file():
                    path.open("rb").close()
        except FileNotFoundError:
            pass  # there is nothing to read
        except OSError as error:
            return f"{error.filename or self.path} cannot be read: {error.strerror or error}"
        return None

    def config(self) -> RunConfig:
        """The configuration in ``config.yaml``. Raises :class:`ConfigError` where it is missing or damaged."""
        if not self.config_file.is_file():
            raise ConfigError(f"{self.config_file}: there is no such file")
        return from_mapping(yaml12.read(self.config_file), str(self.config_file))

    def status(self) -> Status | None:
        """The record ``status.json``; None where there is none that can be believed."""
        return records.read(Status, self.status_file)

    def set_status(self, state: str, reason: str | None = None, **about: Any) -> None:
        """Record ``state`` and ``about``; what was recorded before and is not given anew stays."""
        before = self.status()
        content = {} if before is None else before.to_json()
        content |= {"schema_version": SCHEMA_VERSION, "state": state, "reason": reason, **about}
        records.write(self.status_file, Status.model_validate(content))

    def recorded_id(self) -> str | None:
        """The run id that the record names; None where it names none."""
        status = self.status()
        return None if status is None else status.run_id

    def training(self) -> Training | None:
        """What the training took; None where it is not done."""
        status = self.status()
        return None if status is None else status.training

    def scores(self) -> dict[str, Score]:
        """The scores by name; empty where there are none that can be believed."""
        found = records.read(Scores, self.scores_file)
        return {} if found is None else found.scores

    def profile(self) -> dict[str, Any]:
        """What :mod:`p2pbench.runs.profile` recorded; empty where there is none that can be believed."""
        return records.read_json(self.profile_file)

    def profiled(self) -> bool:
        """Whether all that reports show besides the scores is recorded. An earlier version recorded less."""
        training = self.training()
        return bool(self.profile()) and training is not None and training.generator_flops is not None

    def trained(self) -> bool:
        """Whether training is done and its generator is there."""
        return self.training() is not None and self.generator_file.is_file()

    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint that training can go on from, whole or not."""
        return any(self.checkpoint.glob("step-*.safetensors"))

    def generator_is_whole(self) -> bool:
        """Whether the generator's file is still what training left."""
        training = self.training()
        return training is not None and training.generator_sha256 == sha256_of(self.generator_file)

    def finished(self) -> bool:
        """Whether training and scoring are done and their records are there and unchanged; weights are not hashed."""
        status = self.status()
        if status is None or status.state != "finished" or not self.trained():
            return False
        return bool(self.scores()) and self.per_image_file.is_file() and not self.damaged_records()

    def forget_scores(self) -> None:
        """Remove the scores of every inference mode, and the records that were made with them."""
        for name in OF_MODES:
            self.forget(self.path / name)

    def forget(self, path: Path) -> None:
        """Remove a file of the run. Raises :class:`StorageError` where it cannot be."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:  # it may be a folder
            raise StorageError(
                f"{path} cannot be removed: {error.strerror or error}; move it away, then run this again"
            ) from None

    def record_hashes(self) -> dict[str, str]:
        """The SHA-256 of every record of the run by its name, which ``runs verify`` compares with.

        The pictures of test pairs have one hash together.
        """
        found = {}
        for name in sorted(HASHED):
            path = self.path / name
            try:
                if path.is_dir() if name == TEST_SAMPLES else path.is_file():
                    found[name] = sha256_of(path)
            except OSError as error:
                found[name] = f"cannot be read: {error.strerror or error}"
        return found

    def damaged_records(self) -> list[str]:
        """The names of the records that are missing or have changed since the run wrote them."""
        status = self.status()
        if status is None or not status.files:
            return []
        found = self.record_hashes()
        return [name for name, sha256 in status.files.items() if found.get(name) != sha256]

    def recorded_threads(self) -> int:
        """The CPU threads that the run began with; 0 where that is not recorded."""
        status = self.status()
        return 0 if status is None else status.threads or 0

    def missing_scores(self, config: RunConfig, weights_dir: Path | None = None) -> list[str]:
        """The scores that ``config`` asks for, that this run lacks, and that could be measured now."""
        from p2pbench.data.label_classes import name_of
        from p2pbench.scoring.weights import usable

        scores = self.scores()
        older = records.before_jackknives(scores)

        def is_missing(name: str) -> bool:
            if (score := scores.get(name)) is None:
                return True
            if is_reference(name):
                return score.settings.get("code") != code_hash(name)  # its code has changed, or it failed
            net = METRICS[name].net
            if name in older:
                return net is None or usable(net, weights_dir)  # else it keeps the value that it has
            if name in FCN_SCORES:
                recipe = FCN_RECIPE if "network_sha256" in score.settings else None
                if score.settings.get("network_recipe") != recipe:
                    return True  # by a network that was trained otherwise, whose scores are not comparable
                return score.settings.get("palette") != name_of(config.data.source, config.scoring.palette)
            return score.value is None and net is not None and usable(net, weights_dir)

        return [name for name in config.scoring.wanted if is_missing(name)]

    def write_config(self, config: RunConfig) -> None:
        write_text(self.config_file, yaml12.dump(config.model_dump(mode="json")))
