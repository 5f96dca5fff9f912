"""A network that a user's ``module:function`` builds, tried on images of zeros before it is trained."""

import copy
import inspect

import torch
from torch import Tensor, nn

from p2pbench.config.plugins import running
from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError, type_and_line
from p2pbench.models.judgement import Judgement


def own_generator(reference: str, config: RunConfig) -> nn.Module:
    """The user's generator, which maps conditions to images of ``data.channels`` and ``data.crop_size``.

    Raises:
        ConfigError: it cannot be imported, fails, or is no such network; the user's exception is its cause.
    """
    condition, image = ((1, channels, *config.data.crop_shape) for channels in config.data.channels)
    network, said = _built(reference, config, condition)
    if (found := _shape(said)) != image:
        raise ConfigError(f"{reference!r} maps {condition} to {found}; a generator's output here is {image}")
    return network


def own_discriminator(reference: str, config: RunConfig, channels: int) -> nn.Module:
    """The user's discriminator of images of ``channels``: :mod:`p2pbench.models.judgement` says what it returns.

    Raises:
        ConfigError: as above, or it lacks what the objective or a setting of the discriminator needs of it.
    """
    shape = (1, channels, *config.data.crop_shape)
    network, said = _built(reference, config, shape)
    for one in said.logits if isinstance(said, Judgement) else (said,):
        found = _shape(one)
        if len(found) != 4 or found[1] != 1:
            raise ConfigError(
                f"{reference!r} maps {shape} to {found}; a discriminator's is a map of logits (N, 1, h, w)"
            )
    _check_features(reference, network, config, shape)
    _check_scales(reference, network, config, shape)
    _check_layers(reference, network, config)
    return network


def _built(reference: str, config: RunConfig, shape: tuple[int, ...]) -> tuple[nn.Module, object]:
    """The network, and what it makes of zeros of ``shape``."""
    with running(reference) as build:
        network = build(config)
        if not isinstance(network, nn.Module):
            raise TypeError(f"it returned {type(network).__name__}, not a torch.nn.Module")
        if not any(True for _ in network.parameters()):
            raise ValueError("it has no parameters to train")
        return network, _tried(network, shape)


def _tried(network: nn.Module, shape: tuple[int, ...], **asked: bool) -> object:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        return copy.deepcopy(network).eval()(torch.zeros(shape), **asked)


def _shape(said: object) -> tuple[int, ...] | str:
    return tuple(said.shape) if isinstance(said, Tensor) else type(said).__name__


def _check_features(reference: str, network: nn.Module, config: RunConfig, shape: tuple[int, ...]) -> None:
    if not config.objective.lambda_features:
        return
    takes = inspect.signature(network.forward).parameters.values()
    said = None
    if any(one.name == "features" or one.kind is inspect.Parameter.VAR_KEYWORD for one in takes):
        with running(reference):
            said = _tried(network, shape, features=True)
    if not isinstance(said, Judgement) or not said.features:
        raise ConfigError(
            f"objective.lambda_features is {config.objective.lambda_features:g} and discriminator {reference!r}: "
            "feature matching compares what D's layers make of images, and this one does not give it; let its "
            "forward(images, features=False) return, where it is asked for them, p2pbench.models.judgement."
            "Judgement(logits, features), two tuples of maps, or set objective.lambda_features to 0"
        )


def _check_scales(reference: str, network: nn.Module, config: RunConfig, shape: tuple[int, ...]) -> None:
    for scale in range(1, config.discriminator.scales):
        shape = (*shape[:2], -(-shape[2] // 2), -(-shape[3] // 2))
        try:
            _tried(network, shape)
        except Exception as error:
            raise ConfigError(
                f"discriminator.scales is {config.discriminator.scales} and discriminator {reference!r} fails on "
                f"{shape}, the images of scale {scale + 1}: {type_and_line(error)}; use fewer scales, or a larger "
                "data.crop_size"
            ) from error


def _check_layers(reference: str, network: nn.Module, config: RunConfig) -> None:
    objective, layers = config.objective, list(network.modules())
    penalised = objective.adversarial == "wgan-gp" or objective.r1 > 0 or objective.r2 > 0
    if penalised and any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in layers):
        raise ConfigError(
            f"discriminator {reference!r} has batch norm, and objective.adversarial {objective.adversarial!r}, r1 "
            f"{objective.r1:g}, r2 {objective.r2:g}: a penalty is on the gradient for each image, which batch norm "
            "makes depend on the others; build it with instance norm or none, or leave the penalty out"
        )
    if config.discriminator.spectral_norm and not any(isinstance(layer, nn.Conv2d) for layer in layers):
        raise ConfigError(
            f"discriminator.spectral_norm is true and discriminator {reference!r} has no nn.Conv2d, whose weights it "
            "divides; leave it out"
        )
