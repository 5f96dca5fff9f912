"""Settings that are right by themselves and mean nothing together, and the reason why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from p2pbench.config.metrics import METRICS

if TYPE_CHECKING:
    from p2pbench.config.schema import RunConfig


def contradictions(config: RunConfig) -> Iterator[str]:
    """What ``config`` asks for that cannot be, a sentence each with the ways out."""
    if config.objective.has_discriminator:
        yield from _of_penalties(config)
        if config.discriminator.name == "oasis" and config.training.augment != "none":
            yield (
                f"discriminator.name is 'oasis' and training.augment {config.training.augment!r}: the labels that D is "
                "asked for stay where they are when the image is moved; leave training.augment out"
            )
    if config.objective.perceptual is not None:
        yield from _of_perceptual_loss(config, config.objective.perceptual)


def _of_penalties(config: RunConfig) -> Iterator[str]:
    objective = config.objective
    penalties = {
        "objective.adversarial is 'wgan-gp'": objective.adversarial == "wgan-gp",
        f"objective.r1 is {objective.r1:g}": objective.r1 > 0,
        f"objective.r2 is {objective.r2:g}": objective.r2 > 0,
    }
    asked = [name for name, there in penalties.items() if there]
    if asked and config.discriminator.norm == "batch":
        yield (
            f"{asked[0]} and discriminator.norm 'batch': the penalty is on the gradient for each image, which batch "
            "norm makes depend on the others; use discriminator.norm instance or none"
        )
    if objective.adversarial == "wgan-gp" and len(asked) > 1:
        yield (
            f"{asked[1]} and objective.adversarial 'wgan-gp': that holds the length of D's gradient at 1, which the "
            "other draws to 0; leave one of them out"
        )


def _of_perceptual_loss(config: RunConfig, net: str) -> Iterator[str]:
    asked, score = f"objective.perceptual is {net!r}", f"lpips-{net}"
    if score in (*config.scoring.wanted, config.training.select):
        other = "vgg" if net == "squeeze" else "squeeze"
        yield (
            f"{asked} and the run is scored by {score}, which is the same network: a score that was trained on is no "
            f"evidence; leave {score} out of scoring.metrics and training.select, or use perceptual {other}"
        )
    if config.data.channels[1] != 3 or config.data.colours != "rgb":
        yield (
            f"{asked} and the output is no RGB image (data.channels {list(config.data.channels)}, data.colours "
            f"{config.data.colours}), which the network takes; leave it out"
        )
    if (side := min(config.data.crop_shape)) < (least := METRICS[score].least_side):
        yield f"{asked} and data.crop_size has a side of {side}: the network takes {least} and more"
