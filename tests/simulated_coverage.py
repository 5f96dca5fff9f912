"""How often intervals cover and tests err, by simulation. As a program it prints these tables, and more.

How often 95 % intervals of a mean cover it, in %, by 10,000 simulations each. Over n images:

                         n = 3       8      30     100     106
    normal      t         95.1    94.8    94.8    94.7    94.9
                BCa       72.8    88.2    93.3    94.2    94.3
    skewness 1  t         93.5    93.9    94.0    95.0    94.9
                BCa       71.9    88.0    92.7    94.5    94.7
    skewness 2  t         88.0    89.2    92.7    94.0    94.0
                BCa       68.4    85.7    92.4    94.1    94.2
    skewness 6  t         83.6    82.5    88.4    91.5    91.9
                BCa       62.1    80.2    89.2    92.0    92.1

With skewness 2 and 100 images, the mean is below 1.2 % of the t intervals and above 4.8 %, of BCa's 2.7 and 3.2. So
``interval_method`` takes t, and BCa for many images with a long tail.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from p2pbench.statistics.comparison import sign_flip_p
from p2pbench.statistics.intervals import bca_limits, interval_method, mean_interval

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
POPULATIONS: dict[str, Draw] = {
    "normal": lambda random, shape: random.standard_normal(shape),
    "skewness 1": lambda random, shape: random.gamma(4, size=shape) - 4,
    "skewness 2": lambda random, shape: random.exponential(size=shape) - 1,
    "skewness 6": lambda random, shape: random.lognormal(0, 1, shape) - np.exp(0.5),
    "heavy tails": lambda random, shape: random.standard_t(4, shape),
}
"""Values of images, with a mean of zero."""


def image_coverage(population: str, n: int, simulations: int) -> dict[str, tuple[float, float]]:
    """By interval, the shares of simulations in which the true mean lies below it and above it."""
    samples = POPULATIONS[population](np.random.default_rng([n, simulations]), (simulations, n))
    t = np.array([mean_interval(sample)[1:3] for sample in samples], dtype=float)
    bca = np.concatenate([np.stack(bca_limits(part), axis=1) for part in _parts(samples)])
    by_rule = np.array([interval_method(sample) == "BCa" for sample in samples])
    limits = {"t": t, "BCa": bca, "rule": np.where(by_rule[:, None], bca, t)}
    return {name: (float((found[:, 0] > 0).mean()), float((found[:, 1] < 0).mean())) for name, found in limits.items()}


def false_positives(population: str, n: int, simulations: int) -> float:
    """The share of simulations without an effect in which the sign-flip test finds one at 5 %."""
    samples = POPULATIONS[population](np.random.default_rng([n, simulations]), (simulations, n))
    p = np.concatenate([sign_flip_p(part) for part in _parts(samples)])
    return float((p <= 0.05).mean())


def _parts(samples: np.ndarray) -> list[np.ndarray]:
    """Samples by the 250: each part holds 10,000 draws of each in memory."""
    return np.array_split(samples, -(-len(samples) // 250))


def main(simulations: int = 10_000) -> None:
    print(f"{simulations} simulations each. Intervals: coverage in % (misses: true mean below / above)")
    for population in POPULATIONS:
        for n in (3, 8, 30, 100, 106, 300):
            found = image_coverage(population, n, simulations)
            cells = [f"{k} {100 * (1 - a - b):.1f} ({100 * a:.1f}/{100 * b:.1f})" for k, (a, b) in found.items()]
            print(f"{population:12} {n:4}  {'  '.join(cells)}", flush=True)
    print("Sign flips: false positives in % at 5 %")
    for population in POPULATIONS:
        cells = [f"{n}: {100 * false_positives(population, n, simulations):.1f}" for n in (3, 6, 8, 13, 14, 30, 106)]
        print(f"{population:12} {'  '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
