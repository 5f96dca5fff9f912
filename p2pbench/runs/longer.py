"""A training that differs from a finished one in more epochs alone goes on from it, to the bits of one never stopped.

The finished run has kept its checkpoint (``training.keep_checkpoints``); its own folder stays as it is.
Imports no torch until a checkpoint is taken over.
"""

import csv
import io
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from p2pbench.config.run_id import run_id
from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError
from p2pbench.runs.folder import RunFolder
from p2pbench.system.console import number_of
from p2pbench.system.files import copy_file, entries, write_text

log = logging.getLogger(__name__)


class Kept(NamedTuple):
    """A finished run that has kept its checkpoint."""

    run: RunFolder
    run_id: str
    config: RunConfig

    @property
    def said(self) -> str:
        return f"the {number_of(self.config.training.epochs, 'epoch')} of run {self.run.path.name}"


def kept_checkpoints(folder: Path) -> list[Kept]:
    """The finished runs in ``folder`` that have kept a checkpoint."""
    found = []
    for path in entries(folder):
        run = RunFolder(path)
        status = run.status()
        if status is None or status.state != "finished" or status.run_id is None or not run.has_checkpoint():
            continue
        try:
            found.append(Kept(run, status.run_id, run.config()))
        except ConfigError:  # it is damaged: nothing goes on from it
            continue
    return found


def shorter(kept: Iterable[Kept], config: RunConfig, data_key: str, run: RunFolder, processes: int = 1) -> Kept | None:
    """Of ``kept`` the longest from which ``run``, which is not trained, can go on; None where there is none.

    Such a run has fewer epochs of the same training, at a constant learning rate, with the same threads, and all
    scores that the longer one is to have while it trains.
    """
    if config.training.schedule != "constant" or run.trained() or run.has_checkpoint():
        return None

    def is_begin(one: Kept) -> bool:
        epochs, threads = one.config.training.epochs, one.run.recorded_threads()
        if epochs >= config.training.epochs or config.training.threads not in (0, threads):
            return False
        if run_id(config.changed("training", epochs=epochs), data_key, processes) != one.run_id:
            return False
        now, then = config.scoring, one.config.scoring
        return now.every == 0 or (
            then.every > 0 and now.every % then.every == 0 and set(now.wanted) <= set(then.wanted)
        )

    return max(filter(is_begin, kept), key=lambda one: one.config.training.epochs, default=None)


def begin_from(begin: Kept, run: RunFolder, identity: str, config: RunConfig, processes: int = 1) -> bool:
    """Make the checkpoint of ``begin`` that of ``run``, with what an uninterrupted training would have left by then.

    Returns:
        whether there was a checkpoint that can be read.
    """
    from p2pbench.training import checkpoint

    if damaged := begin.run.damaged_records():
        log.warning("%s: %s is not what the run left; nothing goes on from it", begin.run.path, damaged[0])
        return False
    for sheet in begin.run.samples.glob("epoch-*.png"):
        if int(sheet.stem.removeprefix("epoch-")) % config.training.sample_every == 0:
            copy_file(sheet, run.samples / sheet.name)
    for picture in begin.run.test_samples.glob("*-untrained.png"):
        copy_file(picture, run.test_samples / picture.name)
    if config.scoring.every and begin.run.curve_file.is_file():
        _copy_curve(begin.run.curve_file, run.curve_file, config.scoring.every)
    begun = checkpoint.take_over(begin.run.checkpoint, begin.run_id, run.checkpoint, identity, world_size=processes)
    if begun:
        log.info("%s goes on from %s", identity, begin.said)
    return begun


def _copy_curve(source: Path, target: Path, every: int) -> None:
    """Copy the rows of a curve but those that are there only because the shorter training ended."""
    with source.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        rows = [row for row in reader if int(row["epoch"]) % every == 0]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, reader.fieldnames or [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(target, buffer.getvalue())
