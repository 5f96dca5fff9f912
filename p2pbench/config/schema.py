"""The configuration of one run: frozen models, one place for every default.

Made by :func:`p2pbench.config.resolve.resolve`. Imports no torch: ``--help`` and ``--plan`` start at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from p2pbench.config.metrics import METRICS
from p2pbench.errors import unknown

MOST_THREADS = 1024
"""Of a cell; more than any machine has cores for."""

GENERATOR_NAMES = ("unet", "encoder_decoder", "resnet6", "resnet9")
DISCRIMINATOR_STRIDES = {"pixel": 0, "patch16": 1, "patch34": 2, "patch70": 3, "image286": 5}
"""Named discriminators and the number of their stride-2 layers (pix2pix §6.1.2)."""
OBJECTIVE_NAMES = ("l1", "gan", "cgan", "l1+gan", "l1+cgan")

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


def _ranges(value: object) -> tuple[tuple[float, float] | None, tuple[float, float] | None] | None:
    """``[low, high]`` for both sides, or one for each."""
    if value is None:
        return None

    def one(limits: object) -> tuple[float, float] | None:
        if limits is None:
            return None
        numbers = isinstance(limits, list | tuple) and all(type(v) in (int, float) and isfinite(v) for v in limits)
        if numbers and len(limits) == 2 and limits[0] < limits[1]:  # type: ignore[arg-type, index]
            return float(limits[0]), float(limits[1])  # type: ignore[index]
        raise ValueError(f"is {value!r}: give [low, high] with low < high, or [[low, high], [low, high]]")

    if (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(v is None or isinstance(v, list | tuple) for v in value)
    ):
        found = one(value[0]), one(value[1])
        return None if found == (None, None) else found
    both = one(value)
    return both, both


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


PositiveInt = Annotated[int, Field(gt=0)]


def _two(value: object, what: str) -> tuple[int, int]:
    if isinstance(value, list | tuple) and len(value) == 2 and all(type(v) is int and v > 0 for v in value):
        return value[0], value[1]
    raise ValueError(f"is {value!r}: give {what}")


def _size(value: object) -> int | tuple[int, int]:
    """A square as its side, so that it has one spelling."""
    if type(value) is int and value > 0:
        return value
    height, width = _two(value, "a side in pixels, or [height, width]")
    return height if height == width else (height, width)


Ranges = Annotated[tuple[tuple[float, float] | None, tuple[float, float] | None] | None, BeforeValidator(_ranges)]
Size = Annotated[int | tuple[int, int], BeforeValidator(_size)]
"""The side of a square, or ``[height, width]``, in pixels."""
Channels = Annotated[tuple[int, int], BeforeValidator(lambda value: _two(value, "[of the condition, of the target]"))]


def _shape(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def size_text(size: int | tuple[int, int]) -> str:
    """A size as people write it: ``256``, or ``256x512`` for [height, width]."""
    return str(size) if isinstance(size, int) else f"{size[0]}x{size[1]}"


class DataConfig(_Section):
    source: str = "photos"
    """A built-in (``photos``, or ``drawn``, ``drawn:N``, ``drawn:N:SEED`` for N training pairs), a data set fetched by
    name, or a folder of pairs."""
    direction: Literal["AtoB", "BtoA"] = "AtoB"
    """Which half is the condition: A (left, or folder ``A``) or B."""
    condition: Literal["gray", "edges"] = "gray"
    """What the built-in ``photos`` are translated from. Other sources bring their own condition."""
    jitter: bool = True
    """Resize training pairs to ``load_size`` and crop at random; otherwise resize them to ``crop_size``."""
    load_size: Size = 286
    """What training pairs are resized to before the random crop: a side in pixels, or ``[height, width]``."""
    crop_size: Size = 256
    """The size of what the networks see; test pairs are resized to it."""
    mirror: bool = True
    """Mirror half of the training pairs, chosen at random."""
    resize_filter: Literal["bilinear", "bicubic"] = "bilinear"
    """Preset: bilinear in Lua's release, bicubic in the port."""
    colours: Literal["rgb", "lab"] = "rgb"
    """``lab`` for colorization: the networks see the target's lightness L as condition and its a and b as target (CIE
    L*a*b*); the data's own condition is not used. Outputs get their L back and are scored as RGB."""
    channels: Channels = (3, 3)
    """Channels of the condition and of the target as the networks see them. Of RGB files 1 is the image in grey
    (Rec. 601); arrays of other channels (TIFF, ``.npy``) are seen as they are."""
    range: Ranges | None = None
    """Which values of the files become black and white: ``[low, high]``, or one such for the condition and one for the
    target, ``null`` where that side spans the whole range of its 8 or 16 bits. Values beyond are clipped."""
    background: str | None = None
    """What lies behind transparent pixels, a colour as CSS names it. Without it they are refused."""

    @property
    def stored(self) -> tuple[int, int]:
        """Channels of condition and target as they are read and kept: for colorization both are RGB."""
        return (3, 3) if self.colours == "lab" else self.channels

    @field_validator("background")
    @classmethod
    def _colour(cls, value: str | None) -> str | None:
        if value is not None:
            from PIL import ImageColor

            try:
                channels = ImageColor.getrgb(value)
                if len(channels) != 3:  # transparent itself
                    raise ValueError
            except ValueError:
                raise ValueError(f"is {value!r}: give a colour such as white, gray, or '#80c0ff'") from None
            return "#{:02x}{:02x}{:02x}".format(*channels)
        return value

    @property
    def load_shape(self) -> tuple[int, int]:
        """``load_size`` as (height, width)."""
        return _shape(self.load_size)

    @property
    def crop_shape(self) -> tuple[int, int]:
        """``crop_size`` as (height, width)."""
        return _shape(self.crop_size)

    @model_validator(mode="after")
    def _lab_has_three(self) -> DataConfig:
        if self.colours == "lab" and self.channels != (1, 2):
            raise ValueError(
                f"data.colours is 'lab' and data.channels {list(self.channels)}: L is one channel, a and b are two; "
                "use data.channels [1, 2]"
            )
        return self

    @model_validator(mode="after")
    def _crop_fits(self) -> DataConfig:
        if self.jitter and any(load < crop for load, crop in zip(self.load_shape, self.crop_shape, strict=True)):
            raise ValueError(
                f"data.load_size is {size_text(self.load_size)} and data.crop_size {size_text(self.crop_size)}: "
                "a crop cannot be larger than what it is cut from; raise load_size or lower crop_size"
            )
        if self.condition != "gray" and self.source != "photos":
            raise ValueError(
                f"data.condition is {self.condition!r} and data.source {self.source!r}: only the built-in photos make "
                "their condition; a folder brings its own, so leave data.condition out"
            )
        return self


class GeneratorConfig(_Section):
    name: str = "unet"
    """``unet``, ``encoder_decoder``, ``resnet6``, ``resnet9``, or ``module:function`` for one of your own."""
    ngf: PositiveInt = 64
    """Channels after the first convolution."""
    depth: Annotated[int, Field(ge=2, le=10)] | None = None
    """How often the U-Net and the encoder-decoder halve their input; unless given, as often as the shorter side allows
    (8 times for 256, and for 300; at most 10). Sides that are no multiple of 2**depth are padded and cropped back, 300
    to 512: a smaller depth pads less."""
    dropout: Literal["first-three", "middle", "none"] = "first-three"
    """Decoder levels with dropout 0.5. Preset: the first three in Lua's release; in the port the levels between the
    innermost and the four outermost. The ResNets have it in every block, unless ``none``."""
    norm: Literal["batch", "instance", "none"] = "batch"
    """Statistics of the batch, of each image alone (both with scale and shift), or no normalisation."""
    upsampling: Literal["transposed", "nearest", "bilinear", "pixel-shuffle"] = "transposed"
    """How the decoder doubles its map: the paper's transposed convolution, a resize before a 3x3 convolution (Odena
    et al. 2016), or a 3x3 convolution to four times the channels, shuffled into pixels (Shi et al. 2016)."""

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        return _check_component("generator.name", value, GENERATOR_NAMES)


class DiscriminatorConfig(_Section):
    name: str = "patch70"
    """``pixel``, ``patch16``, ``patch34``, ``patch70``, ``image286``, or ``module:function``."""
    ndf: PositiveInt = 64
    """Channels after the first convolution."""
    norm: Literal["batch", "instance", "none"] = "batch"
    """As the generator's."""
    spectral_norm: bool = False
    """Divide each convolution's weight by its largest singular value (Miyato et al. 2018)."""

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        return _check_component("discriminator.name", value, DISCRIMINATOR_STRIDES)


class ObjectiveConfig(_Section):
    name: str = "l1+cgan"
    """``l1`` (no discriminator), ``gan`` (D sees the image alone), ``cgan`` (D sees the pair), and their sums."""
    adversarial: Literal["bce", "lsgan", "hinge", "wgan-gp"] = "bce"
    """The loss on D's logits: the paper's cross-entropy (non-saturating for G), least squares (Mao et al. 2017),
    hinge (Lim and Ye 2017), or Wasserstein with gradient penalty (Gulrajani et al. 2017)."""
    lambda_l1: Annotated[float, Field(ge=0)] = 100.0
    """λ of Eq. 4, the weight of the L1 term."""
    discriminator_loss: Literal["sum", "mean"] = "sum"
    """D's two halves summed (Lua) or averaged (port). Under Adam only the effect of eps differs."""
    generator_gradient: Literal["stale", "fresh"] = "stale"
    """G's adversarial gradient through D as it was before its update (Lua) or run again after it (port)."""

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in OBJECTIVE_NAMES:
            raise ValueError(unknown("objective", value, OBJECTIVE_NAMES))
        return value

    @property
    def has_l1(self) -> bool:
        return self.name.startswith("l1")

    @property
    def has_discriminator(self) -> bool:
        return self.name.endswith("gan")

    @property
    def conditional(self) -> bool:
        """Whether the discriminator sees the condition beside the image."""
        return self.name.endswith("cgan")


class TrainingConfig(_Section):
    preset: Literal["paper", "pytorch"] = "paper"
    """Whose training it is: the authors' Lua release, or the PyTorch port."""
    epochs: Annotated[int, Field(gt=0, le=10**9)] = 200
    batch_size: PositiveInt = 1
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    schedule: Literal["constant", "linear-decay"] = "constant"
    """Preset: constant in Lua's release; in the port constant for the first half, then linear to zero."""
    bias_rule: Literal["zeroed", "by-norm"] = "zeroed"
    """Preset: a bias in every convolution, zeroed before each update (Lua), or none before a batch norm (port)."""
    select: Literal["last", "best-on-val"] = "last"
    """Which generator is kept: that of the last epoch, or of the epoch with the least L1 on the validation split
    (100 of its pairs at most), which the data must have beside their test split."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """fp32; tf32 (CUDA only); or bf16 autocast over fp32 master weights."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    engine: Literal["auto", "eager", "compile", "graph"] = "auto"
    """How a step is run: ``eager``; ``compile``, by torch.compile (CPU or CUDA, needs a C++ compiler); ``graph``, the
    whole step as one CUDA graph; ``auto``, graph on CUDA and eager elsewhere. Their losses agree to rounding. Recorded.
    """
    batch_norm: Literal["local", "synchronised"] = "local"
    """Where several processes share each batch (torchrun): statistics of each one's share, or of all of it (CUDA)."""
    threads: Annotated[int, Field(ge=0, le=MOST_THREADS)] = 0
    """CPU threads of a cell; 0 divides the cores among the jobs. Recorded, because the last bits depend on it."""
    log_every: PositiveInt = 50
    """Steps between two readings of the losses from the device; a row of losses.csv is their mean."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 60.0
    """Least time between two checkpoints."""
    checkpoints: PositiveInt = 2
    """How many are kept while training, the newest: an older one serves where a newer one is damaged."""
    sample_every: PositiveInt = 25
    """Epochs between two sample sheets."""
    keep_checkpoints: bool = False
    """Keep a finished run's checkpoint (three times the size of its networks)."""


def _metric_names(value: object) -> object:
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",")]
    if not isinstance(value, list | tuple):
        raise ValueError("is a list of metrics such as [l1, ssim, lpips]")
    for name in value:
        if not isinstance(name, str) or not (name in METRICS or is_reference(name)):
            raise ValueError(f"{unknown('metric', name, METRICS)}; or module:function for your own")
    return tuple(dict.fromkeys(value))


MetricNames = Annotated[tuple[str, ...], BeforeValidator(_metric_names)]


class ScoringConfig(_Section):
    inference: Literal["paper", "statistics", "eval"] = "paper"
    """How test images are translated: ``paper``, dropout on and each image normalised by its own statistics (§3.3);
    ``statistics``, the same without dropout; ``eval``, running statistics, no dropout."""
    metrics: Annotated[MetricNames, Field(min_length=1)] = ("l1", "psnr", "ssim", "lpips", "fid", "kid")
    """Names, or ``module:function`` for one of your own."""
    also: MetricNames = ()
    """Scores that a grid's question needs beside those of the protocol."""
    palette: Literal["facades", "cityscapes"] | None = None
    """The colours of the data's label maps, for the FCN-scores; unless given, known from the name of the data set."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """``metrics`` and ``also``, each once."""
        return tuple(dict.fromkeys((*self.metrics, *self.also)))


class RunConfig(_Section):
    """Everything one run needs. Build it with :func:`resolve`, which applies the preset."""

    data: DataConfig = DataConfig()
    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    training: TrainingConfig = TrainingConfig()
    scoring: ScoringConfig = ScoringConfig()

    @property
    def depth(self) -> int | None:
        """How often the generator halves its input; None for one of the user's own."""
        if self.generator.name in ("resnet6", "resnet9"):
            return 2
        if self.generator.name not in ("unet", "encoder_decoder"):
            return None
        return self.generator.depth or min(10, min(self.data.crop_shape).bit_length() - 1)

    @property
    def padded_shape(self) -> tuple[int, int]:
        """(height, width) of what the generator works on: the sides of ``data.crop_size`` rounded up to what it can
        halve."""
        height, width = self.data.crop_shape
        multiple = 2 ** (self.depth or 0)
        return height + -height % multiple, width + -width % multiple

    @model_validator(mode="after")
    def _sizes_fit(self) -> RunConfig:
        size = min(self.data.crop_shape)
        if size < 16 and self.depth is not None:
            raise ValueError(f"data.crop_size is {size_text(self.data.crop_size)}: networks need a side of 16 or more")
        if self.generator.depth is not None:
            self._depth_fits(self.generator.depth)
        if self.generator.name in ("resnet6", "resnet9") and self.generator.upsampling != "transposed":
            raise ValueError(
                f"generator.upsampling is {self.generator.upsampling!r}: generator {self.generator.name!r} has "
                "transposed convolutions of its own; leave it out, or use unet or encoder_decoder"
            )
        if self.objective.has_discriminator and self.objective.adversarial == "wgan-gp":
            self._wgan_gp_makes_sense()
        strides = DISCRIMINATOR_STRIDES.get(self.discriminator.name)
        if self.objective.has_discriminator and strides and size // 2**strides < 3:
            raise ValueError(
                f"data.crop_size is {size_text(self.data.crop_size)}: discriminator {self.discriminator.name!r} needs "
                f"at least {3 * 2**strides}; use a larger size or a smaller receptive field"
            )
        return self

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

    def _wgan_gp_makes_sense(self) -> None:
        if self.discriminator.norm == "batch":
            raise ValueError(
                "objective.adversarial is 'wgan-gp' and discriminator.norm 'batch': the penalty is on the gradient for "
                "each image, which batch norm makes depend on the others; use discriminator.norm instance or none"
            )


SECTIONS: dict[str, type[_Section]] = {
    name: field.annotation  # type: ignore[misc]
    for name, field in RunConfig.model_fields.items()
}
SETTINGS = tuple(f"{section}.{key}" for section, model in SECTIONS.items() for key in model.model_fields)


def _check_component(key: str, value: str, names: Iterable[str]) -> str:
    if value in names or is_reference(value):
        return value
    raise ValueError(f"{unknown(key, value, names)}; or module:function for your own")


def is_reference(value: str) -> bool:
    """Whether ``value`` has the form ``module:function``."""
    module, colon, function = value.partition(":")
    return bool(colon) and function.isidentifier() and all(part.isidentifier() for part in module.split("."))
