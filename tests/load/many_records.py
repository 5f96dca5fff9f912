"""The records of a large study, every one of its own values, without training: what a report of them is measured on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from p2pbench.config.metrics import METRICS, Score
from p2pbench.inference.samples import save_png
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.profile import Profile
from p2pbench.runs.score_run import record_scores
from p2pbench.runs.store import Store
from p2pbench.scoring.evaluate import Scores
from p2pbench.scoring.jackknife import described
from p2pbench.statistics.intervals import image_interval
from p2pbench.study.plan import build_study
from p2pbench.study.study_file import write_study
from p2pbench.system.files import write_json, write_text

SCORES = (
    "l1", "psnr", "ssim", "lpips", "lpips-squeeze", "sharpness", "fcn-pixel", "kid-paired-alexnet", "fcn-class",
    "fcn-iou",
)  # fmt: skip
"""Seven of single images and three of the set."""
GRID = """
question: Does the report hold it?
protocol: tiny.yaml
baseline: {{training.learning_rate: 0.001, objective.lambda_l1: 1}}
factors:
  training.learning_rate: [{rates}]
  objective.lambda_l1: [1, 3, 10, 30, 100]
"""
SIDE = 64


def write_two_factors(path: Path, n_variants: int) -> None:
    """A grid of five weights and so many learning rates that there are ``n_variants``, a multiple of five."""
    path.write_text(GRID.format(rates=", ".join(f"{(1000 + k) / 1e6:.6f}" for k in range(n_variants // 5))))


def write_records(store: Store, grid: Path, n_seeds: int, n_images: int) -> int:
    """Give every cell of ``grid`` the records of a finished run; returns how many there are."""
    study = build_study(str(grid), None, {"scoring.metrics": list(SCORES)}, range(n_seeds))
    write_study(study, store)
    ranks = {variant: rank for rank, variant in enumerate(dict.fromkeys(cell.variant for cell in study.cells))}
    for cell in study.cells:
        run = store.run(str(cell.run_id))
        run.path.mkdir(parents=True)
        run.write_config(cell.config)
        _write_record(run, ranks[cell.variant], cell.seed, n_images)
    return len(study.cells)


def _write_record(run: RunFolder, rank: int, seed: int, n: int) -> None:
    """Scores, pseudo-values, losses and a curve; of the first seed also what its outputs look like."""
    rng, names = np.random.default_rng([rank, seed]), [f"{i:03d}" for i in range(n)]
    images = np.random.default_rng(0).exponential(
        0.05, (len(SCORES), n)
    )  # the images' own difficulty, with a long tail
    values = 0.5 + 0.0002 * rank + images + rng.normal(0, 0.01, (len(SCORES), 1)) + rng.normal(0, 0.02, images.shape)
    of_image = {name: row for name, row in zip(SCORES, values, strict=True) if METRICS[name].per_image}
    pseudo = {name: row for name, row in zip(SCORES, values, strict=True) if not METRICS[name].per_image}
    found = {}
    for name, row in zip(SCORES, values, strict=True):
        estimate, method = image_interval(row)
        settings = {"split": "test", "inference": "paper", "noise_seed": seed, "size": SIDE, "interval": method}
        settings |= {"jackknife": described(n, n)} if name in pseudo else {}
        found[name] = Score(name, n, estimate.value, estimate.low, estimate.high, settings)
    record_scores(run, Scores(n, found, names, of_image, pseudo))
    steps = range(100, 20001, 100)
    rows = (f"{step},{step / 400},1.2,1.1,{0.9 + 1 / step},{0.2 + rank / step}" for step in steps)
    write_text(run.losses_file, "\n".join(["step,epoch,d_loss,g_loss,g_adversarial,g_l1", *rows, ""]))
    read = (f"{step / 400},{step},{step / 9},100,{0.2 + rank / step},{0.6 - 1 / step}" for step in steps[19::20])
    write_text(run.curve_file, "\n".join(["epoch,step,seconds,pairs,l1,ssim", *read, ""]))
    targets = np.random.default_rng(1).integers(0, 256, (n, SIDE // 8, SIDE // 8, 3), dtype=np.uint8)
    targets = targets.repeat(8, axis=1).repeat(8, axis=2)
    profile = Profile(run, n)
    profile.kept = profile.kept if seed == 0 else []
    profile.add(targets // (1 + rank % 5), targets)
    for position in profile.kept:
        save_png(run.sample_file("condition", position), 255 - targets[position])
    write_json(run.profile_file, profile.to_json(names, []))
    training = {
        "steps": 20000, "seconds": 600.0 + rank, "seconds_per_step": 0.03, "peak_memory_bytes": 2**30,
        "generator_parameters": 10**7, "generator_flops": 2e9, "discriminator_flops": 5e8,
    }  # fmt: skip
    machine = {"processor": f"processor {seed % 2}"}
    run.set_status("finished", training=training, machine=machine, versions={"torch": "2.11"}, threads=1)
