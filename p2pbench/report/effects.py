"""Main effects, interactions and simple effects of a grid with two or more factors, over trainings and images."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from p2pbench.report.comparisons import distances, paired
from p2pbench.report.markup import markdown_table
from p2pbench.report.primary import listed, named
from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import measured, n_test_images, score_matrices
from p2pbench.statistics.comparison import ALPHA, holm, sign_flip_p
from p2pbench.statistics.factorial import Contrast, factorial_contrasts
from p2pbench.statistics.intervals import mean_interval
from p2pbench.statistics.trainings import over_trainings
from p2pbench.system.console import decimals, number, significant

COLUMNS = [
    "score", "effect", "kind", "levels", "estimate", "low", "high", "p", "p_raw", "p_images",
    "interval", "n", "n_seeds",
]  # fmt: skip


def effects_table(study: StudyRecord, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """A row an effect and score, all or those of ``metrics``, for grids of two or more factors; else no rows.

    What ``exclude`` took out is left out of the effects, and so are variants that another program made.

    Effects are contrasts of :func:`p2pbench.statistics.factorial.factorial_contrasts` over the seeds that all their
    combinations have: main effects, interactions, and beside these the simple effects. A combination that has not the
    score changes nothing between the others; scores that have no values to test are left out.

    Returns:
        ``score``: its name, a key of ``METRICS`` or ``module:function``.
        ``effect``, ``kind``: the factor, or two of them as ``generator × objective``; main, interaction or simple.
        ``levels``: what is compared: ``unet - resnet6``, or ``(unet - resnet6) × (l1 - l1+cgan)``.
        ``estimate``, ``low``, ``high``: in the score's own unit, with its 95 % interval over trainings and test images
        from three seeds on (``interval`` is ``trainings``), else over images of the seeds' mean (``t``).
        ``p``: that recipes have no such effect, corrected over the main effects and interactions of the score (Holm);
        ``p_raw`` is before that. Below three seeds ``p_images`` stands instead, of sign flips over images, which speaks
        of these trainings alone. Simple effects are not tested.
        ``n``, ``n_seeds``: test images and seeds.
    """
    factors = factors_of(study)
    asked = (study.metrics if metrics is None else metrics) if len(factors) > 1 else ()
    rows = [row for metric in asked for row in _effects(study, metric, factors)]
    numbers = dict.fromkeys(("estimate", "low", "high", "p", "p_raw", "p_images"), float)
    return pd.DataFrame(rows, columns=COLUMNS).astype(numbers)


def factors_of(study: StudyRecord) -> dict[str, list[str]]:
    """The factors that have two levels or more among the cells, with these levels."""
    found: dict[str, list[str]] = {}
    for cell in study.about.cells:
        for factor, level in cell.levels.items():
            found.setdefault(factor, []).append(level)
    return {
        factor: levels for factor, all_levels in found.items() if len(levels := list(dict.fromkeys(all_levels))) > 1
    }


def combinations(study: StudyRecord, factors: Iterable[str]) -> dict[tuple[str, ...], str]:
    """The variant of each combination of the levels of ``factors`` that the grid has."""
    return {
        tuple(str(cell.levels.get(factor)) for factor in factors): cell.variant
        for cell in study.about.cells
        if not cell.made_elsewhere
    }


def _effects(study: StudyRecord, metric: str, factors: dict[str, list[str]]) -> list[dict[str, Any]]:
    """The rows of one score."""
    declared = combinations(study, factors)
    variants = {levels: v for levels, v in declared.items() if measured(study, v, metric)}
    baseline = next((cell.levels for cell in study.about.cells if cell.variant == study.baseline), {})
    runs = {cell.variant: (cell.run.path.name, cell.run.inference) for cell in reversed(study.cells)}
    trained = {levels: runs[variant] for levels, variant in declared.items()}
    try:
        planned = factorial_contrasts(trained, factors, baseline)
        contrasts = factorial_contrasts({levels: trained[levels] for levels in variants}, factors, baseline)
    except ValueError:  # no factorial
        return []
    of_grid = list(variants.values())
    if not study.metric(metric).marked or len(score_matrices(study, metric, of_grid)) < len(of_grid):
        return []
    rows = [_row(study, metric, contrast, variants) for contrast in contrasts]
    family = sum(contrast.kind != "simple" for contrast in planned)  # whatever became of some combinations
    for kind in ("p_raw", "p_images"):
        tested = [row for row in rows if row[kind] is not None]
        for row, p in zip(tested, holm((row[kind] for row in tested), family).tolist(), strict=True):
            row["p" if kind == "p_raw" else kind] = p
    return [row for row in rows if row["n_seeds"]]


def _row(study: StudyRecord, metric: str, contrast: Contrast, variants: dict[tuple[str, ...], str]) -> dict[str, Any]:
    """One effect, uncorrected; of no seeds where its combinations have none in common."""
    weights = {variants[levels]: weight for levels, weight in contrast.weights.items()}
    matrices = paired(study, metric, list(weights))
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"score": metric, "effect": " × ".join(contrast.factors), "kind": contrast.kind, "levels": contrast.name}
    if not matrices:
        return {**row, "n_seeds": 0}
    scores = sum(weight * distances(matrices[v], study.metric(metric).better) for v, weight in weights.items())
    found = over_trainings(np.asarray(scores))
    low, high, interval = found.low, found.high, "trainings"
    if found.squares is None:
        _, low, high, _ = mean_interval(np.asarray(scores).mean(axis=0))
        interval = "t"
    row |= {"estimate": found.value, "low": low, "high": high, "interval": interval}
    row |= {"n": n_test_images(study, metric, weights, found.n_images), "n_seeds": found.n_seeds}
    if contrast.kind != "simple":
        row["p_raw"] = found.p()
        row["p_images"] = float(sign_flip_p(np.asarray(scores).mean(axis=0))) if found.squares is None else None
    return row


def effects_sentences(study: StudyRecord, table: pd.DataFrame) -> list[str]:
    """A sentence a score: which effects are shown, and how far the factors may be from adding up."""
    sentences = []
    for metric, rows in _chosen(study, table).groupby("score", sort=False):
        digits = _digits(rows)
        told = rows[rows["interval"] == "trainings"]
        here = _marked(rows[(rows["interval"] != "trainings") & (rows["kind"] != "simple")], digits)
        parts = _told(told, digits) if len(told) else []
        if here:
            parts.append(f"in these trainings alone: {', '.join(here)}")
        if not parts:
            parts = ["fewer than three trainings of a combination show no effect of a factor"]
        sentences.append(f"{study.metric(str(metric)).heading}: {'; '.join(parts)}.")
    return sentences


def _told(rows: pd.DataFrame, digits: int) -> list[str]:
    """What is shown of the factors, and what is left open, by the effects of one score over trainings."""
    main, joint = rows[rows["kind"] == "main"], rows[rows["kind"] == "interaction"]
    parts = [f"main effects: {', '.join(_marked(main, digits)) or 'none shown'}"] if len(main) else []
    if depends := _marked(joint, digits):
        parts.append(f"what one factor does depends on the other: {', '.join(depends)}")
    elif len(joint):
        widest = max(joint[["low", "high"]].abs().max(axis=1).fillna(float("inf")))
        parts.append(
            f"no interaction is shown, but one of up to {significant(widest, 2)} is not excluded"
            if widest < float("inf")
            else "whether the factors interact cannot be told"
        )
    return parts


def _marked(rows: pd.DataFrame, digits: int) -> list[str]:
    return [f"{row.levels} {_effect_text(row, digits)}" for row in rows.itertuples() if _mark(row)]


def printed_effects(study: StudyRecord, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it: ``estimate [low, high]`` with the mark of the tables of scores.

    All effects of a score have one number of decimals.
    """
    table = _chosen(study, table)
    digits = {score: _digits(rows) for score, rows in table.groupby("score")}
    rows: list[Any] = list(table.itertuples())
    return pd.DataFrame(
        {
            "score": study.metric(str(row.score)).heading,
            "factor": row.effect,
            "difference": row.levels,
            "effect": _effect_text(row, digits[row.score]),
            "p (Holm)": next((p_text(p) for p in (row.p, row.p_images) if pd.notna(p)), ""),
        }
        for row in rows
    )


def _mark(row: Any) -> str:
    if pd.notna(row.p) and row.p < ALPHA:
        return "*"
    return "†" if pd.notna(row.p_images) and row.p_images < ALPHA else ""


def p_text(p: float) -> str:
    """A p-value with three decimals, below which it says so; with four where three would hide that it is below 0.05."""
    if p < 0.001:
        return "<0.001"
    return f"{p:.4f}" if p < ALPHA <= round(p, 3) else f"{p:.3f}"


def _chosen(study: StudyRecord, table: pd.DataFrame) -> pd.DataFrame:
    """The effects on the scores that the report shows."""
    return table[table["score"].isin(study.chosen_metrics)]


def _digits(rows: pd.DataFrame) -> int:
    """The decimals of one score's effects: those that leave two digits to the usual width of their intervals."""
    widths = (rows["high"] - rows["low"]).dropna()
    return decimals(float(widths.median())) if len(widths) else 4


def _effect_text(row: Any, digits: int) -> str:
    if pd.isna(row.low) or pd.isna(row.high):
        return f"{number(row.estimate, digits, sign=True)}{_mark(row)}"
    value, low, high = (number(end, digits, sign=True) for end in (row.estimate, row.low, row.high))
    return f"{value}{_mark(row)} [{low}, {high}]"


MARKS = {
    "trainings": "*: p below 0.05.",
    "t": "†: p below 0.05 over test images (sign flips); it speaks of these trainings, not of others.",
}
"""By the kind of interval, what marks an effect."""


def effects_notes(study: StudyRecord, table: pd.DataFrame) -> list[str]:
    """What a reader must know to read the table rightly."""
    kinds, n = set(table["interval"]), table["n"].iloc[0]
    here = f"test images, of the seeds' mean (n = {n})"
    over = f"trainings and test images (n = {n})" if "trainings" in kinds else here
    over += f"; below three common seeds over {here}" if len(kinds) > 1 else ""
    return [
        "A main effect is the mean difference between two levels over all combinations of the other factors that have "
        "both; an "
        "interaction (×) is by how much one factor's difference changes with the other's level; 0 where they add up; "
        "below it, what each factor does at each level of the other.",
        f"Brackets: 95 % interval over {over}. Holm-corrected over the main effects and interactions of a score. "
        + " ".join(mark for kind, mark in MARKS.items() if kind in kinds),
        *(
            f"{study.metric(m).label}: effects are of the distance from 1, below 0 where the first is nearer."
            for m in table["score"].unique()
            if study.metric(m).better == "closer to 1"
        ),
        *_combinations_without(study, table),
    ]  # fmt: skip


def _combinations_without(study: StudyRecord, table: pd.DataFrame) -> list[str]:
    """The combinations that have no value of scores in the table, as where they failed."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    variants = combinations(study, factors_of(study)).values()
    for metric in table["score"].unique():
        if without := tuple(v for v in variants if not measured(study, v, metric)):
            lacking.setdefault(without, []).append(study.metric(metric).label)
    return [
        f"{named(list(without))} {'has' if len(without) == 1 else 'have'} no value of {listed(labels)}: these "
        "effects are of the other combinations."
        for without, labels in lacking.items()
    ]


def effects_markdown(study: StudyRecord, table: pd.DataFrame) -> str:
    """What is shown, the printed table, and its notes, as Markdown."""
    shown, notes = (
        "\n".join(f"- {line}" for line in of) for of in (effects_sentences(study, table), effects_notes(study, table))
    )
    body = markdown_table(printed_effects(study, table))
    return f"# {study.about.question} Main effects and interactions\n\n{shown}\n\n{body}\n\n{notes}\n"
