"""What checkpoints cost a training: seconds of it lost to one, and their share at one a minute.

    python tests/benchmarks/checkpoint_cost.py [FOLDER] [--minutes 5] [--set ...]

U-Net-256 and patch70 (54 and 3 million parameters, with Adam) unless settings say otherwise; FOLDER is on the disk that
is measured. Steps run in turns of ``--turn`` seconds, without and with one checkpoint each, so that what the machine
does beside is in both. The issue's limit is 2 % at one a minute: 1.2 s a checkpoint.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from p2pbench.config.resolve import Layer, parse_set, resolve
from p2pbench.models.build import build_discriminator, build_generator
from p2pbench.system.hardware import available_cores
from p2pbench.training import checkpoint
from p2pbench.training.checkpoint import Writer
from p2pbench.training.engine import build_optimisers, peak_memory_bytes, place_networks, prepare_engine
from p2pbench.training.step import LOSS_NAMES, Networks, train_step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--turn", type=float, default=20.0, help="seconds")
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args()
    config = resolve([Layer("--set", parse_set(asked.set))]).config
    engine = prepare_engine(config.training, config.training.threads or available_cores())
    networks = place_networks(Networks(build_generator(config), build_discriminator(config)), engine)
    optimisers = build_optimisers(networks, config)
    random = torch.Generator().manual_seed(0)
    shape = (config.training.batch_size, 3, *config.data.crop_shape)
    condition, target = (
        (torch.rand(shape, generator=random) * 2 - 1).to(engine.device, memory_format=engine.memory_format)
        for _ in range(2)
    )

    def steps_for(seconds: float) -> float:
        """Steps a second over so long."""
        start, n = time.monotonic(), 0
        while (now := time.monotonic()) - start < seconds:
            train_step(networks, optimisers, condition, target, config).cpu()
            n += 1
        return n / (now - start)

    steps_for(3.0)
    rates: dict[str, list[float]] = {"without": [], "with": []}
    waits: list[float] = []
    written: list[float] = []
    ended: list[float] = []
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder, Writer(Path(folder), "bench", keep=2) as writer:
        for turn in range(max(2, round(asked.minutes * 60 / asked.turn / 2))):
            rates["without"].append(steps_for(asked.turn))
            start = time.monotonic()
            progress = checkpoint.Progress(turn, [], torch.zeros(0, len(LOSS_NAMES)), 0.0)
            writer.save(networks, optimisers, progress, lambda: ended.append(time.monotonic()))
            waits.append(time.monotonic() - start)
            rate = steps_for(asked.turn - waits[-1])
            rates["with"].append(rate * (asked.turn - waits[-1]) / asked.turn)
            writer.wait()
            written.append(ended[-1] - start)
        size = max(path.stat().st_size for path in Path(folder).iterdir())
    lost = [1 - b / a for a, b in zip(rates["without"], rates["with"], strict=True)]
    seconds = statistics.median(lost) * asked.turn
    print(json.dumps({
        "checkpoint_bytes": size, "turns": len(lost),
        "copy_seconds": round(statistics.median(waits[1:]), 3), "first_copy_seconds": round(waits[0], 3),
        "written_after_seconds": round(statistics.median(written), 2),
        "training_seconds_lost_to_one": round(seconds, 3),
        "share_at_one_a_minute": round(seconds / 60, 4),
        "steps_per_second": round(statistics.median(rates["without"]), 3),
        "peak_memory_bytes": peak_memory_bytes(engine.device),
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
