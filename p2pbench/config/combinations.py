"""Which settings of the networks go together: what means nothing is refused with its reason. Imports no torch."""

from collections.abc import Mapping

from p2pbench.config.data_section import DataConfig, size_text
from p2pbench.config.plugins import is_reference
from p2pbench.config.sections import (
    DISCRIMINATOR_STRIDES,
    LAYER_NORMED,
    DiscriminatorConfig,
    GeneratorConfig,
    ObjectiveConfig,
)

ATTENTION_SIDE = 16
"""The longest shorter side of a map that has attention, in the generator; its matrix grows with the square of it."""
ATTENTION_SIDE_OF_D = 32
"""The same in the discriminator."""


def check_generator(
    generator: GeneratorConfig, data: DataConfig, depth: int | None, padded_shape: tuple[int, int]
) -> None:
    """Raise ValueError where ``generator`` has a setting that its architecture or the data cannot have."""
    name, unet = generator.name, generator.name in ("unet", "encoder_decoder")
    if name in ("resnet6", "resnet9") and generator.upsampling != "transposed":
        raise ValueError(
            f"generator.upsampling is {generator.upsampling!r}: generator {name!r} has transposed convolutions of its "
            "own; leave it out, or use unet or encoder_decoder"
        )
    if name in LAYER_NORMED and (generator.norm, generator.upsampling) != ("batch", "transposed"):
        raise ValueError(
            f"generator.norm is {generator.norm!r} and generator.upsampling {generator.upsampling!r}: generator "
            f"{name!r} has a layer norm and a pixel shuffle of its own; leave both out"
        )
    added = {"downsampling": "strided", "attention": False, "spade": "none"}
    for key, plain in added.items():
        if not unet and (value := getattr(generator, key)) != plain:
            raise ValueError(
                f"generator.{key} is {str(value).lower()}: it belongs to the U-Net and the encoder-decoder, and "
                f"generator.name is {name!r}; leave it out, or use unet"
            )
    if generator.attention and min(padded_shape) >> (depth or 0) > ATTENTION_SIDE:
        raise ValueError(
            f"generator.attention is true: with generator.depth {depth} the smallest map is "
            f"{min(padded_shape) >> (depth or 0)} pixels wide, and attention is for {ATTENTION_SIDE}; raise the depth"
        )
    if generator.noise and is_reference(name):
        raise ValueError(
            f"generator.noise is {generator.noise} and generator.name {name!r}: a network of your own draws noise of "
            "its own; leave it out"
        )
    if generator.spade != "none":
        _check_spade(generator, data)


def _check_spade(generator: GeneratorConfig, data: DataConfig) -> None:
    if generator.norm == "none":
        raise ValueError(
            f"generator.spade is {generator.spade!r} and generator.norm 'none': SPADE gives a norm its scale and "
            "shift, and there is none; use generator.norm batch or instance"
        )
    channels = data.channels[0]
    if generator.spade == "labels" and channels not in (1, 3):
        raise ValueError(
            f"generator.spade is 'labels' and data.channels {list(data.channels)}: a label map has colours (3) or "
            f"greys (1), and {channels} channels may be anything; use generator.spade continuous, which shrinks an "
            "array by means over squares"
        )


def attention_level(discriminator: DiscriminatorConfig, side: int) -> int | None:
    """The layer of a PatchGAN, from 0, after which it has attention; None without, or where no map is so small."""
    strides = DISCRIMINATOR_STRIDES.get(discriminator.name, 0)
    small = (level for level in range(strides) if side >> (level + 1) <= ATTENTION_SIDE_OF_D)
    return next(small, None) if discriminator.attention else None


def check_discriminator(discriminator: DiscriminatorConfig, objective: ObjectiveConfig, data: DataConfig) -> None:
    """Raise ValueError where ``discriminator`` has a setting that its architecture or the data cannot have."""
    name, side = discriminator.name, min(data.crop_shape)
    strides, shrunk = DISCRIMINATOR_STRIDES.get(name), side >> (discriminator.scales - 1)
    if strides and shrunk // 2**strides < 3:
        at = "" if discriminator.scales == 1 else f" at {discriminator.scales} scales"
        least = 3 * 2 ** (strides + discriminator.scales - 1)
        fewer = "" if discriminator.scales == 1 else ", or fewer discriminator.scales"
        raise ValueError(
            f"data.crop_size is {size_text(data.crop_size)}: discriminator {name!r}{at} needs at least {least}; use a "
            f"larger size or a smaller receptive field{fewer}"
        )
    if name == "oasis":
        _check_oasis(discriminator, objective, data)
    if name == "projected":
        _check_projected(discriminator, objective, data)
    if objective.cutmix is not None:
        _check_cutmix(discriminator, objective)
    if name in ("unet", "oasis") and shrunk < 16:
        raise ValueError(
            f"data.crop_size is {size_text(data.crop_size)}: discriminator {name!r} needs a side of 16 or more at its "
            f"smallest scale, and discriminator.scales is {discriminator.scales}; use fewer, or a larger size"
        )
    for key, plain in {"downsampling": "strided", "attention": False}.items():
        if not strides and (value := getattr(discriminator, key)) != plain:
            raise ValueError(
                f"discriminator.{key} is {str(value).lower()}: it belongs to discriminators that halve their map layer "
                f"by layer, and discriminator.name is {name!r}; leave it out, or use patch16 to image286"
            )
    if discriminator.attention and attention_level(discriminator, side) is None:
        raise ValueError(
            f"discriminator.attention is true: with data.crop_size {size_text(data.crop_size)} no map of discriminator "
            f"{name!r} has a side of at most {ATTENTION_SIDE_OF_D}; use a larger receptive field"
        )


def _check_oasis(discriminator: DiscriminatorConfig, objective: ObjectiveConfig, data: DataConfig) -> None:
    reasons = {
        f"objective.name {objective.name!r}: the condition is what it is asked for, so it does not see it; use gan or "
        "l1+gan": objective.conditional,
        f"objective.adversarial {objective.adversarial!r}: its loss is a cross-entropy over classes; leave it out": (
            objective.adversarial != "bce"
        ),
        f"objective.pairing {objective.pairing!r}, r1 {objective.r1:g}, r2 {objective.r2:g}: they are made for logits "
        "that say how real an image is, and it has one for each class; leave them out": (
            objective.pairing != "absolute" or objective.r1 > 0 or objective.r2 > 0
        ),
        "discriminator.norm 'batch': it has none in its paper, and LabelMix compares images that batch norm would make "
        "depend on each other; use none or instance": discriminator.norm == "batch",
        f"discriminator.scales {discriminator.scales}: labels belong to the pixels of one size; leave it out": (
            discriminator.scales > 1
        ),
        f"data.channels {list(data.channels)}: labels are told by their colours; use a condition of 3 channels": (
            data.channels[0] != 3
        ),
    }
    _refuse("discriminator.name is 'oasis'", reasons)


def _check_projected(discriminator: DiscriminatorConfig, objective: ObjectiveConfig, data: DataConfig) -> None:
    side, least = min(data.crop_shape), 3 * 2 ** DISCRIMINATOR_STRIDES["patch70"]
    reasons = {
        f"discriminator.scales {discriminator.scales}: it looks at four scales of its own; leave it out": (
            discriminator.scales > 1
        ),
        f"an output that is no RGB image (data.channels {list(data.channels)}, data.colours {data.colours}), which its "
        "network takes; use another discriminator": data.channels[1] != 3 or data.colours != "rgb",
        f"objective.name {objective.name!r}: patch70 judges the pair beside it, and needs a side of {least}, where "
        f"data.crop_size has {side}; use gan or l1+gan, or a larger size": objective.conditional and side < least,
    }
    _refuse("discriminator.name is 'projected'", reasons)


def _check_cutmix(discriminator: DiscriminatorConfig, objective: ObjectiveConfig) -> None:
    reasons = {
        f"discriminator.name {discriminator.name!r}: it asks of each pixel whether it is real; use unet": (
            discriminator.name != "unet"
        ),
        f"objective.adversarial {objective.adversarial!r}, pairing {objective.pairing!r}: it is a cross-entropy of "
        "pixels; use adversarial bce with pairing absolute": (
            (objective.adversarial, objective.pairing) != ("bce", "absolute")
        ),
        "discriminator.norm 'batch': it compares what D says of several images, which batch norm would make depend on "
        "each other; use none or instance": discriminator.norm == "batch",
        f"discriminator.scales {discriminator.scales}: the map of what is real has the pixels of one size; leave it "
        "out": discriminator.scales > 1,
    }
    _refuse(f"objective.cutmix is {objective.cutmix:g}", reasons)


def _refuse(asked: str, reasons: Mapping[str, bool]) -> None:
    """Raise a ValueError where any of ``reasons`` against what is asked for applies."""
    for reason, applies in reasons.items():
        if applies:
            raise ValueError(f"{asked} and {reason}")
