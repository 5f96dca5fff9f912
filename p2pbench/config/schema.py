"""The configuration of one run: frozen models, one place for every default.

Made by :func:`p2pbench.config.resolve.resolve`. Imports no torch: ``--help`` and ``--plan`` start at once.
"""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from p2pbench.config.combinations import ATTENTION_SIDE, check_discriminator, check_generator
from p2pbench.config.contradictions import cautions, contradictions
from p2pbench.config.data_section import DataConfig, size_text
from p2pbench.config.sections import (
    DISCRIMINATOR_NAMES,
    DISCRIMINATOR_STRIDES,
    GENERATOR_NAMES,
    HALVINGS,
    MOST_THREADS,
    OBJECTIVE_NAMES,
    PROJECTED,
    DiscriminatorConfig,
    GeneratorConfig,
    InferenceMode,
    ObjectiveConfig,
    ScoringConfig,
    Section,
    TrainingConfig,
)

__all__ = [
    "COMPONENTS",
    "DISCRIMINATOR_NAMES",
    "DISCRIMINATOR_STRIDES",
    "GENERATOR_NAMES",
    "MOST_THREADS",
    "OBJECTIVE_NAMES",
    "PRESETS",
    "SECTIONS",
    "SETTINGS",
    "DataConfig",
    "DiscriminatorConfig",
    "GeneratorConfig",
    "ObjectiveConfig",
    "RunConfig",
    "ScoringConfig",
    "TrainingConfig",
    "size_text",
]

PRESETS: dict[str, dict[str, str]] = {
    # Each row of the table "Training" in which the two published implementations differ.
    #                                       Lua (the authors')              the PyTorch port
    "paper": {
        "generator.dropout": "first-three",
        "training.bias_rule": "zeroed",
        "training.schedule": "constant",
        "objective.discriminator_loss": "sum",
        "objective.generator_gradient": "stale",
        "data.resize_filter": "bilinear",
    },
    "pytorch": {
        "generator.dropout": "middle",
        "training.bias_rule": "by-norm",
        "training.schedule": "linear-decay",
        "objective.discriminator_loss": "mean",
        "objective.generator_gradient": "fresh",
        "data.resize_filter": "bicubic",
    },
}


class RunConfig(Section):
    """All settings of one run. Build it with :func:`p2pbench.config.resolve.resolve`, which applies the preset."""

    data: DataConfig = DataConfig()
    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    training: TrainingConfig = TrainingConfig()
    scoring: ScoringConfig = ScoringConfig()

    def changed(self, section: str, **settings: Any) -> RunConfig:
        """The same configuration with other values in one section, which are not checked."""
        return self.model_copy(update={section: getattr(self, section).model_copy(update=settings)})

    @property
    def depth(self) -> int | None:
        """How many times the generator halves its input; None for a generator of the user's own."""
        if self.generator.name not in ("unet", "encoder_decoder"):
            return HALVINGS.get(self.generator.name)
        return self.generator.depth or min(10, min(self.data.crop_shape).bit_length() - 1)

    @property
    def padded_shape(self) -> tuple[int, int]:
        """(height, width) inside the generator: the sides of ``data.crop_size`` rounded up to what it can halve."""
        height, width = self.data.crop_shape
        multiple = 2 ** (self.depth or 0)
        return height + -height % multiple, width + -width % multiple

    @property
    def attention_level(self) -> int | None:
        """The encoder's level, counted from 0, after which the U-Net has attention; None without."""
        if not self.generator.attention:
            return None
        side = min(self.padded_shape)
        return next(level for level in range(self.depth or 0) if side >> (level + 1) <= ATTENTION_SIDE)

    @property
    def is_projected(self) -> bool:
        """Whether D sees through a pretrained network."""
        return self.objective.has_discriminator and self.discriminator.name == "projected"

    @property
    def pretrained(self) -> tuple[str, ...]:
        """The pretrained networks that training looks through, each once."""
        through = [net for net in (self.objective.perceptual, PROJECTED if self.is_projected else None) if net]
        return tuple(dict.fromkeys(through))

    @property
    def watched_mode(self) -> InferenceMode:
        """The mode of samples and of scores on validation pairs while training, whatever test images are scored in."""
        return "euler-4" if self.objective.is_transport else "paper"

    @model_validator(mode="after")
    def _sizes_fit(self) -> RunConfig:
        size = min(self.data.crop_shape)
        if size < 16 and self.depth is not None:
            raise ValueError(f"data.crop_size is {size_text(self.data.crop_size)}: networks need a side of 16 or more")
        if self.generator.depth is not None:
            self._depth_fits(self.generator.depth)
        check_generator(self.generator, self.data, self.depth, self.padded_shape)
        if self.objective.has_discriminator:
            check_discriminator(self.discriminator, self.objective, self.data)
        for contradiction in contradictions(
            self.data, self.generator, self.discriminator, self.objective, self.training, self.scoring
        ):
            raise ValueError(contradiction)
        return self

    def cautions(self) -> list[str]:
        """What has to be known before variants with these settings are compared, a sentence each."""
        return list(cautions(self.generator, self.training, self.scoring))

    def _depth_fits(self, depth: int) -> None:
        if self.generator.name not in ("unet", "encoder_decoder"):
            raise ValueError(
                f"generator.depth is {depth}: generator {self.generator.name!r} has a depth of its own; leave it out"
            )
        most = min(self.data.crop_shape).bit_length() - 1
        if depth > most:
            raise ValueError(
                f"generator.depth is {depth}: a side of {min(self.data.crop_shape)} pixels can be halved "
                f"{most} times; use at most {most}, or a larger data.crop_size"
            )


SECTIONS: dict[str, type[Section]] = {
    name: field.annotation  # type: ignore[misc]
    for name, field in RunConfig.model_fields.items()
}
COMPONENTS = tuple(section for section, model in SECTIONS.items() if "name" in model.model_fields)
"""The sections that a name may stand for: ``objective: l1`` is ``objective.name: l1``."""
SETTINGS = tuple(f"{section}.{key}" for section, model in SECTIONS.items() for key in model.model_fields)
