"""A mean over trainings and test images: its interval, its tests, and what so many trainings can show.

Every training is scored on the same images, so seeds and images are crossed random effects. A difference of two recipes
is the mean of one matrix of differences, seed by seed and image by image; the questions asked of it are about other
trainings of these recipes on other images of this kind. How often the intervals cover, and how often what is predicted
comes true, is simulated in tests/calibration.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from p2pbench.statistics.intervals import finite

LEAST_SEEDS = 3
"""The fewest seeds that say anything of other trainings; with two, an interval would reach 12.7 standard errors."""
FEW_SEEDS = 5
"""Below so many seeds the spread between them is hardly known, and the wider of two intervals is taken."""
MOST_SEEDS = 100
"""Of more seeds than these nobody is told that they would do."""
POWER = 0.8
"""The chance with which a difference has to be shown that a plan promises to show."""
_DRAWS, _FEW_DRAWS = 4000, 1000
"""Of mean squares, for a chance to within half a per cent or one."""


class Spread(NamedTuple):
    """Variances of what the score of a training on an image is made of: of seeds, of images, and of what is left."""

    seeds: float
    images: float
    rest: float


class OverTrainings(NamedTuple):
    """A mean over seeds and images, as an estimate of the mean over all trainings and images of their kind."""

    value: float
    n_seeds: int
    n_images: int
    squares: np.ndarray | None
    """Mean squares of seeds, images and rest, (3,), float64; None where there is no interval."""
    reason: str | None
    """Why there is no interval."""

    def half_width(self, level: float = 0.95) -> float | None:
        """Half the width of the two-sided interval, in the score's unit; None where there is none."""
        if self.squares is None:
            return None
        return float(_half_widths(self.squares[None], self.n_seeds, self.n_images, level)[0])

    @property
    def low(self) -> float | None:
        """The lower end of the 95 % interval."""
        return None if (half := self.half_width()) is None else self.value - half

    @property
    def high(self) -> float | None:
        """The upper end of the 95 % interval."""
        return None if (half := self.half_width()) is None else self.value + half

    def p(self) -> float | None:
        """Two-sided, that the mean is zero: below 0.05 where the 95 % interval excludes zero."""
        return self.p_beyond(0)

    def p_beyond(self, margin: float) -> float | None:
        """That the mean is no further from zero than ``margin``: below 0.05 where the 95 % interval lies beyond it."""
        tail = self._tail(abs(self.value) - margin)
        return None if tail is None else min(1.0, 2 * tail)

    def p_within(self, margin: float) -> float | None:
        """That the mean is ``margin`` or further from zero: below 0.05 where the 90 % interval lies within it.

        The two one-sided tests of equivalence (Schuirmann 1987).
        """
        return self._tail(margin - abs(self.value))

    def _tail(self, distance: float) -> float | None:
        """The one-sided chance of an estimate so far, (-inf, inf), from the truth."""
        from scipy.special import stdtr

        if self.squares is None:
            return None
        errors, dof = _standard_errors(self.squares[None], self.n_seeds, self.n_images)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(errors > 0, distance / errors, np.sign(distance) * np.inf)
        return float(np.where(np.isnan(t), 0.5, stdtr(dof, -t)).max())

    def spread(self) -> Spread | None:
        """The components of variance, each at least zero (Searle, Casella and McCulloch 1992, ch. 4)."""
        if self.squares is None:
            return None
        seeds, images, rest = self.squares
        return Spread(max(0.0, (seeds - rest) / self.n_images), max(0.0, (images - rest) / self.n_seeds), float(rest))


def over_trainings(scores: np.ndarray) -> OverTrainings:
    """The mean of ``scores``, and what it says of other trainings and other test images of the same kind.

    The variance of the mean is (MS_seeds + MS_images - MS_rest) / (seeds images), each component of variance at least
    zero, with Satterthwaite's degrees of freedom. Below five seeds the interval is the wider of that one and Student's
    t over the seeds' means: by three seeds a spread between seeds is easily missed.

    Args:
        scores: (seeds, images), finite, at least one of each; of a comparison, the differences.
    Returns:
        The mean; with its interval from 3 seeds and 2 images on, else with the reason why there is none.
    Raises:
        ValueError: an empty matrix, or a value that is not finite.
    """
    scores = finite(scores, 2)
    seeds, images = scores.shape
    mean = float(scores.mean())
    if seeds < LEAST_SEEDS:
        counted = "1 seed" if seeds == 1 else f"{seeds} seeds"
        return OverTrainings(mean, seeds, images, None, f"{counted}: other trainings need {LEAST_SEEDS} or more")
    if images == 1:
        return OverTrainings(mean, seeds, images, None, "one image has no interval")
    of_seeds = scores.mean(axis=1) - mean
    of_images = scores.mean(axis=0) - mean
    rest = scores - mean - of_seeds[:, None] - of_images
    sums = np.array([images * (of_seeds**2).sum(), seeds * (of_images**2).sum(), (rest**2).sum()])
    sums[sums < 1e-24 * (scores**2).sum()] = 0  # what only rounding makes
    return OverTrainings(mean, seeds, images, sums / _dof(seeds, images), None)


def _dof(seeds: int, images: int) -> np.ndarray:
    return np.array([seeds - 1, images - 1, (seeds - 1) * (images - 1)], dtype=np.float64)


def _standard_errors(squares: np.ndarray, seeds: int, images: int) -> tuple[np.ndarray, np.ndarray]:
    """The standard errors of the mean that count, and their degrees of freedom: (k, 3) to (k, 1 or 2) each."""
    # A component below zero is zero: its mean square estimates what the rest does.
    weights = np.empty_like(squares)
    weights[:, :2] = squares[:, :2] > squares[:, 2:] * (1 + 1e-9)
    weights[:, 2] = 1 - weights[:, :2].sum(axis=1)
    variance = (weights * squares).sum(axis=1)
    uncertainty = (weights**2 * squares**2 / _dof(seeds, images)).sum(axis=1)
    with np.errstate(invalid="ignore"):
        dof = np.where(uncertainty > 0, variance**2 / uncertainty, seeds - 1.0)
    variances, freedoms = [variance], [dof]
    if seeds < FEW_SEEDS:
        variances.append(squares[:, 0])
        freedoms.append(np.full(len(squares), seeds - 1.0))
    return np.sqrt(np.stack(variances, axis=1) / (seeds * images)), np.stack(freedoms, axis=1)


def _half_widths(squares: np.ndarray, seeds: int, images: int, level: float) -> np.ndarray:
    """Half the width of the interval for each row of mean squares, (k, 3) to (k,)."""
    from scipy.special import stdtrit  # scipy.stats would take a second to import

    errors, dof = _standard_errors(squares, seeds, images)
    widths: np.ndarray = (stdtrit(dof, 0.5 + level / 2) * errors).max(axis=1)
    return widths


def power(
    difference: float | np.ndarray, spread: Spread, seeds: int, images: int, alpha: float = 0.05, draws: int = _DRAWS
) -> np.ndarray:
    """The chance that a true difference is shown: that the interval of level 1 - alpha excludes zero.

    The mean is independent of the mean squares, which are chi-squared: so it is the mean, over draws of the mean
    squares, of the chance that a normal mean lies further from zero than half that interval.

    Args:
        difference: in the score's unit, of any shape.
        spread: of the differences.
        seeds: 3 or more. images: 2 or more.
    Returns:
        Of the shape of ``difference``, in [0, 1].
    """
    half, error = _drawn(spread, seeds, images, alpha, draws)
    return _shown(np.asarray(difference, dtype=np.float64), half, error)


def _drawn(spread: Spread, seeds: int, images: int, alpha: float, draws: int = _DRAWS) -> tuple[np.ndarray, float]:
    """Half widths of the intervals of so many studies, (draws,), and the true standard error of their means."""
    expected = spread.rest + np.array([images * spread.seeds, seeds * spread.images, 0])
    squares = expected * _chi_squares(seeds, images, draws) / _dof(seeds, images)
    error = float(np.sqrt((expected[0] + expected[1] - expected[2]) / (seeds * images)))
    return _half_widths(squares, seeds, images, 1 - alpha), error


@lru_cache(maxsize=MOST_SEEDS)
def _chi_squares(seeds: int, images: int, draws: int) -> np.ndarray:
    """Chi-squared draws for the three mean squares, (draws, 3); the same ones for every study of this size."""
    return np.random.default_rng(0).chisquare(_dof(seeds, images), (draws, 3))


def _shown(difference: np.ndarray, half: np.ndarray, error: float) -> np.ndarray:
    from scipy.special import ndtr

    if error == 0:
        return np.asarray(difference != 0, dtype=np.float64)
    far = np.abs(difference)[..., None]
    chances: np.ndarray = (ndtr((far - half) / error) + ndtr((-far - half) / error)).mean(axis=-1)
    return chances


def smallest_difference(spread: Spread, seeds: int, images: int, alpha: float = 0.05) -> float:
    """The smallest true difference, in the score's unit, that is shown with a chance of 80 %."""
    half, error = _drawn(spread, seeds, images, alpha)
    low, high = 0.0, float(half.max() + 4 * error)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if _shown(np.asarray(middle), half, error) >= POWER else (middle, high)
    return high


def seeds_needed(difference: float, spread: Spread, images: int, alpha: float = 0.05) -> int | None:
    """The fewest seeds with which a true difference is shown with a chance of 80 %; None beyond 100, or if it is 0."""
    low, high, step = LEAST_SEEDS, MOST_SEEDS + 1, 1
    middle = _seeds_by_one_t(difference, spread, images, alpha)
    while low < high:
        shown = power(difference, spread, middle, images, alpha, _FEW_DRAWS) >= POWER
        low, high = (low, middle) if shown else (middle + 1, high)
        middle, step = min(low + step, (low + high) // 2), 2 * step
    return low if low <= MOST_SEEDS else None


def limited_by_images(difference: float, spread: Spread, images: int, alpha: float = 0.05) -> bool:
    """Whether no number of seeds shows a true difference with a chance of 80 %: so few test images do not allow it."""
    from scipy.special import ndtri, stdtrit

    error = np.sqrt(spread.images / images)  # what is left of the mean's with ever more seeds
    return bool(difference < (stdtrit(images - 1, 1 - alpha / 2) + ndtri(POWER)) * error)


def _seeds_by_one_t(difference: float, spread: Spread, images: int, alpha: float) -> int:
    """Seeds by a t test of the seeds' means whose spread is known: near the answer, where the search begins."""
    from scipy.special import ndtri, stdtrit

    seeds, of_one = MOST_SEEDS, spread.seeds + spread.rest / images
    for _ in range(5):
        allowed = (difference / (stdtrit(seeds - 1, 1 - alpha / 2) + ndtri(POWER))) ** 2 - spread.images / images
        if of_one >= allowed * MOST_SEEDS:
            return MOST_SEEDS
        seeds = max(LEAST_SEEDS, round(of_one / allowed))
    return seeds
