"""Paths from a start to the target, along which a network moves an image step by step: flows and a Brownian bridge.

Time t is 0 at the start and 1 at the target; images are (N, C, H, W), times (N, 1, 1, 1). ``draw`` gives standard
normal noise of the images' shape, and is called only where a path has noise. The network says a difference, of which
the noise of a point is a part, or the target (``says_target``), from which that difference is computed: it needs no
noise to pass through the network (Li and He 2025, §3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from p2pbench.config.schema import ObjectiveConfig

Draw = Callable[[], Tensor]


@dataclass(frozen=True)
class Flow:
    """Straight lines with a velocity (Lipman et al. 2023, §4.1; rectified flow: Liu et al. 2023, §2.1).

    x_t = (1 - t) z + t y, whose velocity is y - z: from noise z, or from the condition and ``noise`` times noise.
    """

    from_condition: bool
    noise: float
    says_target: bool = False

    def draws(self, _steps: int) -> bool:
        """Whether an image that is made in so many steps has noise."""
        return not self.from_condition or self.noise > 0

    def start(self, condition: Tensor, draw: Draw) -> Tensor:
        if not self.from_condition:
            return draw()
        return condition + self.noise * draw() if self.noise else condition

    def point(self, start: Tensor, target: Tensor, time: Tensor, _draw: Draw) -> Tensor:
        return (1 - time) * start + time * target

    def goal(self, start: Tensor, target: Tensor, _point: Tensor) -> Tensor:
        return target if self.says_target else target - start

    def step(self, point: Tensor, said: Tensor, time: float, then: float, _draw: Draw) -> Tensor:
        """Euler's step from ``time`` to ``then``."""
        velocity = (said - point) / (1 - time) if self.says_target else said
        return point + (then - time) * velocity


@dataclass(frozen=True)
class Bridge:
    """A Brownian bridge from the condition to the target (BBDM: Li et al. 2023, §3.2, where ``noise`` is 1).

    x_t = (1 - t) x + t y + noise √(2 t (1 - t)) ε: both ends are fixed. The network says y - x_t, or y.
    """

    noise: float
    says_target: bool = False

    def draws(self, steps: int) -> bool:
        """Whether an image that is made in so many steps has noise."""
        return self.noise > 0 and steps > 1

    def start(self, condition: Tensor, _draw: Draw) -> Tensor:
        return condition

    def point(self, start: Tensor, target: Tensor, time: Tensor, draw: Draw) -> Tensor:
        middle = (1 - time) * start + time * target
        return middle + self.noise * torch.sqrt(2 * time * (1 - time)) * draw() if self.noise else middle

    def goal(self, _start: Tensor, target: Tensor, point: Tensor) -> Tensor:
        return target if self.says_target else target - point

    def step(self, point: Tensor, said: Tensor, time: float, then: float, draw: Draw) -> Tensor:
        """A point at ``then`` of the bridge from ``point`` to the target that the network says; its last is that."""
        done = (then - time) / (1 - time)
        moved = point + done * (said - point if self.says_target else said)
        spread = self.noise * (2 * done * (1 - then)) ** 0.5
        return moved + spread * draw() if spread else moved


Transport = Flow | Bridge


def transport_of(objective: ObjectiveConfig) -> Transport:
    """The path that ``objective`` names."""
    says_target = objective.prediction == "target"
    if objective.name == "bridge":
        return Bridge(objective.noise, says_target)
    return Flow(objective.name == "condition-flow", objective.noise, says_target)
