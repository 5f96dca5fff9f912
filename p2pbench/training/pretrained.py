"""The frozen networks that a training looks through, which its configuration names in ``RunConfig.pretrained``."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn


class Pretrained(NamedTuple):
    """What is loaded of them before a training begins; nothing in it changes."""

    perceptual: nn.Module | None = None
    """The distance of two batches of images, where ``objective.perceptual`` asks for it."""
    features: Mapping[str, Tensor] | None = None
    """The weights through which a projected discriminator sees."""
    record: Mapping[str, Any] = {}
    """The network and the weights of each, for the record of the training, by the names above."""


NOTHING = Pretrained()
