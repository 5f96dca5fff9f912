"""Which settings of the networks go together: what means nothing is refused with its reason. Imports no torch."""

from p2pbench.config.data_section import DataConfig
from p2pbench.config.sections import LAYER_NORMED, GeneratorConfig

ATTENTION_SIDE = 16
"""The longest shorter side of a map that has attention, in the generator; its matrix grows with the square of it."""


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
