"""How often a report marks a difference between trainings of one recipe, which differ in their seed alone.

The splits of the trainings are fixed here, before looking, and never drawn again.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from p2pbench.report.comparisons import comparisons
from p2pbench.report.records import CellRecord, StudyRecord
from p2pbench.runs.records import StudyFile

N_SPLITS = 200
SCORES = ("l1", "ssim", "lpips", "sharpness", "kid-paired-alexnet", "fcn-pixel", "fcn-class", "fcn-iou")
SIZES = (1, 2, 3, 5)


def splits(n_trainings: int, size: int, groups: int) -> np.ndarray:
    """Which trainings make which pseudo-variant: (N_SPLITS, groups, size), disjoint within a split."""
    random = np.random.default_rng([n_trainings, size, groups])
    drawn = [random.permutation(n_trainings)[: groups * size] for _ in range(N_SPLITS)]
    return np.array(drawn).reshape(N_SPLITS, groups, size)


def as_variants(trainings: list[CellRecord], groups: np.ndarray) -> StudyRecord:
    """A study whose variants are groups of trainings of one recipe; ``groups`` are positions, (variants, size)."""
    names = [chr(ord("A") + group) for group in range(len(groups))]
    cells = [
        replace(trainings[position], variant=name, seed=seed)
        for name, group in zip(names, groups, strict=True)
        for seed, position in enumerate(group.tolist())
    ]
    recorded = [
        {"run_id": cell.run.path.name, "variant": cell.variant, "seed": cell.seed, "config": cell.config}
        for cell in cells
    ]
    about = {
        "schema_version": 1, "name": "same recipe", "question": "Any difference?", "published": None, "protocol": {},
        "baseline": "A", "command": "", "cells": recorded,
    }  # fmt: skip
    return StudyRecord(StudyFile.model_validate(about), cells)


def rates(study: StudyRecord) -> pd.DataFrame:
    """A row a recipe, size and score: how often p is below 0.05, and how often tables mark a thing; shares.

    ``unadjusted`` is of two pseudo-variants; ``any mark`` of three, so of two contrasts, after Holm's correction.
    ``low`` and ``high`` are what 95 % of exact tests at 5 % would show with as many trainings and splits.
    """
    rows = []
    for recipe in study.variants:
        trainings = study.of(recipe)
        for size in SIZES:
            n = N_SPLITS if size > 2 else 20  # below three seeds no split can have a mark
            pairs, triples = (splits(len(trainings), size, groups)[:n] for groups in (2, 3))
            low, high = exact_range(len(trainings), pairs) if size > 2 else (0.0, 0.0)
            two = [as_variants(trainings, split) for split in pairs]
            three = [as_variants(trainings, split) for split in triples]
            for score in SCORES:
                raw = [c.p_raw is not None and c.p_raw < 0.05 for s in two for c in comparisons(s, score)]
                marks = [any(c.mark == "*" for c in comparisons(s, score)) for s in three]
                rows.append([recipe, size, score, float(np.mean(raw)), float(np.mean(marks)), low, high])
    return pd.DataFrame(rows, columns=["recipe", "seeds", "score", "unadjusted", "any mark", "low", "high"])


def exact_range(n_trainings: int, groups: np.ndarray, simulations: int = 4000) -> tuple[float, float]:
    """Where the rate of an exact test at 5 % lies in 95 % of cases: paired t of normal means, split alike."""
    from scipy.special import stdtr

    random = np.random.default_rng(n_trainings)
    found = []
    for _ in range(simulations):
        means = random.standard_normal(n_trainings)
        differences = means[groups[:, 1]] - means[groups[:, 0]]  # (splits, size)
        size = differences.shape[1]
        t = differences.mean(axis=1) / (differences.std(axis=1, ddof=1) / np.sqrt(size))
        found.append((2 * stdtr(size - 1, -np.abs(t)) < 0.05).mean())
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
