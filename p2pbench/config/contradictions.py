"""Settings that are right by themselves and mean nothing together, and the reason why."""

from collections.abc import Iterator

from p2pbench.config.data_section import DataConfig
from p2pbench.config.metrics import METRICS, caution_of
from p2pbench.config.plugins import is_reference
from p2pbench.config.sections import (
    LAYER_NORMED,
    PROJECTED,
    DiscriminatorConfig,
    GeneratorConfig,
    ObjectiveConfig,
    ScoringConfig,
    TrainingConfig,
)

ABSOLUTE = (("absolute", "bce"), ("absolute", "hinge"))
"""The pairing and the adversarial loss with which D's logit is above 0 where it takes an image for real."""


def cautions(generator: GeneratorConfig, training: TrainingConfig, scoring: ScoringConfig) -> Iterator[str]:
    """What may be asked for, and has to be known before its variants are compared, a sentence each."""
    if caution := caution_of(training.select):
        yield caution
    normed = generator.norm == "batch" and not is_reference(generator.name) and generator.name not in LAYER_NORMED
    if training.ema and scoring.inference == "eval" and normed:
        yield (
            "training.ema and scoring.inference eval: the running statistics are those of the weights as they were "
            "trained, not of their average; paper and instance-stats read none"
        )


def contradictions(
    data: DataConfig,
    generator: GeneratorConfig,
    discriminator: DiscriminatorConfig,
    objective: ObjectiveConfig,
    training: TrainingConfig,
    scoring: ScoringConfig,
) -> Iterator[str]:
    """What the sections of a run ask for together that cannot be, a sentence each with the ways out."""
    if objective.has_discriminator:
        yield from _of_penalties(discriminator, objective)
        if discriminator.name == "oasis" and training.augment != "none":
            yield (
                f"discriminator.name is 'oasis' and training.augment {training.augment!r}: the labels that D is "
                "asked for stay where they are when the image is moved; leave training.augment out"
            )
        if objective.cutmix is not None and training.augment != "none":
            yield (
                f"objective.cutmix is {objective.cutmix:g} and training.augment {training.augment!r}: the map of what "
                "is real stays where it is when the image is moved; leave one of them out"
            )
        if discriminator.name == "projected" and (score := f"lpips-{PROJECTED}") in (*scoring.wanted, training.select):
            yield (
                f"discriminator.name is 'projected' and the run is scored by {score}, whose network it is trained "
                f"through: such a score is no evidence; leave {score} out of scoring.metrics and training.select, or "
                "use another discriminator"
            )
        if training.augment == "ada" and (objective.pairing, objective.adversarial) not in ABSOLUTE:
            yield (
                f"training.augment is 'ada', objective.adversarial {objective.adversarial!r} and pairing "
                f"{objective.pairing!r}: it goes by how often D's logit of a real image is above 0, which means "
                "nothing there; use adversarial bce or hinge with pairing absolute, or augment diffaugment"
            )
    yield from _of_transports(data, generator, objective, scoring)
    if objective.perceptual is not None:
        yield from _of_perceptual_loss(objective.perceptual, data, training, scoring)


def _of_transports(
    data: DataConfig, generator: GeneratorConfig, objective: ObjectiveConfig, scoring: ScoringConfig
) -> Iterator[str]:
    """A flow or a bridge has a network that is told the time, no single output, and inference modes of its own."""
    name, mode = objective.name, scoring.inference
    if mode not in objective.inference_modes:
        modes = " or ".join(objective.inference_modes)
        yield f"scoring.inference is {mode!r} and objective {name!r}, which is run in {modes}"
    if not objective.is_transport:
        return
    if is_reference(generator.name):
        yield f"objective is {name!r} and generator.name {generator.name!r}: a network of your own is not told the time"
    elif generator.norm != "group" and generator.name not in LAYER_NORMED:
        yield (
            f"objective is {name!r} and generator.norm {generator.norm!r}: the time reaches the generator by its "
            "norms, and those of a batch or of an image alone wipe out noise and colour; use generator.norm group"
        )
    if generator.spade != "none":
        yield f"objective is {name!r} and generator.spade {generator.spade!r}: the time takes its place; leave it out"
    if generator.noise:
        yield f"objective is {name!r} and generator.noise {generator.noise}: a flow has noise of its own; leave it out"
    if objective.perceptual is not None:
        yield f"objective is {name!r} and objective.perceptual: what the network says is no image; leave it out"
    condition, image = data.channels
    if name != "flow" and condition != image:
        yield (
            f"objective is {name!r} and data.channels [{condition}, {image}]: it moves the condition itself to the "
            "target, and so both have the same channels; use objective flow"
        )


def _of_penalties(discriminator: DiscriminatorConfig, objective: ObjectiveConfig) -> Iterator[str]:
    penalties = {
        "objective.adversarial is 'wgan-gp'": objective.adversarial == "wgan-gp",
        f"objective.r1 is {objective.r1:g}": objective.r1 > 0,
        f"objective.r2 is {objective.r2:g}": objective.r2 > 0,
    }
    asked = [name for name, there in penalties.items() if there]
    if asked and discriminator.norm == "batch":
        yield (
            f"{asked[0]} and discriminator.norm 'batch': the penalty is on the gradient for each image, which batch "
            "norm makes depend on the others; use discriminator.norm instance or none"
        )
    if objective.adversarial == "wgan-gp" and len(asked) > 1:
        yield (
            f"{asked[1]} and objective.adversarial 'wgan-gp': that holds the length of D's gradient at 1, which the "
            "other draws to 0; leave one of them out"
        )


def _of_perceptual_loss(net: str, data: DataConfig, training: TrainingConfig, scoring: ScoringConfig) -> Iterator[str]:
    asked, score = f"objective.perceptual is {net!r}", f"lpips-{net}"
    if score in (*scoring.wanted, training.select):
        other = "vgg" if net == "squeeze" else "squeeze"
        yield (
            f"{asked} and the run is scored by {score}, which is the same network: a score that was trained on is no "
            f"evidence; leave {score} out of scoring.metrics and training.select, or use perceptual {other}"
        )
    if data.channels[1] != 3 or data.colours != "rgb":
        yield (
            f"{asked} and the output is no RGB image (data.channels {list(data.channels)}, data.colours "
            f"{data.colours}), which the network takes; leave it out"
        )
    if (side := min(data.crop_shape)) < (least := METRICS[score].least_side):
        yield f"{asked} and data.crop_size has a side of {side}: the network takes {least} and more"
