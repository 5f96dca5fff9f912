"""How often intervals over trainings cover, predicted power comes true, and equivalence is claimed wrongly.

Studies of normal scores whose variance is made of seeds, images and rest; the truth is known.
"""

import itertools

import numpy as np
import pandas as pd

from p2pbench.statistics.trainings import Spread, over_trainings, power, smallest_difference

SHARES = (0.0, 0.05, 0.1, 0.3, 0.5, 0.9)
"""Of seeds in the variance; the rest is half of images, half of what is left."""


def studies(seeds: int, images: int, share: float, n: int) -> dict[str, float]:
    """Of ``n`` studies, in shares: coverage of the interval, power as predicted and achieved, wrong equivalence."""
    spread = Spread(share, (1 - share) / 2, (1 - share) / 2)
    shown = smallest_difference(spread, seeds, images)
    margin = 1.2 * shown
    random = np.random.default_rng([seeds, images, round(100 * share)])
    covered = achieved = wrong = 0
    for _ in range(n):
        scores = random.normal(0, spread.seeds**0.5, (seeds, 1)) + random.normal(0, spread.images**0.5, images)
        found = over_trainings(scores + random.normal(0, spread.rest**0.5, (seeds, images)))
        half = found.half_width() or 0.0
        covered += abs(found.value) <= half
        achieved += abs(found.value + shown) > half
        wrong += (found._replace(value=found.value + margin).p_within(margin) or 0.0) < 0.05
    predicted = float(power(shown, spread, seeds, images))
    return {"coverage": covered / n, "predicted": predicted, "achieved": achieved / n, "wrong equivalence": wrong / n}


def table(n: int) -> pd.DataFrame:
    """A row a number of seeds and images and a share of seeds."""
    rows = [
        {"seeds": seeds, "images": images, "share of seeds": share, **studies(seeds, images, share, n)}
        for seeds, images, share in itertools.product((3, 5, 10), (30, 106), SHARES)
    ]
    return pd.DataFrame(rows)
