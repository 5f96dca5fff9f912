"""Steps per second of 1, 2, 4, 8 and 16 trainings at once on one device, and what that makes of the paper's facades.

Each is the paper's step (256x256, batch 1, bf16) in a process of its own. Five cells of 80,000 steps are extrapolated
from the fastest number of jobs that is at most five, and said to be.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from p2pbench.bench.clock import Contestant, crowd
from p2pbench.bench.step import build_ours
from p2pbench.config.resolve import Layer, resolve
from p2pbench.errors import P2PBenchError
from p2pbench.system.hardware import available_cores, describe_machine, versions

CELLS, STEPS = 5, 80_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    settings: dict[str, Any] = {"training.device": asked.device, "training.precision": "bf16"}
    counts: tuple[int, ...] = (1, 2, 4, 5, 8, 16)
    seconds = 20.0
    if asked.device == "cpu":
        settings |= {"data.load_size": 18, "data.crop_size": 16, "generator.ngf": 4, "discriminator.ndf": 4,
                     "discriminator.name": "patch16", "training.precision": "fp32"}  # fmt: skip
        counts, seconds = (1, 2), 0.5
    rows: list[dict[str, Any]] = []
    for jobs in counts:
        threads = max(1, available_cores() // jobs)
        config = resolve([Layer("scaling", {**settings, "training.threads": threads})]).config
        try:
            speed, memory = crowd([Contestant("step", build_ours, (config,)) for _ in range(jobs)], seconds=seconds)
        except P2PBenchError as error:
            rows.append({"jobs": jobs, "failed": str(error)})
            break
        rows.append({"jobs": jobs, "steps_per_second": speed, "peak_memory_bytes_each": memory})
        document = {
            "machine": {**describe_machine(torch.device(asked.device)), "versions": versions()},
            "config": config.model_dump(mode="json"),
            "rows": rows,
        }
        best = max((row for row in rows if row["jobs"] <= CELLS), key=lambda row: row["steps_per_second"])
        if asked.device == "cuda":
            document["extrapolated"] = {
                "what": f"{CELLS} cells of {STEPS} steps, from steps per second over {seconds:.0f} s",
                "jobs": best["jobs"],
                "minutes": CELLS * STEPS / best["steps_per_second"] / 60,
            }
        asked.out.write_text(json.dumps(document, indent=2) + "\n")
        print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
