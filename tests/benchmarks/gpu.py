"""Everything that wants a GPU, unattended: CUDA tests, benchmarks, scaling, a short study of eager beside graph.

``python tests/benchmarks/gpu.py --out DIR`` with the Python that is there: torch >= 2.11 and p2pbench's other
dependencies; nothing is installed. Each part ends within nine minutes and leaves its results in DIR at once: its own
files, NAME.log, and a line in parts.json. ``--part NAME`` runs some alone. ``--device cpu`` is the same in miniature,
to know that it runs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PART_SECONDS = 530
SHORT: dict[str, dict[str, str]] = {"cuda": {}, "cpu": {"P2PBENCH_SHORT_BENCH": "1"}}
NEEDED = ("torch", "pydantic", "typer", "rich", "ruamel.yaml", "safetensors", "filelock", "platformdirs", "skimage",
          "pandas", "seaborn", "scipy", "pooch", "torch_fidelity", "lpips", "pytest", "pytest_benchmark", "hypothesis",
          "pytest_timeout")  # fmt: skip


def parts(device: str, out: Path) -> dict[str, list[list[str]]]:
    """For each part the commands it consists of, without the interpreter."""
    small = device == "cpu"
    program, pytest = ["-m", "p2pbench"], ["-m", "pytest", "-o", "addopts=--import-mode=importlib"]
    bench = [*program, "bench", "step", "--device", device]
    every = ["--grid", str(HERE / ("small.yaml" if small else "gpu.yaml"))]
    some = every if small else []  # else the paper's setting alone
    speed = [*pytest, "tests/benchmarks", "--benchmark-only", f"--benchmark-json={out}/pytest-benchmark.json"]
    # The same study twice, in stores of their own: an engine does not decide a run's identity.
    if small:
        settings = ["training.device=cpu", "training.epochs=2", "data.source=drawn:6", "data.load_size=18",
                    "data.crop_size=16", "generator.ngf=4", "discriminator.ndf=4", "discriminator.name=patch16",
                    "scoring.metrics=[l1]"]  # fmt: skip
        engines: tuple[str, ...] = ("eager",)
        seeds = "0"
    else:
        settings = ["training.device=cuda", "training.epochs=10", "data.source=drawn:400", "data.load_size=286",
                    "data.crop_size=256", "generator.ngf=64", "discriminator.ndf=64", "training.precision=bf16",
                    "scoring.metrics=[l1,psnr,ssim]"]  # fmt: skip
        engines, seeds = ("eager", "graph"), "0,1,2"
    study = [
        [*program, "ablate", "--grid", str(HERE / "l1_cgan.yaml"), "--protocol", "quick-labels", "--seeds", seeds,
         "--jobs", "auto", "--runs", f"{out}/runs-{engine}", *(f"--set={s}" for s in settings),
         f"--set=training.engine={engine}"]
        for engine in engines
    ]  # fmt: skip
    reports = [
        [*program, "report", "--runs", f"{out}/runs-{engine}", "--out", f"{out}/study-{engine}"] for engine in engines
    ]
    return {
        "doctor": [[*program, "doctor"]],
        "tests": [[*pytest, "-q", "-m", "cuda", "tests/training" if small else "tests", "--benchmark-skip"]],
        "step": [[*bench, *every, "--out", f"{out}/step.json"]],
        "compile": [[*bench, *some, "--set=training.engine=compile", "--set=training.precision=bf16",
                     "--out", f"{out}/compile.json"]],
        "profile": [[*bench, *some, "--set=training.engine=eager", "--set=training.precision=bf16", "--profile",
                     "--out", f"{out}/profile.json"]],
        "scaling": [[str(HERE / "scaling.py"), "--device", device, "--out", f"{out}/scaling.json"]],
        "benchmarks": [speed],
        "study": [*study, *reports],
    }  # fmt: skip


def run(name: str, commands: list[list[str]], out: Path, device: str) -> dict[str, object]:
    """Carry out one part; what it prints goes to NAME.log. Whatever happens to it, the others go on."""
    start = time.monotonic()
    env = {
        **os.environ,
        **SHORT[device],
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    state = "done"
    with (out / f"{name}.log").open("w") as log:
        for command in commands:
            left = PART_SECONDS - (time.monotonic() - start)
            try:
                code = subprocess.call(
                    [sys.executable, *command], cwd=ROOT, env=env, stdout=log, stderr=log, timeout=max(1, left)
                )
            except subprocess.TimeoutExpired:
                state = f"stopped after {PART_SECONDS} s"
                break
            # 5: no test was selected or all were skipped by a marker; on a CPU that is what happens to CUDA's.
            if code not in (0, 5):
                state = f"failed with exit code {code}"
                break
    return {"part": name, "state": state, "seconds": round(time.monotonic() - start, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "benchmarks" / "gpu")
    parser.add_argument("--part", action="append", help="only this one; may be repeated")
    asked = parser.parse_args()
    missing = [name for name in NEEDED if importlib.util.find_spec(name.split(".")[0]) is None]
    if missing:
        print(f"this Python lacks {', '.join(missing)}; nothing is installed here", file=sys.stderr)
        return 2
    out = asked.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    every = parts(asked.device, out)
    unknown = set(asked.part or []) - every.keys()
    if unknown:
        print(f"no part {', '.join(sorted(unknown))}; there are {', '.join(every)}", file=sys.stderr)
        return 2
    results = []
    for name in asked.part or every:
        results.append(run(name, every[name], out, asked.device))
        print("{part}: {state}, {seconds} s".format(**results[-1]), flush=True)
        (out / "parts.json").write_text(json.dumps(results, indent=2) + "\n")
    return int(any(result["state"] != "done" for result in results))


if __name__ == "__main__":
    raise SystemExit(main())
