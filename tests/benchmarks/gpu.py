"""Half an hour of a borrowed GPU machine: CUDA tests, the race, a kernel table, cells per GPU, speed, one cell.

Where there is a network: ``python tests/benchmarks/gpu.py --carry wheels`` fetches what such a machine lacks beside
torch (some MB). There: ``python tests/benchmarks/gpu.py --wheels wheels --out DIR``; nothing is installed.

The parts share ``--minutes`` by their worth; one that takes longer is stopped, and the others go on. Each leaves its
result in DIR at once: NAME.json or tests.txt, with parts.json and log.txt eight files in all. A machine that is lent
for 15 minutes, 10 a command, is worth two commands: ``--minutes 8 tests race kernels``, and ``--minutes 4 table cell``.
``--device cpu`` is the same in miniature, to know that it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
MINUTES = {"tests": 2.5, "race": 5.0, "kernels": 2.0, "cells": 6.0, "table": 8.0, "cell": 4.0}
"""Of each part where there are as many in all. An H100 took 48 s for the tests before those of every level. A rival of
the plain loop takes 25 s, and the table has 18 and the race's winner; where it has less time it has the three that
matter most."""
CARRIED = (
    "ruamel.yaml", "platformdirs", "pooch", "torch-fidelity", "lpips", "flask", "werkzeug", "itsdangerous", "blinker",
    "waitress",
)  # fmt: skip
"""What a machine with torch lacks beside pydantic, with what it needs in turn but torch."""
TINY = (
    "data.load_size=18",
    "data.crop_size=16",
    "generator.ngf=4",
    "discriminator.ndf=4",
    "discriminator.name=patch16",
)


def sets(*settings: str) -> list[str]:
    return [f"--set={setting}" for setting in settings]


def with_cuda_tests() -> list[str]:
    """The files with tests that a GPU alone runs."""
    return sorted(str(path) for path in (ROOT / "tests").rglob("test_*.py") if "mark.cuda" in path.read_text())


def command_of(part: str, device: str, minutes: float, folder: Path) -> list[str]:
    """What a part runs, without the interpreter.

    Args:
        folder: where it may keep what is no result.
    """
    small = device == "cpu"
    on, precision = f"training.device={device}", f"training.precision={'fp32' if small else 'bf16'}"
    grid = ["--grid", str(HERE / ("small.yaml" if small else "gpu.yaml"))]
    bench = ["-m", "p2pbench", "bench", "step", "--json", *sets(on)]
    if part == "tests":
        files = [str(ROOT / "tests/data/test_batches.py")] if small else with_cuda_tests()
        return [
            "-m",
            "pytest",
            "-o",
            "addopts=--import-mode=importlib",
            "-q",
            "-ra",
            "-m",
            "cuda",
            "--benchmark-skip",
            *files,
        ]
    if part == "race":
        return [*bench, "--race", f"--minutes={minutes * 0.9:.2f}", *sets(precision, *(TINY if small else ()))]
    if part == "kernels":  # of replays of the graph
        engine = "training.engine=eager" if small else "training.engine=graph"
        return [*bench, "--profile", *sets(engine, precision, *(TINY if small else ()))]
    if part == "cells":
        return [
            str(HERE / "scaling.py"),
            "--device",
            device,
            "--minutes",
            f"{minutes * 0.9:.2f}",
            "--out",
            str(folder / "cells.json"),
        ]
    if part == "table":
        whole = small or minutes >= MINUTES["table"]
        return [*bench, *grid, *(() if whole else sets("training.engine=graph", precision))]
    size = TINY if small else ("data.load_size=286", "data.crop_size=256", "generator.ngf=64", "discriminator.ndf=64")
    data = ("data.source=drawn:6", "training.epochs=2") if small else ("data.source=drawn:400", "training.epochs=10")
    return [
        "-m", "p2pbench", "ablate", "--grid", str(HERE / "l1_cgan.yaml"), "--protocol", "quick-labels", "--seeds=0",
        "--runs", str(folder / "runs"), "--json", *sets(on, precision, *size, *data, "scoring.metrics=[l1,psnr,ssim]"),
    ]  # fmt: skip


def run(part: str, command: list[str], out: Path, seconds: float, env: dict[str, str]) -> str:
    """Carry out a part within ``seconds``; its standard output is its result. Returns how it ended."""
    result = out / ("tests.txt" if part == "tests" else f"{part}.json")
    with (out / "log.txt").open("a") as log, result.open("w") as stream:
        log.write(f"\n== {part}\n")
        log.flush()
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=env, stdout=stream, stderr=log, start_new_session=True
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with the processes that it started
            process.wait()
            return f"stopped after {seconds:.0f} s"
    # 5: all tests were skipped, as CUDA's are on a CPU.
    return "done" if code in (0, 5) else f"failed with exit code {code}"


def collect(part: str, out: Path, folder: Path) -> None:
    """Put what a part left in ``folder`` into its result."""
    if part == "cells" and (folder / "cells.json").is_file():
        shutil.copy(folder / "cells.json", out / "cells.json")
    if part == "cell":
        said = (out / "cell.json").read_text().strip()
        records = [json.loads(path.read_text()) for path in sorted(folder.glob("runs/cells/*/status.json"))]
        document = {"ablate": json.loads(said) if said else None, "runs": records}
        (out / "cell.json").write_text(json.dumps(document, indent=2) + "\n")


def carry(folder: Path) -> int:
    """Fetch the wheels of ``CARRIED`` and pydantic for Python 3.12 on Linux into ``folder``, and make the package's
    own there."""
    built = subprocess.call([sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)])
    fetch = [
        sys.executable, "-m", "pip", "download", "--only-binary=:all:", "--python-version=3.12",
        "--platform=manylinux2014_x86_64", "--platform=manylinux_2_28_x86_64", "--dest", str(folder),
    ]  # fmt: skip
    # pydantic with what it needs: it works with one version of its core, which is not always the newest.
    return built or subprocess.call([*fetch, "pydantic"]) or subprocess.call([*fetch, "--no-deps", *CARRIED])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(MINUTES)}; all unless given")
    parser.add_argument("--minutes", type=float, help="for all that is asked for; 27.5 for all")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "benchmarks" / "gpu")
    parser.add_argument("--wheels", type=Path, help="the folder that --carry filled")
    parser.add_argument("--carry", type=Path, metavar="FOLDER", help="fetch wheels into it, and end")
    asked = parser.parse_args(arguments)
    if asked.carry:
        return carry(asked.carry)
    if unknown := set(asked.parts) - MINUTES.keys():
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(MINUTES)}")
    parts = asked.parts or list(MINUTES)
    scale = 1.0 if asked.minutes is None else asked.minutes / sum(MINUTES[part] for part in parts)
    out = asked.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    states = json.loads((out / "parts.json").read_text()) if (out / "parts.json").is_file() else {}
    with tempfile.TemporaryDirectory() as scratch:
        site = Path(scratch) / "site"
        for wheel in sorted(asked.wheels.glob("*.whl")) if asked.wheels else ():
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)
        paths = [str(ROOT), str(ROOT / "tests"), str(site), os.environ.get("PYTHONPATH", "")]
        # It outlives this command: the race's winner is what the table and the cell of the next one run.
        home = os.environ.get("P2PBENCH_HOME", str(Path(tempfile.gettempdir()) / "p2pbench-gpu"))
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "P2PBENCH_HOME": home}
        for part in parts:
            start, minutes, folder = time.monotonic(), scale * MINUTES[part], Path(scratch) / part
            folder.mkdir()
            state = run(part, command_of(part, asked.device, minutes, folder), out, 60 * minutes, env)
            collect(part, out, folder)
            states[part] = {"state": state, "seconds": round(time.monotonic() - start, 1), "device": asked.device}
            (out / "parts.json").write_text(json.dumps(states, indent=2) + "\n")
            print(f"{part}: {state}, {states[part]['seconds']} s", flush=True)
    return int(any(states[part]["state"] != "done" for part in parts))


if __name__ == "__main__":
    raise SystemExit(main())
