"""The store: a folder for each run and each study.

    runs/cells/<run_id>/     config.yaml status.json losses.csv curve.csv scores.json per_image.csv profile.json
                             jackknife.csv samples/ generator.safetensors checkpoint/ log.txt lock
    runs/studies/<study>/    study.yaml references.json references-per_image.csv references-log.txt
                             versions/<n>/  what the name stood for before it was replaced: study.yaml references.json

Imports no torch.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from p2pbench.config import yaml12
from p2pbench.errors import ConfigError, StorageError
from p2pbench.runs import records
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.records import References, StudyFile
from p2pbench.system.files import entries


@dataclass(frozen=True)
class Store:
    """All runs and studies under one folder (``--runs``)."""

    root: Path

    def run(self, run_id: str, inference: str = "paper") -> RunFolder:
        return RunFolder(self.root / "cells" / run_id, inference)

    def data_key(self, run_id: str) -> str | None:
        """The hash of the content of the data that a run was trained on; None where no record says it."""
        status = self.run(run_id).status()
        return None if status is None else status.data_key

    def study_file(self, study: str, version: int | None = None) -> Path:
        folder = self.root / "studies" / study
        return (folder if version is None else folder / "versions" / str(version)) / "study.yaml"

    def versions(self, study: str) -> list[int]:
        """The numbers of the earlier definitions of a study that were replaced, in order."""
        found = entries(self.root / "studies" / study / "versions")
        return sorted(int(path.name) for path in found if path.name.isascii() and path.name.isdecimal())

    def references_file(self, study: str) -> Path:
        return self.study_file(study).with_name("references.json")

    def references(self, study: str) -> References | None:
        """The record of the study's reference rows; None where there is none that can be believed."""
        return records.read(References, self.references_file(study))

    def studies(self) -> list[str]:
        """The names of all studies. Raises :class:`StorageError` where this user may not look."""
        return [path.name for path in entries(self.root / "studies") if _may_hold(path / "study.yaml")]

    def runs(self) -> list[RunFolder]:
        """All runs, by their ids. Raises :class:`StorageError` where this user may not look."""
        return [RunFolder(path) for path in entries(self.root / "cells") if path.is_dir()]

    def read_study(self, name: str, version: int | None = None) -> StudyFile:
        """The record of a study, or of an earlier version of it.

        Raises:
            ConfigError: it cannot be read, or is of another version of p2pbench.
        """
        path = self.study_file(name, version)
        content = records.read_json(path)
        if not content and path.is_file():
            content = yaml12.read(path)  # as an older version wrote it
        try:
            return StudyFile.model_validate(content)
        except ValueError:
            raise ConfigError(f"{path} is not a study of this version of p2pbench") from None

    def find_run(self, run: str) -> RunFolder:
        """A run by its folder, or by its id or the beginning of it.

        Raises:
            ConfigError: there is none, or more than one.
            StorageError: this user may not look.
        """
        folder = RunFolder(Path(run).expanduser())
        try:
            if folder.config_file.is_file():
                return folder
        except OSError as error:
            raise StorageError(f"{folder.path} cannot be read: {error.strerror or error}") from None
        ids = [run.path.name for run in self.runs()]
        matching = [name for name in ids if name.startswith(run)] if re.fullmatch(r"[0-9a-f]{4,12}", run) else []
        if len(matching) != 1:
            many = f" ({len(matching)} ids begin so)" if matching else ""
            raise ConfigError(
                f"run {run!r} is neither a run folder nor the id of a run under {self.root}{many}; p2pbench runs list "
                "shows the ids, and --runs names the folder of all runs"
            )
        return self.run(matching[0])


def _may_hold(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # this user may not look into its folder
        return True
