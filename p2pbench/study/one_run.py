"""One training outside a study: what ``train`` does."""

from __future__ import annotations

import contextlib
import logging
import shlex
from contextlib import AbstractContextManager
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
from p2pbench.runs.longer import kept_checkpoints, shorter
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
            With ``resume`` a run in ``folder``, or in the working directory, has its own settings.
        Interrupted: the user stopped it, after a checkpoint.
    """
    begun = _begun(folder) if resume and config is None and protocol is None else None
    if begun is not None:
        config, folder = begun.config_file, begun.path
        weights_dir = weights_dir and weights_dir.absolute()
        resume = begun.has_checkpoint() or begun.trained()
    with _where_it_began(begun):
        settings = _settings(config, protocol, assignments)
        if settings.training.seconds is not None:
            raise ConfigError(
                f"training.seconds is {settings.training.seconds:g}: ablate turns it into epochs, for a study's "
                "variants; give train the training.epochs"
            )
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
            return _train_one(settings, dataset.key, identity, run, group, resume, weights_dir, console)


def _train_one(
    settings: RunConfig, data_key: str, identity: str, run: RunFolder, group: Group, resume: bool,
    weights_dir: Path | None, console: Console,
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
    unfinished = run.has_checkpoint() and not run.finished()
    if unfinished and not resume:
        raise ConfigError(
            f"{run.path} holds an unfinished run; {_how_to_go_on(run, group, weights_dir)}; or choose another --out"
        )
    if resume and not unfinished and not run.trained():
        raise ConfigError(f"{run.path} holds no run to go on with; leave --resume out to begin one")
    begin = shorter(kept_checkpoints(run.path.parent), settings, data_key, run, group.size)
    if begin is not None:
        console.print(f"goes on from {begin.said}", markup=False, highlight=False, soft_wrap=True)
    if run.trained() and run.recorded_id() == identity:
        console.print("trained before: nothing is trained again, and only scores that it lacks are made")
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
            begun = run.config_file.is_file()
            then = (
                _how_to_go_on(run, group, weights_dir) if begun else "nothing was trained: the same command begins it"
            )
            raise Interrupted(f"{error}; {then}") from None
        except Exception as error:
            if run.recorded_id() == identity:  # or it is another run's
                log.info("failed: %s", error)
                with contextlib.suppress(P2PBenchError):
                    run.set_status("failed", str(error))
            raise
    return run


def _begun(folder: Path | None) -> RunFolder | None:
    """The run in ``folder``, or in the working directory, with its absolute path; None where there is none."""
    run = RunFolder((folder or Path()).absolute())
    return run if run.status() is not None and run.config_file.is_file() else None


def _where_it_began(run: RunFolder | None) -> AbstractContextManager[None]:
    """In the block the working directory is that of the run's first sitting, where the paths in its settings begin."""
    status = None if run is None else run.status()
    folder = None if status is None else status.started_in
    return contextlib.chdir(folder) if folder and Path(folder).is_dir() else contextlib.nullcontext()


def _how_to_go_on(run: RunFolder, group: Group, weights_dir: Path | None) -> str:
    """The command that goes on with ``run`` from any working directory."""
    program = ["p2pbench"]
    if group.size > 1:
        program = ["torchrun", "--nproc-per-node", str(group.size), "-m", "p2pbench"]
    command = [*program, "train", "--resume", "--out", str(run.path.absolute())]
    if weights_dir is not None:
        command += ["--weights-dir", str(weights_dir.absolute())]
    return f"go on with: {shlex.join(command)}"


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
