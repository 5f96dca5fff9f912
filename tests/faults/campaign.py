"""Everything that is done to p2pbench on purpose, and what came of it, as the table in tests/README.md.

    python -m faults.campaign [--kills 300] [--every 1]        from tests/; nox -s faults does

Studies are killed with SIGKILL at random moments; runs end in-process at every ``--every``-th of their writes; then the
tests of faults and of bad inputs run, these with as many examples as ``P2PBENCH_HYPOTHESIS`` says. Whatever is lost,
corrupt or other than without the fault is an error, and no table is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree as ET

from faults.kills import Tally, kill_at_random, survived
from study_workplace import make_workplace
from tiny_runs import TINY, write_pairs

from p2pbench.config.resolve import Layer, resolve
from p2pbench.runs.folder import RunFolder
from p2pbench.system.console import duration

HERE = Path(__file__).parent


def kill(folder: Path, kills: int, seed: int) -> Tally:
    """Kill a study of two cells until it has had enough."""
    workplace = make_workplace(folder, write_pairs(folder / "pairs", {"train": 6, "test": 3}))
    workplace.environment["P2PBENCH_HOME"] = str(folder / "home")
    return kill_at_random(workplace, "two.yaml", kills, seed)


def end_at_writes(folder: Path, every: int) -> int:
    """End one run at every ``every``-th of its writes; returns at how many."""
    pairs = write_pairs(folder / "pairs", {"train": 6, "test": 3})
    changes = {"data.source": str(pairs), "training.epochs": 1, "training.checkpoint_seconds": 0}
    config = resolve([Layer("tiny", TINY), Layer("campaign", changes)]).config
    RunFolder(folder / "config").write_config(config)
    return survived(folder / "config" / "config.yaml", folder, 0, 1_000_000, every)


def tests(folder: Path) -> tuple[int, int, dict[str, int]]:
    """Run the tests of this folder but for the kills; returns how many passed and skipped, and the bad inputs tried."""
    results, tally = folder / "results.xml", folder / "tally.json"
    subprocess.run(
        [sys.executable, "-m", "pytest", str(HERE), "-q", f"--ignore={HERE / 'test_kills.py'}", "--timeout=0",
         f"--junitxml={results}"],
        env={**os.environ, "P2PBENCH_BAD_INPUTS": str(tally)}, check=True, stdout=sys.stderr,
    )  # fmt: skip
    suite = next(ET.parse(results).iter("testsuite"))
    skipped = int(suite.attrib["skipped"])
    return int(suite.attrib["tests"]) - skipped, skipped, json.loads(tally.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        os.environ.setdefault("P2PBENCH_HOME", str(Path(name) / "home"))
        folders = [Path(name) / part for part in ("kills", "writes", "tests")]
        for folder in folders:
            folder.mkdir()
        print(f"seed {asked.seed}", file=sys.stderr)
        killed = kill(folders[0], asked.kills, asked.seed)
        print(f"{killed}, {duration(time.monotonic() - start)}", file=sys.stderr)
        points = end_at_writes(folders[1], asked.every)
        print(f"{points} write points, {duration(time.monotonic() - start)}", file=sys.stderr)
        passed, skipped, bad = tests(folders[2])
    by_victim, by_moment = (
        ", ".join(f"{name} {n}" for name, n in counts.items()) for counts in (killed.kills, killed.moments)
    )
    cells = 2 * killed.studies + points
    inputs = ", ".join(f"{kind} {n:,}" for kind, n in sorted(bad.items()))
    print("| tried | times | lost, corrupt or other |\n| --- | --- | --- |")
    print(f"| kills with SIGKILL survived ({by_victim}; {by_moment}) | {sum(killed.kills.values())} | 0 |")
    print(f"| runs ended at a write of theirs | {points} | 0 |")
    print(f"| other faults, by {passed} tests{f' ({skipped} skipped)' if skipped else ''} | {passed} | 0 |")
    print(f"| bad inputs ({inputs}) | {sum(bad.values()):,} | 0 believed |")
    print(f"| cells that had to finish to the same bits | {cells} | 0 |")
    print(f"\nIn {duration(time.monotonic() - start)}, seed {asked.seed}.")


if __name__ == "__main__":
    main()
