"""What Ray costs, and how well a plan predicts: ``python tests/benchmarks/executors.py [--cells 200]``.

Tiny cells on the two cores of a quiet machine: the same grid under the local executor and under Ray, in turns of
separate stores, timed from the first start of a cell to the last end; then what ``--plan`` said of other seeds beside
what they took. Prints a line for each; nothing is asserted. The cells take a thread each.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import os
import subprocess

from study_workplace import PROTOCOL, Workplace
from tiny_runs import write_pairs

CELLS_AT_ONCE = 2


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workplace = workplace_in(Path(folder), arguments.epochs)
        seeds = max(1, arguments.cells // 2)
        took = {}
        for executor in ("local", "ray"):
            took[executor] = timed(workplace, executor, range(seeds), executor)
            whole, cells = took[executor]
            print(
                f"{executor}: {2 * seeds} cells in {cells:.1f} s, {2 * seeds / cells:.3f} cells/s; "
                f"the command {whole:.1f} s"
            )
        (_, local), (_, ray) = took["local"], took["ray"]
        # On each of two workers half of the cells run one after another.
        print(f"ray at {local / ray:.3f} of local's throughput; {(ray - local) / seeds:+.3f} s a cell")
        same = records(workplace, "local") == records(workplace, "ray")
        print(f"records equal to the bit: {same}")

        others = range(seeds, seeds + min(seeds, 10))
        plan = workplace.json("ablate", *grid(others), "--plan", "--gpus", str(CELLS_AT_ONCE), "--runs", "local")
        _, measured = timed(workplace, "local", others, "local")
        predicted = plan["estimate"]["seconds"]
        print(f"makespan of {2 * len(others)} cells: predicted {predicted:.1f} s, measured {measured:.1f} s, "
              f"{predicted / measured - 1:+.1%}")  # fmt: skip


def workplace_in(folder: Path, epochs: int) -> Workplace:
    pairs = write_pairs(folder / "pairs", {"train": 6, "test": 3})
    protocol = PROTOCOL.format(source=pairs).replace("epochs: 2", f"epochs: {epochs}")
    (folder / "tiny.yaml").write_text(protocol)
    (folder / "two.yaml").write_text("protocol: tiny.yaml\nfactors: {objective: [l1, l1+cgan]}\n")
    return Workplace(folder, {**os.environ, "P2PBENCH_HOME": str(folder / "home")})


def grid(seeds: range) -> tuple[str, ...]:
    return "--grid", "two.yaml", "--seeds", ",".join(map(str, seeds))


def timed(workplace: Workplace, executor: str, seeds: range, runs: str) -> tuple[float, float]:
    """Seconds of the whole command, and from the first start of a cell to the last end."""
    command = workplace.command(
        "ablate", *grid(seeds), "--executor", executor, "--jobs", str(CELLS_AT_ONCE), "--runs", runs
    )
    begin = first = last = time.monotonic()
    started = False
    with subprocess.Popen(
        command, cwd=workplace.folder, env=workplace.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if "seed" not in line:
                continue  # the reference rows
            if "started" in line and not started:
                first, started = time.monotonic(), True
            if "done" in line:
                last = time.monotonic()
    assert process.returncode == 0
    return time.monotonic() - begin, last - first


def records(workplace: Workplace, runs: str) -> dict[str, bytes]:
    names = ("generator.safetensors", "losses.csv", "scores.json", "per_image.csv")
    cells = (workplace.folder / runs / "cells").iterdir()
    return {f"{run.name}/{name}": (run / name).read_bytes() for run in cells for name in names}


if __name__ == "__main__":
    main()
