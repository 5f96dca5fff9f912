"""A study of many tiny cells, carried out; stores of many records, read: seconds, memory, processes, open files.

    python -m load.measure [--cells 1000] [--records 10000] [--reported 1000] [--jobs 2]   in tests/; nox -s load does

Fails where the parent's memory or open files grow from cell to cell, or a process is left behind.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from load.store_of import fill, write_grid
from study_workplace import make_workplace
from tiny_runs import write_pairs

from p2pbench.runs.folder import RunFolder
from p2pbench.runs.store import Store
from p2pbench.system.console import bytes_text, duration


@dataclass(frozen=True)
class Look:
    """The parent at one moment."""

    finished: int
    resident_bytes: int
    open_files: int
    children: int


def watch(parent: subprocess.Popen[bytes], store: Path) -> list[Look]:
    """Looks at the process each time another cell is finished, until it ends."""
    looks: list[Look] = []
    while parent.poll() is None:
        n = len(list(store.glob("cells/*/scores.json")))
        if not looks or n > looks[-1].finished:
            try:
                looks.append(_look(parent.pid, n))
            except OSError:
                break
        time.sleep(0.2)
    parent.wait()
    return looks


def _look(pid: int, n: int) -> Look:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    children = len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return Look(n, pages * resource.getpagesize(), files, children)


def check_flat(looks: list[Look], jobs: int) -> None:
    """The second half of a run needs what the first half did: no more memory (5 %), files or processes."""
    half = len(looks) // 2
    first, second = looks[1:half], looks[half:]
    if not first:
        return
    most = max(look.resident_bytes for look in first)
    assert max(look.resident_bytes for look in second) < 1.05 * most, "the parent's memory grows"
    assert max(look.open_files for look in second) <= max(look.open_files for look in first) + 2, "files stay open"
    assert max(look.children for look in looks) <= jobs + 1, "processes are left behind"


def timed(workplace_command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Seconds, those of a processor, and peak resident bytes of a command that must succeed."""
    start = time.monotonic()
    process = subprocess.Popen(workplace_command, cwd=folder, env=environment, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, workplace_command
    of_processor = duration(usage.ru_utime + usage.ru_stime)
    return f"{duration(time.monotonic() - start)} ({of_processor} of CPU), {bytes_text(usage.ru_maxrss * 1024)}"


def write_reported(folder: Path, n_seeds: int) -> int:
    """The records that are reported on; in a process of its own, or torch would count as memory of commands."""
    from load.many_records import write_records, write_two_factors

    write_two_factors(folder / "reported.yaml", 40)
    return write_records(Store(folder / "reported"), folder / "reported.yaml", n_seeds, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--reported", type=int, default=1000, help="records of 100 images and ten scores: 40 a seed")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workplace = make_workplace(folder, write_pairs(folder / "pairs", {"train": 2, "test": 2}))
        workplace.environment["P2PBENCH_HOME"] = os.environ["P2PBENCH_HOME"] = str(folder / "home")
        os.chdir(folder)
        write_grid(folder / "cells.yaml", max(1, asked.cells // 5))
        study = ["ablate", "--grid", "cells.yaml", "--seeds", "0,1,2,3,4", "--set", "training.epochs=1"]

        start = time.monotonic()
        parent = subprocess.Popen(
            workplace.command(*study, "--jobs", str(asked.jobs)), cwd=folder, env=workplace.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        looks = watch(parent, folder / "runs")
        assert parent.returncode == 0
        check_flat(looks, asked.jobs)
        cells = looks[-1].finished
        first, last = (bytes_text(look.resident_bytes) for look in (looks[1], looks[-1]))
        print(f"{cells} cells in {duration(time.monotonic() - start)}; the parent took {first} at the first, {last} at "
              f"the last, and had {max(look.open_files for look in looks)} open files at most", flush=True)  # fmt: skip

        like = RunFolder(next((folder / "runs" / "cells").iterdir()))
        write_grid(folder / "records.yaml", max(1, asked.records // 10))
        n = fill(Store(folder / "many"), folder / "records.yaml", 10, like)
        more = ["--grid", "records.yaml", "--seeds", ",".join(map(str, range(10))), "--runs", "many"]
        commands = {
            f"--plan of {n}": ["ablate", *more, "--plan"],
            f"rerun that skips {n}": ["ablate", *more],
            "runs list": ["runs", "list", "--runs", "many"],
            "runs verify": ["runs", "verify", "--runs", "many"],
            f"report on {cells} cells": ["report"],
        }
        with ProcessPoolExecutor(1, get_context("spawn")) as elsewhere:
            n = elsewhere.submit(write_reported, folder, max(1, asked.reported // 40)).result()
        commands[f"report on {n} cells of ten scores"] = ["report", "--runs", "reported"]
        for title, arguments in commands.items():
            took = timed(workplace.command(*arguments), folder, workplace.environment)
            print(f"{title}: {took}", flush=True)


if __name__ == "__main__":
    main()
