"""What experiment trackers get of a run, whichever they are; and the log for TensorBoard, which stands beside it."""

import csv
import importlib.util
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from p2pbench.data.image_files import preview
from p2pbench.runs.folder import RunFolder

Point = tuple[str, int, float]
"""A name such as ``loss/g_l1``, the step of the training, and the value there."""


@dataclass(frozen=True)
class Logged:
    """The numbers and pictures of a run that trackers show."""

    points: list[Point]
    """The losses (``loss/``) and scores of validation pairs (``val/``) by step, ascending for each name."""
    scores: dict[str, float]
    """The scores of the test split that were measured."""
    sheets: dict[int, Path]
    """The sheets of samples by the epoch."""


def logged(run: RunFolder) -> Logged:
    """What ``run`` has to show so far; what cannot be read is left out."""
    points = [*_points(run.losses_file, "loss"), *_points(run.curve_file, "val")]
    scores = {name: score.value for name, score in run.scores().items() if score.value is not None}
    sheets = {int(path.stem.removeprefix("epoch-")): path for path in sorted(run.samples.glob("epoch-[0-9]*.png"))}
    return Logged(points, scores, sheets)


def _points(path: Path, group: str) -> Iterator[Point]:
    """The finite numbers of a table with a row a step."""
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            for name, text in row.items():
                if name in ("step", "epoch", "seconds", "pairs") or not text:
                    continue
                try:
                    step, value = int(row["step"]), float(text)
                except ValueError:  # a row that was cut short
                    continue
                if math.isfinite(value):
                    yield f"{group}/{name}", step, value


def log_to_tensorboard(run: RunFolder) -> None:
    """Write what ``run`` has to show as a TensorBoard log, where the extra ``tensorboard`` is installed.

    Scores of the test split stand at the last step, sheets of samples at their epoch.
    """
    if importlib.util.find_spec("tensorboard") is None:
        return
    from torch.utils.tensorboard import SummaryWriter

    found = logged(run)
    shutil.rmtree(run.path / "tensorboard", ignore_errors=True)
    with SummaryWriter(str(run.path / "tensorboard")) as writer:
        for name, step, value in found.points:
            writer.add_scalar(name, value, step)
        training = run.training()
        for name, value in found.scores.items():
            writer.add_scalar(f"test/{name}", value, training.steps if training else 0)
        for epoch, path in found.sheets.items():
            writer.add_image("samples", preview(path), epoch, dataformats="HWC")
