"""One training outside a study: what ``train`` does."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from p2pbench.config import yaml12
from p2pbench.config.resolve import Layer, flatten, parse_set, resolve
from p2pbench.config.run_id import run_id
from p2pbench.config.schema import RunConfig
from p2pbench.data.dataset import check_selection, open_dataset, steps_per_epoch
from p2pbench.errors import ConfigError, Interrupted, P2PBenchError, RunBusy
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.store import Store
from p2pbench.study.grid import DEFAULT_PROTOCOL, read_protocol
from p2pbench.system.console import logged_to
from p2pbench.system.progress import stages

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from p2pbench.training.distributed import Group


def train_one(
    *,
    config: Path | None,
    protocol: str | None,
    assignments: list[str],
    folder: Path | None,
    resume: bool,
    runs: Path,
    weights_dir: Path | None,
    console: Console,
) -> RunFolder | None:
    """Train and score one run in this process, with a progress bar on ``console``; returns its folder.

    Where torchrun started several processes they share the training; those that are not the first return None.

    Raises:
        ConfigError: settings that do not fit, or a folder that holds an unfinished run while ``resume`` is false.
        Interrupted: the user stopped it, after a checkpoint.
    """
    settings = _settings(config, protocol, assignments)
    dataset = open_dataset(settings.data)
    steps_per_epoch(dataset, settings.training.batch_size)  # or there are too few pairs
    check_selection(dataset, settings.training.select)

    from p2pbench.study.prepare import say_left_out
    from p2pbench.training.device import available_device
    from p2pbench.training.distributed import process_group

    say_left_out(dataset, console)

    device = available_device(settings.training.device)
    with process_group(device) as group:
        group.check(settings, device)
        identity = run_id(settings, dataset.key, group.size)
        run = RunFolder(folder, settings.scoring.inference) if folder else None
        run = run or Store(runs).run(identity, settings.scoring.inference)
        return _train_one(settings, identity, run, group, resume, weights_dir, console)


def _train_one(
    settings: RunConfig, identity: str, run: RunFolder, group: Group, resume: bool, weights_dir: Path | None,
    console: Console,
) -> RunFolder | None:  # fmt: skip
    from p2pbench.runs.cell import Watcher, run_cell, take_part
    from p2pbench.study.worker import Stop, on_signals

    stop = Stop()
    if not group.is_first:
        stop.enter("train")
        with on_signals(stop.handle):
            take_part(settings, group, stop, weights_dir)
        return None
    if not run.may_be_written():
        raise ConfigError(
            f"{run.path} holds files that are no run of p2pbench; choose another --out, or an empty folder"
        )
    unfinished = _has_checkpoint(run) and not run.finished()
    if unfinished and not resume:
        raise ConfigError(f"{run.path} holds an unfinished run; go on with --resume, or choose another --out")
    if resume and not unfinished and not run.trained():
        raise ConfigError(f"{run.path} holds no run to go on with; leave --resume out to begin one")
    with stages(console) as stage, on_signals(stop.handle), logged_to(run.log_file):
        counts = {"data": stage("decode", "pairs"), "train": stage("train", "steps"), "score": stage("score", "done")}

        def progress(done: int, total: int) -> None:
            counts[stop.stage](done, total)

        watcher = Watcher(stop.enter, progress, stop)
        try:
            run_cell(
                settings, run, watcher,
                modes=[run.inference], wait=False, threads=group.threads(), weights_dir=weights_dir, fetch=True,
                group=group,
            )  # fmt: skip
        except RunBusy:
            raise  # it is another process's, its status too
        except (Interrupted, KeyboardInterrupt) as error:
            run.set_status("interrupted", str(error))
            begun = _has_checkpoint(run) or run.trained()
            raise Interrupted(f"{error}; {'go on with --resume' if begun else 'nothing was trained'}") from None
        except Exception as error:
            log.info("failed: %s", error)
            if run.recorded_id() == identity:  # or it is another run's
                with contextlib.suppress(P2PBenchError):
                    run.set_status("failed", str(error))
            raise
    return run


def _has_checkpoint(run: RunFolder) -> bool:
    return run.checkpoint.is_dir() and any(run.checkpoint.iterdir())


def _settings(config: Path | None, protocol: str | None, assignments: list[str]) -> RunConfig:
    layers = []
    if config is not None:
        if protocol is not None:
            raise ConfigError("--config and --protocol: give one of them; a config is complete by itself")
        content = yaml12.read(config)
        if not isinstance(content, dict):
            raise ConfigError(f"{config}: expected sections of settings, as in training: {{epochs: 200}}")
        if any(assignment.partition("=")[0].strip() == "training.preset" for assignment in assignments):
            raise ConfigError(
                "--set training.preset with --config: the file's own values would stand over the preset's; "
                "edit the file, or start from a --protocol"
            )
        layers.append(Layer(str(config), flatten(content, str(config))))
    else:
        fixed = read_protocol(protocol or DEFAULT_PROTOCOL)
        layers.append(Layer(f"protocol {fixed.name}", fixed.settings))
    return resolve([*layers, Layer("--set", parse_set(assignments))]).config
