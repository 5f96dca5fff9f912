"""What a training minimises, one family a file; :mod:`contract` says what each of them has.

To add one, write it in a file beside these, add it to :func:`objective_of`, and add its name to ``OBJECTIVE_NAMES`` in
``config/sections.py``. The update that uses it is ``training/step.py``.
"""

from torch import nn

from p2pbench.config.schema import RunConfig
from p2pbench.data.label_classes import classes_of_condition
from p2pbench.models.transport import transport_of
from p2pbench.training.objectives.contract import Objective
from p2pbench.training.objectives.cutmix import CutMix
from p2pbench.training.objectives.oasis import Oasis
from p2pbench.training.objectives.translation import Translation
from p2pbench.training.objectives.transported import Transported


def objective_of(config: RunConfig, perceptual: nn.Module | None = None, mixture: CutMix | None = None) -> Objective:
    """The objective that ``config`` names.

    Args:
        perceptual: the network of its perceptual loss, if it has one.
        mixture: the state of ``objective.cutmix``, if it has that.
    """
    if config.objective.has_discriminator and config.discriminator.name == "oasis":
        return Oasis(config.objective, perceptual, classes_of_condition(config))
    if config.objective.is_transport:
        return Transported(transport_of(config.objective))
    return Translation(config.objective, perceptual, mixture)
