"""A run that ends, without a word, at its k-th write: everything that can be left half-done is left half-done once.

    python -m faults.write_points CONFIG.yaml FOLDER START STOP STEP      prints how many points were survived

Each run is a fork of this process, which has imported torch and computed nothing (its threads would not be there).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import p2pbench.runs.cell  # noqa: F401  (before the forks: it takes seconds)
from p2pbench.config import yaml12
from p2pbench.config.resolve import from_mapping
from p2pbench.config.schema import RunConfig
from p2pbench.runs.cell import Watcher, run_cell
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.housekeeping import verify

KILLED = 77
OPERATIONS: tuple[tuple[Any, str], ...] = (
    (os, "fsync"), (os, "replace"), (os, "unlink"), (os, "rmdir"), (os, "mkdir"), (tempfile, "mkstemp"),
    (Path, "write_text"),
)  # fmt: skip
RECORDS = ("generator.safetensors", "losses.csv", "scores.json", "per_image.csv", "config.yaml")


def run_in_fork(config: RunConfig, folder: Path, die_at: int | None = None) -> int:
    """Carry out the run in a child process; exit code 0, ``KILLED`` if it got to write ``die_at``, or 1."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if die_at is not None:
                _die_at(die_at)
            watcher = Watcher(lambda _: None, lambda _done, _total: None, lambda: False)
            run_cell(
                config,
                RunFolder(folder),
                watcher,
                modes=["paper"],
                wait=False,
                threads=1,
                weights_dir=None,
                fetch=False,
            )
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _die_at(point: int) -> None:
    """End this process before or after its write operation number ``point // 2``; a text is half-written by then."""
    count = 0

    def dying(operation: Callable[..., Any], name: str) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            if count == point:
                if name == "write_text":
                    operation(args[0], args[1][: len(args[1]) // 2], *args[2:], **kwargs)
                os._exit(KILLED)
            count += 1
            result = operation(*args, **kwargs)
            if count == point:
                os._exit(KILLED)
            count += 1
            return result

        return wrapped

    for owner, name in OPERATIONS:
        setattr(owner, name, dying(getattr(owner, name), name))


def records(folder: Path) -> dict[str, bytes]:
    """What must come out the same to the bit."""
    return {name: (folder / name).read_bytes() for name in RECORDS}


def survive(config: RunConfig, folder: Path, whole: dict[str, bytes], point: int) -> bool:
    """Kill a run at ``point``, look at what it left, and finish it. Says whether it got that far at all.

    Raises:
        AssertionError: something was corrupt, or the run ended otherwise than the one that was not killed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    code = run_in_fork(config, folder, die_at=point)
    assert code in (0, KILLED), f"point {point}: exit {code}"
    run = RunFolder(folder)
    found = [problem for problem in verify(run) if "another run" not in problem.detail]  # the folder is no run id
    assert not found, f"point {point}: {found}"
    assert code == 0 or not run.finished() or records(folder) == whole, f"point {point}: a half-done run is believed"
    assert run_in_fork(config, folder) == 0, f"point {point}: not finished by the next run"
    assert records(folder) == whole, f"point {point}: other bits"
    left = [path for path in folder.rglob("*.part") if path.is_file()]
    assert len(left) <= 2, f"point {point}: {left}"  # one of each thread: training's and its checkpoints'
    return code == KILLED


def points(config: RunConfig, folder: Path, whole: dict[str, bytes], chosen: Iterator[int]) -> Iterator[int]:
    """Survive every point of ``chosen`` until one lies beyond the run's last write; yields each that was survived."""
    for point in chosen:
        if not survive(config, folder, whole, point):
            return
        yield point


def main() -> None:
    config, folder = from_mapping(yaml12.read(Path(sys.argv[1])), sys.argv[1]), Path(sys.argv[2])
    start, stop, step = map(int, sys.argv[3:])
    assert run_in_fork(config, folder / "whole") == 0
    whole = records(folder / "whole")
    print(len(list(points(config, folder / "run", whole, iter(range(start, stop, step))))))


if __name__ == "__main__":
    main()
