"""A store as a large study leaves it, without its trainings: one real run, copied under every id of the study."""

from __future__ import annotations

import shutil
from pathlib import Path

from p2pbench.runs.folder import RunFolder
from p2pbench.runs.store import Store
from p2pbench.study.plan import build_study
from p2pbench.study.study_file import write_study

GRID = """
question: Does the store hold it?
protocol: tiny.yaml
baseline: {{training.learning_rate: 0.001}}
factors: {{training.learning_rate: [{rates}]}}
"""


def write_grid(path: Path, n_variants: int) -> None:
    """A grid of ``n_variants`` learning rates."""
    path.write_text(GRID.format(rates=", ".join(f"{(1000 + k) / 1e6:.6f}" for k in range(n_variants))))


def fill(store: Store, grid: Path, n_seeds: int, like: RunFolder) -> int:
    """Give every cell of ``grid`` the records of the finished run ``like``; returns how many there are."""
    study = build_study(str(grid), None, {}, range(n_seeds))
    write_study(study, store)
    for cell in study.cells:
        run = store.run(str(cell.run_id))
        if run.path == like.path:
            continue
        shutil.copytree(like.path, run.path, ignore=shutil.ignore_patterns("samples", "tensorboard", "lock"))
        run.write_config(cell.config)
        run.set_status("finished", run_id=cell.run_id)
        run.set_status("finished", files=run.record_hashes())
    return len(study.cells)
