"""A score of the user's own: ``module:function``."""

from __future__ import annotations

import numpy as np

from p2pbench.config.metrics import ARROWS, Metric
from p2pbench.config.plugins import running


def measure(reference: str, fakes: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, Metric]:
    """What the function gives for each image, and what it says of itself.

    It is called once, with all images: ``fakes`` and ``targets``, each (N, H, W, 3), uint8, and gives N numbers. Its
    attribute ``better`` is ``"higher"``, ``"lower"`` or ``"closer to 1"``; ``unit``, if it has one, a word or two.

    Raises:
        ConfigError: it cannot be imported, fails, gives something else, or does not say which way is better.
    """
    with running(reference) as function:
        better = getattr(function, "better", None)
        if better not in ARROWS:
            name = reference.partition(":")[2]
            raise ValueError(f"it does not say which way is better: write {name}.better = 'higher' or 'lower' after it")
        values = np.asarray(function(fakes.copy(), targets.copy()), dtype=np.float64)
        if values.shape != (len(fakes),):
            raise ValueError(f"it gave an array of shape {values.shape} for {len(fakes)} images, not one number each")
        return values, Metric(reference.partition(":")[2], str(getattr(function, "unit", "")), better)


def unmeasured(reference: str) -> Metric:
    """What is known of a function that could not be measured with."""
    return Metric(reference.partition(":")[2], "", "higher")
