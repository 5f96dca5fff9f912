"""Figure of a grid of several factors: what each does, how two act together, and what one does at each level."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2pbench.report.effects import effects_table
from p2pbench.report.figures.panels import COLOURS, Look, draw_rows, finish
from p2pbench.report.figures.scores import directed, draw_estimate
from p2pbench.report.records import StudyRecord
from p2pbench.report.score_table import shown_metrics
from p2pbench.report.verdict import counted
from p2pbench.statistics.comparison import ALPHA
from p2pbench.system.figure_style import COLUMN, DIM, LINE

MOST_EFFECTS = 24
"""The most effects that are drawn, in the order of their table: main effects, interactions, simple effects."""
KINDS = {kind: Look(kind, COLOURS[k], "oDs"[k], "-") for k, kind in enumerate(("main", "interaction", "simple"))}


def draw_effects(study: StudyRecord, width: float = COLUMN) -> Figure | None:
    """The contrasts of the factors by the primary score, with their paired intervals, as a forest plot."""
    metric = next(iter(shown_metrics(study)), None)
    rows: list[Any] = [] if metric is None else list(effects_table(study, [metric]).itertuples())
    if metric is None or not rows:
        return None
    shown = rows[:MOST_EFFECTS]
    about, margin = study.metric(metric), study.margin(metric)

    def draw(axis: Axes, _: int, row: int, place: float) -> bool:
        effect = shown[row]
        if row == 0:
            axis.axvline(0, color=DIM, lw=0.6, ls="--", zorder=1)
            if margin:
                axis.axvspan(-margin, margin, color=LINE, alpha=0.5, lw=0, zorder=0)
        low, high = (None if pd.isna(end) else end for end in (effect.low, effect.high))
        marked = any(pd.notna(p) and p < ALPHA for p in (effect.p, effect.p_images))
        draw_estimate(
            axis, place, KINDS[effect.kind], effect.estimate, low, high, (),
            over_trainings=effect.interval == "trainings", filled=marked,
        )  # fmt: skip
        return True

    names = [row.levels.replace(" - ", " − ") for row in shown]
    figure = draw_rows(width, names, [(about.heading, directed(about))], draw)
    more = [f"{len(shown)} of {len(rows)} effects shown"] if len(shown) < len(rows) else []
    kinds = {"trainings": "trainings and images", "t": "images of these trainings"}
    present = {row.interval for row in shown}
    over = " or, below three seeds, ".join(of for kind, of in kinds.items() if kind in present)
    text = "; ".join([
        counted(sorted({row.n_seeds for row in shown}), "seed"),
        counted(sorted({row.n for row in shown}), "test image"), *more,
        "circles: main effects, diamonds: interactions, squares: simple effects", "filled: p < 0.05 (Holm)",
        f"lines: 95 % over {over}", "band: the margin",
    ])  # fmt: skip
    return finish(figure, text)
