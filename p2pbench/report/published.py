"""The paper's rows beside ours: their table, its source, and whether the two orders agree beyond chance."""

import itertools
import math

import numpy as np
import pandas as pd

from p2pbench.config.shipped import PublishedTable, published_name, published_tables
from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import oriented, summarise
from p2pbench.statistics.comparison import ALPHA

MOST_PERMUTED = 8
"""The most variants whose orders are all tried, 40,320 of them; beyond, none is."""


def published_table(study: StudyRecord) -> PublishedTable | None:
    """The published table that the study's grid names, if any."""
    return published_tables().get(published_name(study.about.published or ""))


def published_rows(table: PublishedTable) -> pd.DataFrame:
    """The rows of a published table, a text for each value."""
    rows = []
    for label, values in table.rows.items():
        texts = [f"{value:.{table.digits}f}" for value in values]
        if table.plus_minus:
            spreads = table.plus_minus[label]
            texts = [f"{text} ± {spread:.{table.digits}f}" for text, spread in zip(texts, spreads, strict=True)]
        rows.append([label, *texts])
    return pd.DataFrame(rows, columns=["variant", *table.columns])


def published_note(table: PublishedTable) -> str:
    """Where the published rows come from, and how far they compare with ours."""
    return f"{table.source}. Other scores or other data: read the order of the rows, not their distance to ours."


def order_sentences(study: StudyRecord) -> list[str]:
    """A sentence a score that both tables have: Kendall's tau between our order and the paper's, and its chance.

    Values do not compare; orders may. The p-value is the share of all orders of our variants that agree with the
    paper's at least as well (one-sided, exact).
    """
    table, sentences = published_table(study), []
    for metric in study.metrics if table is not None else ():
        about = study.metric(metric)
        if table is None or about.label not in table.columns:
            continue
        column = table.columns.index(about.label)
        ours = {v: value for v in study.variants if v in table.rows
                and (value := summarise(study, v, metric).value) is not None}  # fmt: skip
        theirs = [oriented(table.rows[variant][column], about.better) for variant in ours]
        if not 3 <= len(ours) <= MOST_PERMUTED:
            continue
        tau, p, least = kendall([oriented(value, about.better) for value in ours.values()], theirs)
        if tau is None:
            continue
        told = "more than chance would" if p < ALPHA else "which chance gives as well"
        told += f"; no order of these {len(ours)} variants can be told from chance" * (least >= ALPHA)
        sentences.append(
            f"{about.label}: the paper's order of {len(ours)} variants and ours agree with Kendall's tau {tau:.2f} "
            f"(p = {p:.2g}, {told})."
        )
    return sentences


def kendall(ours: list[float], theirs: list[float]) -> tuple[float | None, float, float]:
    """Kendall's tau-b of two orders of n <= 8, the share of the n! orders of ``ours`` that agree at least as well, and
    the share of those that agree best.

    None where one of the two ties all (Kendall 1945).
    """
    i, j = np.triu_indices(len(ours), 1)
    one, other = np.asarray(ours, dtype=float), np.sign(np.subtract.outer(theirs, theirs))[i, j]
    own = np.sign(one[i] - one[j])
    ties = math.sqrt((own**2).sum() * (other**2).sum())
    if not ties:
        return None, 1.0, 1.0
    orders = one[np.array(list(itertools.permutations(range(len(ours)))))]
    agreement = np.sign(orders[:, i] - orders[:, j]) @ other
    observed = float(own @ other)
    as_well, best = ((agreement >= least - 1e-9).mean() for least in (observed, agreement.max()))
    return observed / ties, float(as_well), float(best)
