"""Steps per second of 1, 2, 4 and 8 trainings at once on one device, without and with CUDA's Multi-Process Service.

Each is the paper's step (256x256, batch 1, bf16) in a process of its own. Five cells of 80,000 steps are extrapolated
from the fastest number of jobs that is at most five, and said to be.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from p2pbench.bench.clock import Contestant, crowd
from p2pbench.bench.step import build_ours
from p2pbench.config.resolve import Layer, resolve
from p2pbench.errors import P2PBenchError
from p2pbench.study.shared_gpu import CONTROL, kernels_at_once
from p2pbench.system.hardware import available_cores, describe_machine, versions

CELLS, STEPS = 5, 80_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    end = time.monotonic() + 60 * asked.minutes
    settings: dict[str, Any] = {"training.device": asked.device, "training.precision": "bf16"}
    counts: tuple[int, ...] = (1, 2, 4, 8)
    seconds = 10.0
    if asked.device == "cpu":
        settings |= {"data.load_size": 18, "data.crop_size": 16, "generator.ngf": 4, "discriminator.ndf": 4,
                     "discriminator.name": "patch16", "training.precision": "fp32"}  # fmt: skip
        counts, seconds = (1, 2), 0.5
    document: dict[str, Any] = {
        "machine": {**describe_machine(torch.device(asked.device)), "versions": versions()},
        "config": resolve([Layer("scaling", settings)]).config.model_dump(mode="json"),
        "rows": [],
    }
    longest = 0.0
    for mps in (False, True) if asked.device == "cuda" and shutil.which(CONTROL) else (False,):
        with kernels_at_once(print) if mps else nullcontext():
            for jobs in counts:
                start = time.monotonic()
                if end - start < 1.5 * longest:
                    break
                row = {"jobs": jobs, "mps": mps, **measure(settings, jobs, seconds)}
                longest = max(longest, time.monotonic() - start)
                document["rows"].append(row)
                add_extrapolation(document, seconds)
                asked.out.write_text(json.dumps(document, indent=2) + "\n")
                print(row, flush=True)
                if "failed" in row:
                    break


def measure(settings: dict[str, Any], jobs: int, seconds: float) -> dict[str, Any]:
    threads = max(1, available_cores() // jobs)
    config = resolve([Layer("scaling", {**settings, "training.threads": threads})]).config
    try:
        speed, memory = crowd([Contestant("step", build_ours, (config,)) for _ in range(jobs)], seconds=seconds)
    except P2PBenchError as error:
        return {"failed": str(error)}
    return {"steps_per_second": speed, "peak_memory_bytes_each": memory}


def add_extrapolation(document: dict[str, Any], seconds: float) -> None:
    timed = [row for row in document["rows"] if row["jobs"] <= CELLS and "failed" not in row]
    if document["machine"]["device"] != "cuda" or not timed:
        return
    best = max(timed, key=lambda row: row["steps_per_second"])
    document["extrapolated"] = {
        "what": f"{CELLS} cells of {STEPS} steps, from steps per second over {seconds:.0f} s",
        "jobs": best["jobs"],
        "mps": best["mps"],
        "minutes": CELLS * STEPS / best["steps_per_second"] / 60,
    }


if __name__ == "__main__":
    main()
