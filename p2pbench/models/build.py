"""Networks by name: :func:`build_generator` and :func:`build_discriminator` build what a configuration names."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from p2pbench.config.combinations import attention_level
from p2pbench.config.plugins import is_reference
from p2pbench.config.schema import DISCRIMINATOR_STRIDES, RunConfig
from p2pbench.data.label_classes import classes_of_condition
from p2pbench.models.attention import SelfAttention
from p2pbench.models.layers import apply_spectral_norm, bias_before_norm, initialise
from p2pbench.models.multi_scale import MultiScale
from p2pbench.models.noise import NoisyGenerator
from p2pbench.models.own_network import own_discriminator, own_generator
from p2pbench.models.patchgan import build_patchgan
from p2pbench.models.projected import Projected
from p2pbench.models.residual_unet import ResidualUNet, build_residual_unet
from p2pbench.models.resnet import build_resnet
from p2pbench.models.timed import TimedGenerator
from p2pbench.models.transport import transport_of
from p2pbench.models.unet import UNet
from p2pbench.models.unet_discriminator import UNetDiscriminator, halvings


def _unet(config: RunConfig, *, skips: bool) -> nn.Module:
    assert config.depth is not None
    given = config.generator.model_dump(include={"ngf", "dropout", "norm", "upsampling", "downsampling", "spade"})
    bias = bias_before_norm(config.training.bias_rule, config.generator.norm)
    level = config.attention_level
    return UNet(*config.data.channels, depth=config.depth, skips=skips, bias=bias, attention_level=level, **given)


def _resnet(config: RunConfig, *, n_blocks: int) -> nn.Module:
    given = config.generator.model_dump(include={"ngf", "norm"}) | {"dropout": config.generator.dropout != "none"}
    bias = bias_before_norm(config.training.bias_rule, config.generator.norm)
    return build_resnet(*config.data.channels, n_blocks=n_blocks, bias=bias, **given)


def _like_the_unet(config: RunConfig) -> nn.Module:
    """A residual U-Net with the parameters of pix2pix's U-Net of the same ``ngf`` and size."""
    name = config.generator.name
    with torch.device("meta"):
        unet = _unet(config.changed("generator", name="unet"), skips=True)
    parameters = sum(parameter.numel() for parameter in unet.parameters())
    return build_residual_unet(name, *config.data.channels, parameters=parameters)


def discriminator_in_channels(config: RunConfig) -> int:
    """Channels of D's input: those of condition and image, or of the image alone."""
    condition, image = config.data.channels
    return condition + image if config.objective.conditional else image


def _patchgan(config: RunConfig, *, n_layers: int) -> nn.Module:
    given = config.discriminator.model_dump(include={"ndf", "norm", "downsampling"})
    bias = bias_before_norm(config.training.bias_rule, config.discriminator.norm)
    level = attention_level(config.discriminator, min(config.data.crop_shape))
    return build_patchgan(
        discriminator_in_channels(config), n_layers=n_layers, bias=bias, attention_level=level, **given
    )


def _unet_discriminator(config: RunConfig) -> nn.Module:
    given = config.discriminator.model_dump(include={"ndf", "norm"})
    bias = bias_before_norm(config.training.bias_rule, config.discriminator.norm)
    depth = halvings(min(config.data.crop_shape) >> (config.discriminator.scales - 1))
    oasis = config.discriminator.name == "oasis"
    classes = 1 + len(classes_of_condition(config).classes) if oasis else None  # the first is "fake"
    return UNetDiscriminator(discriminator_in_channels(config), depth=depth, bias=bias, classes=classes, **given)


def _projected(config: RunConfig) -> nn.Module:
    given = config.discriminator.model_dump(include={"ndf", "norm"})
    bias = bias_before_norm(config.training.bias_rule, config.discriminator.norm)
    of_pair = _patchgan(config, n_layers=DISCRIMINATOR_STRIDES["patch70"]) if config.objective.conditional else None
    return Projected(of_pair, bias=bias, **given)


Builder = Callable[[RunConfig], nn.Module]

GENERATORS: dict[str, Builder] = {
    "unet": lambda config: _unet(config, skips=True),
    "encoder_decoder": lambda config: _unet(config, skips=False),
    "resnet6": lambda config: _resnet(config, n_blocks=6),
    "resnet9": lambda config: _resnet(config, n_blocks=9),
    "nafnet": _like_the_unet,
    "convnext_unet": _like_the_unet,
}
DISCRIMINATORS: dict[str, Builder] = {
    name: lambda config, n_layers=n_layers: _patchgan(config, n_layers=n_layers)
    for name, n_layers in DISCRIMINATOR_STRIDES.items()
} | {"unet": _unet_discriminator, "oasis": _unet_discriminator, "projected": _projected}


def build_generator(config: RunConfig) -> nn.Module:
    """The generator of ``config``, freshly initialised from its seed.

    Maps conditions (N, C, H, W) to images (N, C', H, W), both float in [-1, 1], of ``data.channels`` and
    ``data.crop_size``.
    """
    return _build(config.generator.name, GENERATORS, config, stream=0)


def build_discriminator(config: RunConfig, features: Mapping[str, Tensor] | None = None) -> nn.Module | None:
    """The discriminator of ``config``, freshly initialised from its seed, or None where the objective has none.

    Maps condition and image side by side in the channels, (N, C + C', H, W), or the image's channels alone where the
    objective is unconditional, to a map of logits (N, 1, h, w), or to a :class:`Judgement` of several.

    Args:
        features: the weights through which a projected one sees; without them they are random, to count and to time.
    """
    if not config.objective.has_discriminator:
        return None
    discriminator = _build(config.discriminator.name, DISCRIMINATORS, config, stream=1)
    if features is not None:
        assert isinstance(discriminator, Projected)
        discriminator.see_through(features)
    if config.discriminator.spectral_norm:
        apply_spectral_norm(discriminator, config.training.seed)
    return discriminator


def _build(name: str, builders: dict[str, Builder], config: RunConfig, *, stream: int) -> nn.Module:
    condition, image = config.data.channels
    if stream == 0 and config.objective.is_transport:  # it sees a point of the path beside the condition
        config = config.changed("data", channels=(image + condition, image))
    noise = config.generator.noise if stream == 0 else 0
    if noise:
        config = config.changed("data", channels=(condition + noise, image))

    def one() -> nn.Module:
        if not is_reference(name):
            return builders[name](config)
        if stream == 0:
            return own_generator(name, config)
        return own_discriminator(name, config, discriminator_in_channels(config))

    scales = config.discriminator.scales if stream == 1 else 1
    network = one() if scales == 1 else MultiScale(one() for _ in range(scales))
    # Each network has its own random stream, so that G starts alike under every objective of a study.
    generator = torch.Generator().manual_seed(2 * config.training.seed + stream)
    if isinstance(network, ResidualUNet | Projected):
        network.initialise(generator)
    else:
        initialise(network, generator)
    if stream == 0 and config.objective.is_transport:
        network = TimedGenerator(network, config.data.channels[1], transport_of(config.objective), generator)
    if noise:
        network = NoisyGenerator(network, noise)
    for module in list(network.modules()):
        if isinstance(module, SelfAttention):
            apply_spectral_norm(module, config.training.seed)
    return network
