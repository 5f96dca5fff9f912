"""Main effects and two-way interactions of a grid with two or more factors, image by image."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from p2pbench.report.markup import markdown_table
from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import ALPHA, score_matrices
from p2pbench.statistics.comparison import holm, sign_flip_p
from p2pbench.statistics.factorial import factorial_effects
from p2pbench.statistics.intervals import LEAST_SEEDS, Crossed, crossed_interval
from p2pbench.system.console import decimals

COLUMNS = ["score", "effect", "levels", "estimate", "low", "high", "p", "interval", "n", "n_seeds"]


def effects_table(study: StudyRecord) -> pd.DataFrame:
    """A row an effect and score, for grids that are a full factorial of two or more factors; else no rows.

    A main effect is the mean difference that a level makes against the factor's level in the baseline, over all
    combinations of the other factors; an interaction is how much of one factor's difference depends on the other's
    level. Scores that have no value for each image, and those that a combination of levels lacks, are left out.

    Returns:
        ``score``: its name, a key of ``METRICS`` or ``module:function``.
        ``effect``: the factor, or two of them as ``generator × objective``.
        ``levels``: what is compared: ``unet - resnet6``, or ``(unet - resnet6) × (l1 - l1+cgan)``.
        ``estimate``, ``low``, ``high``: in the score's own unit, with its 95 % interval over trainings and test images
        where every combination has the same three seeds or more (``interval`` is ``crossed``), else over images of the
        seeds' mean (``t``).
        ``p``: of the sign-flip test over images that the effect is zero, corrected over the effects of the score
        (Holm). Like the tables' marks it speaks of these trainings.
        ``n``, ``n_seeds``: test images; the fewest seeds of a combination.
    """
    factors = factors_of(study)
    rows = [row for metric in study.metrics for row in _effects(study, metric, factors)] if len(factors) > 1 else []
    return pd.DataFrame(rows, columns=COLUMNS)


def factors_of(study: StudyRecord) -> dict[str, list[str]]:
    """The factors that have two levels or more among the cells, with these levels."""
    found: dict[str, list[str]] = {}
    for cell in study.about.cells:
        for factor, level in cell.levels.items():
            found.setdefault(factor, []).append(level)
    return {
        factor: levels for factor, all_levels in found.items() if len(levels := list(dict.fromkeys(all_levels))) > 1
    }


def scores_by_levels(study: StudyRecord, metric: str, factors: Iterable[str]) -> dict[tuple[str, ...], pd.DataFrame]:
    """The score by the levels of ``factors``: a row a seed and a column an image; empty where they do not compare."""
    levels_of = {cell.variant: cell.levels for cell in study.about.cells}
    return {
        tuple(str(levels_of[variant].get(factor)) for factor in factors): matrix
        for variant, matrix in score_matrices(study, metric, study.variants).items()
    }


def _effects(study: StudyRecord, metric: str, factors: dict[str, list[str]]) -> list[dict[str, Any]]:
    """The rows of one score."""
    matrices = scores_by_levels(study, metric, factors)
    baseline = next((cell.levels for cell in study.about.cells if cell.variant == study.baseline), {})
    means = {levels: matrix.to_numpy().mean(axis=0) for levels, matrix in matrices.items()}
    try:
        effects = factorial_effects(means, factors, baseline)
    except ValueError:  # not a full factorial
        return []
    adjusted = holm(float(sign_flip_p(effect.per_image)) for effect in effects).tolist()
    over_trainings = _over_trainings(matrices, factors, baseline)
    rows = []
    for position, (effect, p) in enumerate(zip(effects, adjusted, strict=True)):
        low, high, interval = effect.estimate.low, effect.estimate.high, "t"
        if over_trainings:
            low, high, interval = over_trainings[position].low, over_trainings[position].high, "crossed"
        rows.append(
            {
                "score": metric, "effect": " × ".join(effect.factors), "levels": effect.name,
                "estimate": effect.estimate.value, "low": low, "high": high, "p": p, "interval": interval,
                "n": len(effect.per_image), "n_seeds": min(map(len, matrices.values())),
            }
        )  # fmt: skip
    return rows


def _over_trainings(
    matrices: dict[tuple[str, ...], pd.DataFrame], factors: dict[str, list[str]], baseline: dict[str, str]
) -> list[Crossed]:
    """Each effect with its interval over trainings and images; none where the seeds are few or not the same."""
    seeds = next(iter(matrices.values())).index
    if len(seeds) < LEAST_SEEDS or any(not matrix.index.equals(seeds) for matrix in matrices.values()):
        return []
    scores = {levels: matrix.to_numpy() for levels, matrix in matrices.items()}
    by_seed = [
        factorial_effects({levels: found[position] for levels, found in scores.items()}, factors, baseline)
        for position in range(len(seeds))
    ]
    return [crossed_interval(np.array([e.per_image for e in same])) for same in zip(*by_seed, strict=True)]


def effects_sentences(study: StudyRecord, table: pd.DataFrame) -> list[str]:
    """A sentence a score: which effects are shown, and whether the factors add up."""
    sentences = []
    for metric, rows in table.groupby("score", sort=False):
        shown = rows[rows["p"] <= ALPHA]
        joint = shown["effect"].str.contains(" × ")
        changes = [f"{row.levels} {row.estimate:+.3g}" for row in shown[~joint].itertuples()]
        depends = [f"{row.levels} {row.estimate:+.3g}" for row in shown[joint].itertuples()]
        interactions = (
            f"what one factor does depends on the other: {', '.join(depends)}" if depends
            else "no interaction shown, so nothing speaks against reading each factor by itself"
        )  # fmt: skip
        main = f"main effects: {', '.join(changes) if changes else 'none shown'}"
        sentences.append(f"{study.metric(str(metric)).heading}: {main}; {interactions}.")
    return sentences


def printed_effects(study: StudyRecord, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it: ``estimate [low, high]``, ``*`` where p is at most 0.05."""
    return pd.DataFrame(
        {
            "score": study.metric(str(row.score)).heading,
            "factor": row.effect,
            "difference": row.levels,
            "effect": _effect_text(row),
            "p (Holm)": f"{row.p:.3g}",
        }
        for row in table.itertuples()
    )


def _effect_text(row: Any) -> str:
    mark = "*" if row.p <= ALPHA else ""
    if pd.isna(row.low) or pd.isna(row.high):
        return f"{row.estimate:+.4g}{mark}"
    digits = decimals(float(row.high) - float(row.low))
    return f"{row.estimate:+.{digits}f}{mark} [{row.low:+.{digits}f}, {row.high:+.{digits}f}]"


def effects_notes(table: pd.DataFrame) -> list[str]:
    """What a reader must know to read the table rightly."""
    crossed = set(table["interval"]) == {"crossed"}
    over = "trainings and test images" if crossed else "test images, of the seeds' mean"
    notes = [
        "A main effect is the mean difference between two levels over all combinations of the other factors; an "
        "interaction (×) is by how much one factor's difference changes with the other's level; 0 where they add up.",
        f"Brackets: 95 % interval over {over} (n = {table['n'].iloc[0]}). *: p at most 0.05, sign-flip test over test "
        "images, Holm-corrected over the effects of a score; it speaks of these trainings, not of others.",
    ]
    if table["n_seeds"].min() == 1:
        notes.append("One seed: training variance is not assessed.")
    return notes


def effects_markdown(study: StudyRecord, table: pd.DataFrame) -> str:
    """What is shown, the printed table, and its notes, as Markdown."""
    shown, notes = (
        "\n".join(f"- {line}" for line in of) for of in (effects_sentences(study, table), effects_notes(table))
    )
    body = markdown_table(printed_effects(study, table))
    return f"# {study.about.question} Main effects and interactions\n\n{shown}\n\n{body}\n\n{notes}\n"
