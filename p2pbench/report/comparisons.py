"""One variant with another: what a score says of other trainings of the two, and how many it takes to say more.

The one place where a difference is judged; marks, sentences, bold figures, tables and figures are made of these. Three
seeds that the two have in common are needed to speak of recipes; below, only of the trainings at hand.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from p2pbench.report.records import StudyRecord, TrainingKey
from p2pbench.report.summaries import (
    OTHER_TARGETS,
    how_made,
    measured,
    n_test_images,
    oriented,
    score_matrices,
    summarise,
    unlike,
)
from p2pbench.runs.records import before_jackknives
from p2pbench.statistics.comparison import ALPHA, holm, sign_flip_p
from p2pbench.statistics.intervals import image_interval
from p2pbench.statistics.trainings import OverTrainings, Spread, limited_by_images, over_trainings, seeds_needed

Verdict = Literal[
    "better", "better by more than the margin", "better, by less than the margin",
    "worse", "worse by more than the margin", "worse, by less than the margin",
    "equal within the margin", "cannot tell", "too few trainings", "not compared", "one run",
]  # fmt: skip

Trainings = tuple[frozenset[TrainingKey], frozenset[TrainingKey]]
"""Those of a variant, and of what it is compared with."""


@dataclass(frozen=True)
class Comparison:
    """What one score says of ``variant`` against ``against``, over the seeds and images that both have."""

    variant: str
    against: str
    verdict: Verdict
    found: OverTrainings | None = None
    """Variant minus against, in the score's unit; of a score that is better closer to 1, of the distances to 1."""
    better: bool = False
    """Whether the mean difference, whatever it is worth, is in favour of the variant."""
    margin: float = 0.0
    """The smallest difference of the score that matters."""
    p: float | None = None
    """That recipes do not differ, after Holm's correction over the score's contrasts; None below three seeds."""
    p_raw: float | None = None
    p_images: float | None = None
    """That these trainings do not differ, over test images alone (sign flips, Holm); None from three seeds on."""
    family: int = 1
    """The tests of which it is one (Holm): the contrasts of the study, whether they could all be compared or not."""
    reason: str | None = None
    """Why it was not compared."""
    n_images: int = 0
    """The test images, of which ``found`` may have groups."""
    differences: np.ndarray | None = field(default=None, compare=False, repr=False)
    """(seeds, images or groups of them), what ``found`` is made of; None where there is none."""

    @property
    def of_seeds(self) -> list[float]:
        """The difference of each training of the variant from the other's of the same seed."""
        return [] if self.differences is None else self.differences.mean(axis=1).tolist()

    @property
    def over_trainings(self) -> bool:
        """Whether the interval speaks of other trainings; below three seeds it is over test images alone."""
        return self.found is not None and self.found.squares is not None

    @cached_property
    def interval(self) -> tuple[float | None, float | None]:
        """Ends of the 95 % interval: over trainings and images, below three seeds over images; none of one image."""
        if self.found is None or self.differences is None:
            return None, None
        if self.over_trainings:
            return self.found.low, self.found.high
        return image_interval(self.differences.mean(axis=0))[0][1:3]

    @cached_property
    def needed(self) -> int | None:
        """Where it cannot be told: about so many seeds would show a difference of the margin; None if above 100."""
        spread = self.spread if self.verdict == "cannot tell" else None
        if spread is None or self.found is None:
            return None
        return seeds_needed(self.margin, spread, self.found.n_images, self.level)

    @property
    def limited_by_images(self) -> bool:
        """Whether no number of seeds would show a difference of the margin on so many test images."""
        spread = self.spread if self.needed is None else None
        if spread is None or self.found is None:
            return False
        return limited_by_images(self.margin, spread, self.found.n_images, self.level)

    @property
    def level(self) -> float:
        """The level of the strictest of Holm's tests."""
        return ALPHA / self.family

    @property
    def spread(self) -> Spread | None:
        """The spread of the difference over seeds and images, or groups of images, as ``found`` has them."""
        return None if self.found is None else self.found.spread()

    @property
    def differs(self) -> bool:
        """Whether recipes differ: the tables' ``*``."""
        return self.p is not None and self.p < ALPHA

    @property
    def differs_here(self) -> bool:
        """Whether these trainings differ, where there are too few to speak of recipes: the tables' ``†``."""
        return self.p_images is not None and self.p_images < ALPHA

    @property
    def mark(self) -> str:
        return "*" if self.differs else "†" if self.differs_here else ""


def comparisons(study: StudyRecord, metric: str) -> list[Comparison]:
    """The study's contrasts by one score, in their order, each with its verdict."""
    if metric not in study.comparisons:
        study.comparisons[metric] = _judged(study, metric, study.contrasts)
    found: list[Comparison] = study.comparisons[metric]
    return found


def with_baseline(study: StudyRecord, variant: str, metric: str) -> Comparison | None:
    """The first declared contrast of ``variant``, which is the one with the baseline unless the grid says otherwise."""
    return next((c for c in comparisons(study, metric) if c.variant == variant), None)


def best(study: StudyRecord, metric: str) -> str | None:
    """The variant that is ahead of each other one that has a result: bold in the tables; None where there is none.

    Each pair has three common seeds or more and an interval that excludes zero at 0.05 (all of them have to: no
    correction is needed). Its contrasts among those of the study are marked, too, or a report would say of one pair
    that one is ahead and that they cannot be told apart. A variant some of whose trainings failed is never it: its
    survivors are not its recipe.
    """
    if metric not in study.best:
        study.best[metric] = _best(study, metric)
    return study.best[metric]


def _best(study: StudyRecord, metric: str) -> str | None:
    having = [variant for variant in study.variants if measured(study, variant, metric)]
    if len(having) < 2 or not study.metric(metric).marked:
        return None
    top = max(having, key=lambda v: standing(study, v, metric))
    others = [v for v in having if not one_run(study, top, v)]
    if any(cell.state == "failed" for cell in study.cells if cell.variant == top) or len(others) < 1:
        return None
    for other in others:
        compared = _compared(study, metric, top, other)
        if not compared.better or compared.p_raw is None or compared.p_raw >= ALPHA:
            return None
    of_study = [c for c in comparisons(study, metric) if top in (c.variant, c.against) and c.p is not None]
    return top if all(c.differs for c in of_study) else None


def one_run(study: StudyRecord, one: str, other: str) -> bool:
    """Whether two variants are the same trainings under two names, as two discriminators are without a GAN term."""
    return bool(study.runs[one] & study.runs[other])


def paired(study: StudyRecord, metric: str, variants: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The score of ``variants`` over the seeds that all have, and the images on which all are finite.

    Returns:
        By variant a row a seed and a column an image; empty where they cannot be compared, or have no seed in common.
    """
    found = score_matrices(study, metric, variants)
    if len(found) < len(set(variants)):
        return {}
    seeds = [seed for seed in found[variants[0]].index if all(seed in matrix.index for matrix in found.values())]
    if not seeds:
        return {}
    common = {v: m if list(m.index) == seeds else m.loc[seeds] for v, m in found.items()}
    finite = np.all([np.isfinite(matrix.to_numpy()).all(axis=0) for matrix in common.values()], axis=0)
    if not finite.any():
        return {}
    return common if finite.all() else {variant: matrix[matrix.columns[finite]] for variant, matrix in common.items()}


def _compared(study: StudyRecord, metric: str, variant: str, against: str) -> Comparison:
    """Two variants by themselves: estimate and uncorrected p-values, no verdict yet."""
    margin = study.margin(metric)
    if one_run(study, variant, against):
        return Comparison(variant, against, "one run", margin=margin, reason="one run under two names")
    matrices = paired(study, metric, [variant, against])
    if not matrices or not study.metric(metric).marked:
        return Comparison(
            variant, against, "not compared", margin=margin, reason=_why_not(study, metric, variant, against)
        )
    kind = study.metric(metric).better
    differences = distances(matrices[variant], kind) - distances(matrices[against], kind)
    found = over_trainings(differences)
    images = n_test_images(study, metric, (variant, against), found.n_images)
    compared = Comparison(
        variant, against, "cannot tell", found, margin=margin, n_images=images, differences=differences
    )
    if differences.shape[1] == 1:
        return replace(compared, verdict="not compared", reason="one image has no interval")
    better = found.value > 0 if kind == "higher" else found.value < 0
    if found.squares is None:
        p_images = float(sign_flip_p(differences.mean(axis=0)))
        return replace(compared, verdict="too few trainings", better=better, p_images=p_images, reason=found.reason)
    return replace(compared, better=better, p_raw=found.p())


def distances(matrix: pd.DataFrame, better: str) -> np.ndarray:
    """What is compared, (seeds, images): the score, or its distance to 1 where closer to 1 is better."""
    values = matrix.to_numpy(dtype=np.float64)
    return abs(values - 1) if better == "closer to 1" else values


def standing(study: StudyRecord, variant: str, metric: str) -> float:
    """How good a variant is by a score, more being better, as it is compared; -inf where it has no value.

    What is better closer to 1 goes by each image's distance: blurred and overdone images do not make a sharp mean.
    """
    better, value = study.metric(metric).better, summarise(study, variant, metric).value
    if value is None:
        return -math.inf
    if better == "closer to 1" and variant in (found := score_matrices(study, metric, [variant])):
        return -float(np.nanmean(distances(found[variant], better)))
    return oriented(value, better)


def _judged(study: StudyRecord, metric: str, contrasts: Iterable[tuple[str, str]]) -> list[Comparison]:
    """Each contrast with its verdict: the tests of one kind are a family of their own (Holm).

    A contrast without a value counts in the family, too: what is told of two variants stands whatever became of a
    third. Contrasts of the same trainings, as where two variants are one run, are one test.
    """
    trainings = {pair: (frozenset(study.runs[pair[0]]), frozenset(study.runs[pair[1]])) for pair in contrasts}
    once = {key: _compared(study, metric, *pair) for pair, key in reversed(trainings.items())}  # under its first names
    family = sum(c.verdict != "one run" for c in once.values())

    def adjusted(p_values: Mapping[Trainings, float | None]) -> dict[Trainings, float]:
        known = {key: p for key, p in p_values.items() if p is not None}
        return dict(zip(known, holm(known.values(), family).tolist(), strict=True))

    over = {key: c.found for key, c in once.items() if c.p_raw is not None and c.found is not None}
    margin = study.margin(metric)
    p = adjusted({key: once[key].p_raw for key in over})
    beyond = adjusted({key: found.p_beyond(margin) for key, found in over.items()})
    within = adjusted({key: found.p_within(margin) for key, found in over.items()})
    p_images = adjusted({key: c.p_images for key, c in once.items()})
    judged = {key: replace(c, family=family, p_images=p_images.get(key)) for key, c in once.items()}
    judged |= {key: _verdict(judged[key], p[key], beyond[key], within[key]) for key in over}
    return [replace(judged[key], variant=variant, against=against) for (variant, against), key in trainings.items()]


def _verdict(compared: Comparison, p: float, beyond: float, within: float) -> Comparison:
    """``compared`` with its verdict, by the adjusted p-values: of no difference, of none beyond the margin, of one."""
    direction = "better" if compared.better else "worse"
    verdict: str = "cannot tell"
    if p < ALPHA:
        verdict = direction
        if beyond < ALPHA and compared.margin > 0:
            verdict = f"{direction} by more than the margin"
        elif within < ALPHA:
            verdict = f"{direction}, by less than the margin"
    elif within < ALPHA:
        verdict = "equal within the margin"
    return replace(compared, verdict=verdict, p=p)  # type: ignore[arg-type]


def _why_not(study: StudyRecord, metric: str, variant: str, against: str) -> str:
    """Why two variants have no comparison."""
    about = study.metric(metric)
    lacking = [v for v in (variant, against) if not measured(study, v, metric)]
    if lacking:
        return f"{' and '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no value"
    if not about.marked:
        return f"{about.label} is shown without a verdict: its intervals were not found to hold"
    cells = [cell for v in (variant, against) for cell in measured(study, v, metric)]
    if any(metric in before_jackknives(cell.scores) for cell in cells):
        return "an older record, without pseudo-values: ablate scores it again without training"
    without = [cell for cell in cells if not about.per_image and metric not in cell.jackknife]
    if without:
        return str(without[0].scores[metric].settings["jackknife"]).removeprefix("none: ")
    unread = [cell for cell in cells if about.per_image and metric not in cell.per_image]
    if unread:
        again = "study add" if unread[0].run.images_file.exists() else "ablate"
        return f"{unread[0].run.per_image_file} is missing or damaged; run {again} again to score it"
    if not {c.seed for c in cells if c.variant == variant} & {c.seed for c in cells if c.variant == against}:
        return "no seed in common"
    differs = unlike([how_made(cell, metric) for cell in cells])
    if differs in (None, OTHER_TARGETS):
        return differs or "of other images"
    return f"made in another way ({differs})"
