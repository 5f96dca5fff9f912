"""Records as finished cells leave them, written without training, for tests of reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from p2pbench.config.metrics import Score
from p2pbench.inference.samples import save_png
from p2pbench.report.records import CellRecord, StudyRecord
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.profile import Profile
from p2pbench.runs.records import ReferenceRow, StudyCell, StudyFile
from p2pbench.runs.records import Score as Record
from p2pbench.runs.score_run import record_scores
from p2pbench.runs.store import Store
from p2pbench.scoring.evaluate import Scores
from p2pbench.statistics.intervals import mean_interval
from p2pbench.study.plan import Study, build_study
from p2pbench.study.study_file import write_study
from p2pbench.system.files import write_json

OBJECTIVES = ["l1", "gan", "cgan", "l1+gan", "l1+cgan"]
ASKED = {"scoring.metrics": ["l1", "lpips", "fid"]}


def loss_study(store: Store, seeds: Sequence[int]) -> Study:
    """The loss grid in ``store``: each variant is a little worse than the one before."""
    study = build_study("loss", None, ASKED, list(seeds))
    write_study(study, store)
    for cell in study.cells:
        fill(store, str(cell.run_id), OBJECTIVES.index(cell.variant), cell.seed)
    return study


def fill(store: Store, run_id: str, rank: int, seed: int, n: int = 20, side: int = 16) -> None:
    """The records of one finished cell; pictures of the first seed alone."""
    run = store.run(run_id)
    run.path.mkdir(parents=True)
    images = np.random.default_rng(0).normal(0.5, 0.1, n)  # the images' own difficulty, shared by all variants
    noise = np.random.default_rng([rank, seed]).normal(0, 0.004, n)
    values = images + 0.02 * rank + 0.002 * seed + noise
    estimate = mean_interval(values)
    scores = {
        "l1": Score("l1", n, estimate.value, estimate.low, estimate.high),
        "fid": Score("fid", n, 100.0 + rank, reason="no interval"),
        "lpips": Score("lpips", n, reason="no weights here; name a folder with --weights-dir"),
    }
    names = [f"{i:03d}" for i in range(n)]
    record_scores(run, Scores(n, scores, names, {"l1": values}))
    run.losses_file.write_text("step,epoch,d_loss,g_loss,g_adversarial,g_l1\n10,0.5,1,2,3,0.4\n20,1.0,1,2,2,0.3\n")
    if seed == 0:
        targets = np.random.default_rng(1).integers(0, 256, (n, side, side, 3), dtype=np.uint8)
        outputs = targets // (1 + rank)
        profile = Profile(run, n)
        profile.add(outputs, targets)
        for position in profile.kept:
            save_png(run.sample_file("condition", position), 255 - targets[position])
        for draw in (1, 2):
            save_png(run.sample_file(f"draw{draw}", 3), np.roll(outputs[3], draw, axis=0))
        write_json(run.profile_file, profile.to_json(names, [3]))
    training = {
        "steps": 600, "seconds": 60.0 + rank, "peak_memory_bytes": 2**30, "generator_parameters": 1000,
        "generator_flops": 2e9 * (1 + rank), "seconds_per_step": 0.1 * (1 + rank),
    }  # fmt: skip
    run.set_status("finished", training=training, machine={"processor": "test"}, versions={"torch": "0"}, threads=1)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def study_of(
    scores: Mapping[str, Mapping[str, np.ndarray]],
    *,
    seeds: Mapping[str, Sequence[int]] | None = None,
    failed: Mapping[str, Sequence[int]] | None = None,
    references: Mapping[str, Mapping[str, float]] | None = None,
    runs: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    **about: Any,
) -> StudyRecord:
    """A study in memory: by variant and score a matrix of seeds and images; the first variant is the baseline.

    Args:
        seeds: of each variant; 0, 1, ... where it is not named. failed: seeds of cells that failed.
        references: by reference row the values of scores.
        runs: by variant what its runs are called; two variants of one name are one training.
        settings: of every score's record.
        about: keys of the study's file, such as ``contrasts``.
    """
    variants = list(scores)
    cells, recorded = [], []
    for variant in variants:
        matrices = dict(scores[variant])
        n = max((len(m) for m in matrices.values()), default=0)
        own = list((seeds or {}).get(variant, range(n)))
        for position, seed in enumerate([*own, *(failed or {}).get(variant, [])]):
            run_id = sha256(f"{(runs or {}).get(variant, variant)} {seed}".encode()).hexdigest()[:12]
            state = "finished" if position < len(own) else "failed"
            values = {m: matrix[position] for m, matrix in matrices.items()} if state == "finished" else {}
            found = {
                m: Record.model_validate(
                    Score(m, len(row), float(np.nanmean(row)), settings=dict(settings or {})).to_json()
                )
                for m, row in values.items()
            }
            table = pd.DataFrame(values) if values else pd.DataFrame()
            run = RunFolder(Path("cells") / run_id)
            config = {"scoring": {"metrics": list(matrices), "inference": "paper"}}
            recorded.append(StudyCell(run_id=run_id, variant=variant, seed=seed, config=config))
            cells.append(CellRecord(variant, seed, run, state, None, None, found, table, pd.DataFrame(), config, {}))
    rows = [
        ReferenceRow(name=name, about=name, n=1, reason=None, scores={
            m: Record.model_validate(Score(m, 1, value, settings=dict(settings or {})).to_json())
            for m, value in values.items()
        })
        for name, values in (references or {}).items()
    ]  # fmt: skip
    file = {
        "schema_version": 1, "name": "made", "question": "Which?", "published": None, "protocol": {"name": "made"},
        "baseline": variants[0], "command": "p2pbench ablate --grid made", "cells": recorded, **about,
    }  # fmt: skip
    return StudyRecord(StudyFile.model_validate(file), cells, rows)
